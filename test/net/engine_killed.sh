#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# engine_killed.sh - The engine dies: every call that waits returns within 2 s, on both
# planes, and calls that are not about the stack go on

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

# killed PLANE - an engine of its own, with programs on it
killed() {
	local e=$1 blocked poller killed took call line
	GZ_RUN_ARGS=--$1
	start_wire_engine "$e"
	background "$e-blocked" gz "$e" "$T/semantics/helper_blocked" 10.1.0.2
	blocked=$PID
	wait_line "$e-blocked" blocked 20
	assert_eq "$(cat "$WORK/$e-blocked")" blocked "what returned before the engine's end"

	background "$e-poller" gz "$e" python3 -uc '
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
	wait_line "$e-poller" ready

	# Of these nothing waits for the stack: a shell and what it starts, and a server
	# that has not looked at the bytes of its connection yet.
	background "$e-shell" gz "$e" bash -c \
		'while :; do ls -d / && [ ! -e "$0" ] || break; sleep 0.1; done; echo end' "$WORK/$e-gone"
	shell=$PID
	background "$e-late" gz "$e" python3 -uc '
import errno, os, socket, sys, time
s = socket.create_server(("10.1.0.2", 7002))
print("ready")
c = s.accept()[0]
print("accepted")
while not os.path.exists(sys.argv[1]):
    time.sleep(0.05)
try:
    print(c.recv(10))
except OSError as e:
    print(errno.errorcode[e.errno])
c.close()
' "$WORK/$e-gone"
	late=$PID
	wait_line "$e-late" ready
	gz "$e" bash -c 'exec 3<>/dev/tcp/10.1.0.2/7002; echo hello >&3; exec sleep 30' &
	wait_line "$e-late" accepted
	wait_line "$e-shell" /

	kill -KILL "$(engine_pid "$e")"
	# Two seconds, and what it takes the program to see that all returned.
	killed=${EPOCHREALTIME/./}
	assert finish "$blocked" 10
	took=$(((${EPOCHREALTIME/./} - killed) / 1000))
	cat "$WORK/$e-blocked"
	assert [ $took -lt 2200 ]
	for call in recv send accept 'accept with address' connect; do
		line=$(grep "^$call: " "$WORK/$e-blocked") || fail "$call never returned"
		assert_match "$line" ': (E[A-Z]+|EOF)$'
	done
	for call in recv send; do
		assert_match "$(grep "^$call: " "$WORK/$e-blocked")" ': (ECONNRESET|EPIPE|EOF)$'
	done

	# Who only polls a listener wakes as well.
	assert finish "$poller" 5
	assert_eq "$(cat "$WORK/$e-poller")" "ready
ENOSYS" "the one that polls"

	touch "$WORK/$e-gone"
	assert finish "$shell" 5
	assert_eq "$(tail -n 1 "$WORK/$e-shell")" end "the shell"
	assert finish "$late" 5
}

wire
killed relay
assert_match "$(tail -n 1 "$WORK/relay-late")" 'hello|ECONNRESET' "bytes that were there"
killed ring
# A token is not data.
assert_eq "$(tail -n 1 "$WORK/ring-late")" ECONNRESET "bytes that were in the ring"
