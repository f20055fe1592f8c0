#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ring_go.sh - Go programs on the plane of rings: an echo on goroutines, net/http

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"
ECHO=$T/static/goecho-go SERVER=$T/static/goserver-go
[ -x "$ECHO" ] && [ -x "$SERVER" ] || skip "the Go programs are not built (make tests)"
GZ_RUN_ARGS=--ring
wire
start_wire_engine e

# on_ring COUNT PROGRAM - that many of its connections, all on the plane of rings
on_ring() {
	local all ring
	all=$(ctl e ss | grep -c "ESTAB.* $2,") || :
	ring=$(ctl e ss | grep -c "ESTAB.* $2,[0-9]*  *ring ") || :
	[ "$ring" = "$1" ] || ctl e ss | grep "ESTAB.* $2,.* relay "
	assert_eq "$all" "$1" "connections of $2"
	assert_eq "$ring" "$1" "connections of $2 on rings"
}

# --- goroutines, whose stacks move, are collected and preempted
background server gz e "$ECHO" server 10.1.0.2:7000
server=$PID
wait_line server listening
mkfifo "$WORK/in"
exec 3<>"$WORK/in"
run() { gz e "$ECHO" client 10.1.0.2:7000 20 "$1" <"$WORK/in"; }
background client run 300
wait_line client ok 30
on_ring 40 goecho-go
echo >&3
finish "$PID" || fail "the client: status $?: $(cat "$WORK/client")"
assert_eq "$(counter e ring_left)" 0 "sockets that left the rings"

# --- what starts in place of it begins anew, and is found again
background client run 10
wait_line client ok 30
on_ring 40 goecho-go
end "$PID"
end "$server"

# --- net/http: a connection that is kept, small answers; then bodies that fill the ring
background http gz e "$SERVER" server 10.1.0.2:8090
http=$PID
wait_line http listening
# shellcheck disable=SC2016
background kept in_ns peer bash -c 'exec 3<>/dev/tcp/10.1.0.2/8090
	for i in 1 2 3 4 5; do
		printf "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n" >&3
		while read -r line <&3 && [ "$line" != hello ]; do :; done
	done
	echo answered
	read -r _ <&3'
kept=$PID
wait_line kept answered
on_ring 1 goserver-go
end "$kept"
gz e "$SERVER" client 10.1.0.2:8090 || fail "the client of net/http"
in_ns peer "$SERVER" client 10.1.0.2:8090 || fail "the client outside"
end "$http"
stop_engine e
