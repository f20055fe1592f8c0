#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_engine_killed.sh - An engine dies under traffic both ways, again and again
# (GZ_KILLS times, by default 10): dispatch and the other engine's connection do not
# notice, and dispatch loses nothing by it

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

dispatch_wire
start_dispatch e1=10.1.0.2/32 e2=10.1.0.3/32
dispatch_engine e2 10.1.0.3
bulk_begins 10.1.0.3
descriptors=$(find "/proc/$DISPATCH/fd" | wc -l)
for ((round = 1; round <= ${GZ_KILLS:-10}; round++)); do
	dispatch_engine e1 10.1.0.2
	# its answers are the other way's traffic
	background flood in_ns peer ping -q -f -s 1000 -w 5 10.1.0.2
	flood=$PID
	sleep 0.3
	kill -KILL "$(engine_pid e1)"
	end "$flood"
	wait_for 10 gone "$(engine_pid e1)"
	within 10 dispatch_has e1_link 0
	kill -0 "$DISPATCH" || fail "dispatch died in round $round"
done
bulk_is_whole
assert_eq "$(find "/proc/$DISPATCH/fd" | wc -l)" "$descriptors" "descriptors of dispatch"
[ "$(dispatch_counter mbufs_free)" -gt 7000 ] || fail "$(dispatch_counter mbufs_free) mbufs are left"
