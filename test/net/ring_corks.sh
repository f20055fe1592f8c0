#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ring_corks.sh - TCP_CORK in the rings, over the wire: it holds what it should, without notifications

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"
GZ_RUN_ARGS=--ring
wire
start_wire_engine e

cat >"$WORK/serve.py" <<'PY'
import socket, time
CORK = (socket.IPPROTO_TCP, socket.TCP_CORK)
l = socket.create_server(("10.1.0.2", 7001))
print("ready", flush=True)
c = l.accept()[0]
c.recv(1)
for i in range(300):
    if i == 20:
        print("begun", flush=True)
        c.recv(1)
    c.setsockopt(*CORK, 1)
    c.sendall(b"head")
    if i % 50 == 49: # the worker has looked
        time.sleep(0.05)
    c.sendall(b"body")
    c.setsockopt(*CORK, 0)
    c.recv(1)
print("done", flush=True)
c.recv(1)
c.setsockopt(*CORK, 1)
assert c.getsockopt(*CORK) == 1
c.setsockopt(*CORK, 0)
assert c.getsockopt(*CORK) == 0
PY
# Each comes at once, and whole: 200 ms are a cork's that was not pulled.
cat >"$WORK/ask.py" <<'PY'
import socket, sys, time
s = socket.create_connection(("10.1.0.2", 7001))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
s.sendall(b"x")
parts = slow = 0
for i in range(300):
    if i == 20:
        sys.stdin.readline()
        s.sendall(b"y")
    start = time.monotonic()
    got = s.recv(100)
    parts += got != b"headbody"
    while len(got) < 8:
        got += s.recv(100)
    slow += time.monotonic() - start > 0.19
    assert got == b"headbody", got
    s.sendall(b"x")
print("in parts", parts, "slow", slow, flush=True)
sys.stdin.readline()
s.sendall(b"z")
assert s.recv(1) == b""
PY
mkfifo "$WORK/in"
background serve gz e python3 "$WORK/serve.py"
server=$PID
wait_line serve ready
background ask in_ns peer sh -c "exec python3 '$WORK/ask.py' <'$WORK/in'"
ask=$PID
exec 3>"$WORK/in"
wait_line serve begun
before=$(counter e notifications)
echo >&3
wait_line serve done
after=$(counter e notifications)
wait_line ask "in parts"
cat "$WORK/ask"
echo >&3
assert finish "$ask"
assert finish "$server"
echo "$((after - before)) notifications of 560 corks"
assert [ $((after - before)) -le 60 ]
assert_eq "$(cat "$WORK/ask")" "in parts 0 slow 0"
