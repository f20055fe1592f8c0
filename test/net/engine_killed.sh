#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# engine_killed.sh - The engine dies: every call that waits returns within 2 s

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

wire
start_wire_engine e
background blocked gz e "$T/semantics/helper_blocked" 10.1.0.2
blocked=$PID
wait_line blocked blocked 20
assert_eq "$(cat "$WORK/blocked")" blocked "what returned before the engine's end"

background poller gz e python3 -uc '
import errno, select, socket, sys
s = socket.create_server(("10.1.0.2", 7001))
p = select.epoll()
p.register(s, select.EPOLLIN | select.EPOLLET)
print("ready")
if not p.poll(10):
    sys.exit("epoll_wait() did not return")
try:
    s.accept()
except OSError as e:
    print(errno.errorcode[e.errno])
'
poller=$PID
PID=$blocked
wait_line poller ready

kill -KILL "$(engine_pid e)"
# Two seconds, and what it takes the program to see that all returned.
killed=${EPOCHREALTIME/./}
assert finish "$PID" 10
took=$(((${EPOCHREALTIME/./} - killed) / 1000))
cat "$WORK/blocked"
assert [ $took -lt 2200 ]
for call in recv send accept 'accept with address' connect; do
	line=$(grep "^$call: " "$WORK/blocked") || fail "$call never returned"
	assert_match "$line" ': (E[A-Z]+|EOF)$'
done
for call in recv send; do
	assert_match "$(grep "^$call: " "$WORK/blocked")" ': (ECONNRESET|EPIPE|EOF)$'
done

# Who only polls a listener wakes as well.
assert finish "$poller" 5
assert_eq "$(cat "$WORK/poller")" "ready
ENOSYS" "the one that polls"
