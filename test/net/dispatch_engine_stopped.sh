#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_engine_stopped.sh - An engine that does not drain its ring loses its own packets,
# and nobody else does; when it goes on it is there again

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

dispatch_wire
start_dispatch e1=10.1.0.2/32 e2=10.1.0.3/32
dispatch_engine e1 10.1.0.2
dispatch_engine e2 10.1.0.3
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.2
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.3
lost() { [ "$(dispatch_counter e1_dropped)" -gt 1000 ]; }

before=$(dispatch_counter e2_dropped)
kill -STOP "$(engine_pid e1)"
# More than its ring holds, and less than what the wire would lose
background flood in_ns peer python3 -c 'import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    for i in range(20): s.sendto(bytes(1000), ("10.1.0.2", 9))
    time.sleep(0.005)'
flood=$PID
within 10 lost
in_ns peer ping -q -c 100 -i 0.01 -W 1 10.1.0.3 >"$WORK/other" || fail "$(cat "$WORK/other")"
assert_match "$(cat "$WORK/other")" " 0% packet loss"
assert_eq "$(dispatch_counter e2_dropped)" "$before" "what e2 lost"
end "$flood"
kill -CONT "$(engine_pid e1)"
within 5 in_ns peer ping -q -c 1 -W 1 10.1.0.2
