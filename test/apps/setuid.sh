#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# setuid.sh - A setuid program keeps its rights, unless who started gazelle-run has none

. "${0%/*}/common.bash"
need setpriv id

nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps -all)

scenario()
{
	local got
	cp "$(command -v id)" "$DIR/id"
	chmod 4755 "$DIR/id"
	got=$(in_ns sut "${nobody[@]}" "$DIR/id" -u)
	[[ $got == 0 ]] || skip "setuid programs gain nothing in $DIR: $got"

	# root's gazelle-run, or none: the user changes later, and setuid works
	got=$(sut "${nobody[@]}" "$DIR/id" -u)
	[[ $got == 0 ]] || fail "under root's, a setuid program is user $got"
	[[ $VARIANT == gazelle ]] || return 0

	# Another user's, who may join the engine: no_new_privs, as README says
	chmod a+x "$WORK" "${WORK%/*}"
	chmod 666 "$WORK/$GZ_TEST_ID-e.sock"
	got=$(in_ns sut "${nobody[@]}" "$BIN/gazelle-run" --config "$(config_of e)" -- "$DIR/id" -u)
	[[ $got == 65534 ]] || fail "under a user's, a setuid program is user $got"
	got=$(in_ns sut "${nobody[@]}" "$BIN/gazelle-run" --config "$(config_of e)" -- \
		grep NoNewPrivs /proc/self/status)
	[[ $got == *1 ]] || fail "under a user's: $got"
}

main
