#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_priority.sh - When the port takes less than there is, the client with the higher
# priority has what it sends; the other one has the rest, and has all when it is alone

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

# Kilobytes of datagrams that came at the peer's port $1
got() {
	in_ns peer python3 -S - "$1" <<-'END'
		import socket, sys, time
		s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
		s.bind(('10.1.0.1', int(sys.argv[1])))
		s.settimeout(0.1)
		n, end = 0, time.monotonic() + 3
		while time.monotonic() < end:
		    try:
		        n += len(s.recv(2000))
		    except TimeoutError:
		        pass
		print(n // 1000)
	END
}

floods() { # ENGINE PORT: twice what the port takes
	background "flood-$1" gz "$1" python3 -S -c '
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("10.1.0.1", int(sys.argv[1])))
begin, n = time.monotonic(), 0
while True:
    if n * 1400 > (time.monotonic() - begin) * 5e6:
        time.sleep(0.001)
        continue
    n += 1
    try:
        s.send(bytes(1400))
    except OSError:
        pass' "$2"
}

dispatch_wire
DISPATCH_PORT="port: {driver: af_packet, iface: ve1}
send_kbits: 20000" start_dispatch "e1=10.1.0.2;priority: 3" e2=10.1.0.3
dispatch_engine e1 10.1.0.2
dispatch_engine e2 10.1.0.3
floods e2 7002
sleep 1
alone=$(got 7002)
floods e1 7001
sleep 1
background e1 got 7001
first=$PID
second=$(got 7002)
assert finish "$first" 10
first=$(cat "$WORK/e1")
echo "KB in 3 s: e2 alone $alone, then e1 $first, e2 $second"
[ "$alone" -gt 4000 ] || fail "e2 alone: $alone KB"
[ "$first" -gt $((alone * 8 / 10)) ] || fail "e1, of priority 3: $first KB of $alone"
[ "$second" -lt $((alone / 10)) ] || fail "e2, of priority 0: $second KB of $alone"
assert "$BIN/gazelle-ctl" dispatch set limit e2 priority 7 "$GZ_TEST_ID-d"
sleep 1
second=$(got 7002)
[ "$second" -gt $((alone * 8 / 10)) ] || fail "e2, of priority 7 now: $second KB of $alone"
stop_dispatch
