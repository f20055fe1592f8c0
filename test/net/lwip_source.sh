#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# lwip_source.sh - lwIP's source counts only with the recorded checksum; a local copy does

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

script=$TEST_DIR/../.ci/lwip.sh
good=$(find "$TEST_DIR/../build/dl" -name 'lwip_*.orig.tar.xz' 2>/dev/null | head -n 1)
[ -n "$good" ] || skip "the download is not in build/dl"

cp "$good" "$WORK/right.tar.xz"
LWIP_TARBALL=$WORK/right.tar.xz "$script" "$WORK/tree" "$WORK/dl"
[ -f "$WORK/tree/src/core/tcp_in.c" ] || fail "the local copy was not unpacked"
assert_eq "$(ls "$WORK/dl")" "" "a local copy leaves no download"

# One byte is another
cp "$good" "$WORK/wrong.tar.xz"
printf x | dd of="$WORK/wrong.tar.xz" bs=1 seek=5000 conv=notrunc status=none
said=$(LWIP_TARBALL=$WORK/wrong.tar.xz "$script" "$WORK/other" "$WORK/dl" 2>&1) &&
	fail "a wrong file was taken"
assert_match "$said" "sha256 differs"
said=$(LWIP_TARBALL=$WORK/nowhere "$script" "$WORK/other" "$WORK/dl" 2>&1) && fail "no file, no error"
assert_match "$said" "Couldn't read LWIP_TARBALL"
[ -z "$(find "$WORK" -maxdepth 1 -name 'other*')" ] || fail "something was left behind"
