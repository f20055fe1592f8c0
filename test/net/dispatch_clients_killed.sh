#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_clients_killed.sh - Eight clients that send to each other as fast as they can are killed at
# any instruction, GZ_KILLS times in all (by default 100): dispatch lives, and has lost no descriptor
# and no mbuf; bytes that others exchange both ways are whole, and of their pings none is lost

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

KILLS=${GZ_KILLS:-100}
MB=${GZ_KILLS_MB:-8}

dispatch_wire
clients=()
for ((i = 10; i < 18; i++)); do clients+=("e$i=10.1.0.$i"); done
start_dispatch e2=10.1.0.3 "${clients[@]}"
dispatch_engine e2 10.1.0.3
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.3
descriptors=$(find "/proc/$DISPATCH/fd" | wc -l)
background ping in_ns peer ping -i 0.02 -W 2 10.1.0.3
PING=$PID
background dying "$T/net/dying_client" "$WORK" 10 8 "$KILLS" "${GZ_SEED:-1}"
DYING=$PID
# One transfer after the other, as long as they die
transfers=0
until gone "$DYING"; do
	background serve gz e2 "$T/semantics/helper_transfer" serve 10.1.0.3 7000 "$MB"
	wait_line serve ready
	assert in_ns peer "$T/semantics/helper_transfer" client 10.1.0.3 7000 "$MB"
	assert finish "$PID"
	transfers=$((transfers + 1))
	kill -0 "$DISPATCH" || fail "dispatch died"
done
assert finish "$DYING"
end "$PING" INT
cat "$WORK/dying"
tail -n 3 "$WORK/ping"
echo "$transfers transfers of $MB MB"
none_lost "$WORK/ping"
read -r killed _ used _ <<<"$(cat "$WORK/dying")"
assert_eq "$killed" "$KILLS" "clients that were killed"
[ "$used" -gt $((KILLS / 4)) ] || fail "only $used had rings that were in use"
for ((i = 10; i < 18; i++)); do
	within 10 dispatch_has "e${i}_link" 0
	assert_eq "$(dispatch_counter "e${i}_spoofed" "e${i}_malformed")" "0 0" "e$i spoofed, malformed"
done
descriptors_are() { [ "$(find "/proc/$DISPATCH/fd" | wc -l)" = "$1" ]; }
within 10 descriptors_are "$descriptors"
[ "$(dispatch_counter mbufs_free)" -gt 7000 ] || fail "$(dispatch_counter mbufs_free) mbufs are left"
stop_dispatch
