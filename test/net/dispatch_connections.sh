#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_connections.sh - A client has no more TCP connections than it may, by those that
# it opens and those that are opened to it; the other one is not limited; live, and shown

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

cat >"$WORK/connect.py" <<'END'
import socket, sys, time
# how many of so many connections open within 2 s, and stay
n, to, port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
socks = []
for i in range(n):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex((to, port))
    socks.append(s)
end = time.monotonic() + 2
opened = set()
while time.monotonic() < end:
    for s in socks:
        try:
            s.getpeername()
            opened.add(s)
        except OSError:
            pass
    time.sleep(0.05)
print(len(opened), flush=True)
if len(sys.argv) > 4:
    for s in opened:
        s.setblocking(True)
        s.settimeout(10)
        s.sendall(b'x')
        assert s.recv(1) == b'x'
    print('answered', flush=True)
    sys.stdin.read()
END

shown() { # CLIENT: how many connections
	"$BIN/gazelle-ctl" dispatch clients "$GZ_TEST_ID-d" --json |
		python3 -c "import json, sys
print(*[r['connections'] for r in json.load(sys.stdin) if r['name'] == '$1'])"
}

shows() { [ "$(shown "$1")" = "$2" ]; }

dispatch_wire
start_dispatch "e1=10.1.0.2;connections: 5" e2=10.1.0.3
dispatch_engine e1 10.1.0.2
dispatch_engine e2 10.1.0.3
background server1 gz e1 socat TCP-LISTEN:7000,reuseaddr,fork,backlog=50 PIPE
background server2 gz e2 socat TCP-LISTEN:7000,reuseaddr,fork,backlog=50 PIPE
background server3 in_ns peer socat TCP-LISTEN:7000,reuseaddr,fork,backlog=50 PIPE
within 10 in_ns peer timeout 2 bash -c 'exec 3<>/dev/tcp/10.1.0.2/7000'
within 10 in_ns peer timeout 2 bash -c 'exec 3<>/dev/tcp/10.1.0.3/7000'
within 10 shows e1 0

assert_eq "$(in_ns peer python3 -S "$WORK/connect.py" 12 10.1.0.3 7000)" 12 "connections to e2"
mkfifo "$WORK/hold"
sleep 60 >"$WORK/hold" &
HOLD=$!
background held in_ns peer bash -c "python3 -S '$WORK/connect.py' 12 10.1.0.2 7000 stay <'$WORK/hold'"
wait_line held answered
assert_eq "$(head -1 "$WORK/held")" 5 "connections to e1"
assert_eq "$(shown e1)" 5 "connections shown of e1"
# Its own count as well
assert_eq "$(gz e1 python3 -S "$WORK/connect.py" 3 10.1.0.1 7000)" 0 "from e1, without room"
[ "$(dispatch_counter e1_limited)" -gt 0 ] || fail "nothing was counted as limited"
assert_eq "$(dispatch_counter e2_limited)" 0 "limited of e2"
assert "$BIN/gazelle-ctl" dispatch set limit e1 connections 8 "$GZ_TEST_ID-d"
refute "$BIN/gazelle-ctl" dispatch set limit e1 connections 70000 "$GZ_TEST_ID-d"
kill "$HOLD"
assert finish "$PID" 10
within 10 shows e1 0
assert_eq "$(gz e1 python3 -S "$WORK/connect.py" 12 10.1.0.1 7000)" 8 "from e1, with more room"
within 10 shows e1 0
assert "$BIN/gazelle-ctl" dispatch set limit e1 connections 0 "$GZ_TEST_ID-d"
assert_eq "$(gz e1 python3 -S "$WORK/connect.py" 12 10.1.0.1 7000)" 12 "from e1, without a limit"
stop_dispatch
