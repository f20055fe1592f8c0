#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# examples.sh - The examples are accepted by --check, and docs/dispatch.md names all of
# dispatch's; one with a word that is none is refused

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

[ -x "$BIN/gazelle-dispatch" ] || skip "gazelle-dispatch is not built"
root=$TEST_DIR/..

for file in "$root"/config/examples/*.yaml; do
	name=${file##*/}
	case $name in
	dispatch*)
		program=gazelle-dispatch
		grep -qF "(../config/examples/$name)" "$root/docs/dispatch.md" ||
			fail "docs/dispatch.md does not name $name"
		;;
	*) program=gazelle-engine ;;
	esac
	"$BIN/$program" --check "$file" >"$WORK/said" 2>&1 || fail "$name: $(cat "$WORK/said")"
	sed 's/^port:\|^ports:\|^bond:/ports_:/' "$file" >"$WORK/wrong.yaml"
	refute cmp -s "$file" "$WORK/wrong.yaml"
	refute "$BIN/$program" --check "$WORK/wrong.yaml" 2>/dev/null
done
