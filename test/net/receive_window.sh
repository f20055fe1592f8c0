#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# receive_window.sh - The window grows to what a long way holds, and no further than it may
#
# The kernel sends, and says what window it sees: to the kernel first, then to an engine.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

FIRST=$((256 * 1024))
LONG=1250000 # bytes; what 10 Gbit/s and 1 ms hold
LARGE=2097152

# serve RCVBUF COMMAND... - a server of port 7000, with COMMAND in front of it; "": no SO_RCVBUF
serve() {
	local rcvbuf=$1
	shift
	background server "$@" python3 "$TEST_DIR/net/receive_window.py" serve 10.1.0.2 7000 \
		${rcvbuf:+"$rcvbuf"}
	SERVER=$PID
	wait_line server ready
}

# send MEGABYTES [TRICKLE] - $largest and $last window, bytes
send() {
	local out
	out=$(in_ns peer python3 "$TEST_DIR/net/receive_window.py" send 10.1.0.2 7000 "$1" \
		"${2:-0}") || fail "the sender: $out"
	read -r largest last _ <<<"$out"
	echo "$1 MB, then ${2:-0} pieces: largest $largest, last $last"
}

# grows WHO - over 20 ms; on a busy machine no single try says anything
grows() {
	local try
	for try in 1 2 3 4 5; do
		send 24
		[ "$largest" -lt $LONG ] || return 0
	done
	fail "$1: a window of $largest bytes after $try tries"
}

# is_pinned WHO - by SO_RCVBUF of 64 KB, which the kernel doubles
is_pinned() {
	send 2
	[ "$largest" -le $((128 * 1024)) ] || fail "$1: SO_RCVBUF of 64 KB, a window of $largest"
}

# sends MEGABYTES SNDBUF LEAST - of what ours sends to the kernel more than LEAST bytes are under
# way, and no more than the SO_SNDBUF that is told, which is twice what was asked for
sends() {
	local out try under_way=0
	for try in 1 2 3 4 5; do
		out=$(gz e python3 "$TEST_DIR/net/receive_window.py" send 10.1.0.1 7001 "$1" 0 "$2") ||
			fail "our sender: $out"
		read -r _ _ _ under_way <<<"$out"
		echo "SO_SNDBUF of $2: $under_way under way"
		[ "$under_way" -le $((2 * $2)) ] || fail "$under_way bytes under way"
		[ "$under_way" -le "$3" ] || return 0
	done
	fail "SO_SNDBUF of $2: $under_way bytes under way after $try tries"
}

# is_large WHO - by SO_RCVBUF of 2 MB, if the kernel gives that
is_large() {
	[ "$(cat /proc/sys/net/core/rmem_max)" -lt $LARGE ] || grows "$1"
}

bad_wire 10.1.0.2/24
forward 1 delay=10 delay=10
serve "" in_ns stack
grows kernel
end "$SERVER"
serve 65536 in_ns stack
is_pinned kernel
end "$SERVER"
serve $LARGE in_ns stack
is_large kernel
end "$SERVER"

in_ns stack ip address flush dev ve1
start_wire_engine e
serve "" gz e
grows ours
assert [ "$(counter e tcp_windows_grown)" -gt 0 ]
# What was given is not taken back; after a second of silence it is not given again.
send 24 80
assert [ "$last" -le $FIRST ]
end "$SERVER"
serve 65536 gz e
is_pinned ours
end "$SERVER"
serve $LARGE gz e
is_large ours
end "$SERVER"
background sink in_ns peer python3 "$TEST_DIR/net/receive_window.py" serve 10.1.0.1 7001
SERVER=$PID
wait_line sink ready
sends 1 65536 32768
[ "$(cat /proc/sys/net/core/wmem_max)" -lt $LARGE ] || sends 24 $LARGE $((2 * FIRST))
end "$SERVER"
stop_engine e

# One client, and 1 MB in all: from 256 KB to 512 KB, for another 512 KB would be more
# than is left for others.
start_engine e stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24]}
limits: {buffers: 1}"
serve "" gz e
for _ in 1 2 3 4 5; do
	send 24
	assert [ "$largest" -le $((2 * FIRST)) ]
	[ "$largest" -lt $((2 * FIRST)) ] || break
done
assert_eq "$largest" $((2 * FIRST))
assert [ "$(counter e tcp_buffers_refused)" -gt 0 ]
# And it is there for the next connection, whoever had it.
send 24
assert [ "$largest" -gt $FIRST ]
stop_engine e
