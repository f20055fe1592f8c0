#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_engine_killed.sh - An engine dies under traffic, again and again:
# dispatch and the other engine's connection do not notice

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

MB=64

dispatch_wire
start_dispatch e1=10.1.0.2/32 e2=10.1.0.3/32
dispatch_engine e2 10.1.0.3
background sink gz e2 socat -u TCP-LISTEN:7000,reuseaddr SYSTEM:sha256sum
wait_for 10 in_ns peer ping -q -c 1 -W 1 10.1.0.3 || fail "the engine does not answer"
sleep 1
head -c ${MB}M /dev/urandom >"$WORK/data"
# slowly enough for all the kills to fall into it
background source in_ns peer bash -c \
	'for ((i = 0; i < 64; i++)); do dd if="$0" bs=1M skip=$i count=1 status=none
		sleep 0.1; done | socat -u - TCP:10.1.0.3:7000' "$WORK/data"
source=$PID
descriptors=$(find "/proc/$DISPATCH/fd" | wc -l)
for round in 1 2 3 4 5; do
	dispatch_engine e1 10.1.0.2
	background flood in_ns peer ping -q -f -w 5 10.1.0.2
	flood=$PID
	sleep 0.5
	kill -KILL "$(engine_pid e1)"
	end "$flood"
	wait_for 10 gone "$(engine_pid e1)"
	within 10 dispatch_has e1_link 0
	kill -0 "$DISPATCH" || fail "dispatch died in round $round"
done
assert finish "$source" 60
within 10 grep -q . "$WORK/sink"
assert_eq "$(cut -c1-64 "$WORK/sink")" "$(sha256sum "$WORK/data" | cut -c1-64)" "what e2 received"
assert_eq "$(find "/proc/$DISPATCH/fd" | wc -l)" "$descriptors" "descriptors of dispatch"
