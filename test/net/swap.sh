#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# swap.sh - A socket that goes to the kernel at connect() keeps duplicates and epoll items
#
# Event loops put a socket into their epoll set before connect(), and others
# duplicate it.  The same program runs on the kernel, then under gazelle-run with
# a policy that leaves the destination to the kernel.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"
command -v python3 >/dev/null || skip "python3 is not there"

wire
start_engine swap stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24]}
policy: {rules: [{action: kernel, direction: connect, ports: 7100}]}"

cat >"$WORK/echo.py" <<'PY'
import socket, threading
s = socket.create_server(("127.0.0.1", 7100))
print("ready", flush=True)
def serve(c):
    while (b := c.recv(65536)):
        c.sendall(b)
    c.close()
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
PY
background echo in_ns stack python3 "$WORK/echo.py"
wait_line echo ready

cat >"$WORK/client.py" <<'PY'
import fcntl, os, select, socket
IN, OUT, ET, ONE = select.EPOLLIN, select.EPOLLOUT, select.EPOLLET, select.EPOLLONESHOT
PEER = ("127.0.0.1", 7100)

def fresh():
    s = socket.socket()
    s.setblocking(False)
    return s

def connect(s):
    assert s.connect_ex(PEER) in (0, 115)

# Added before a non-blocking connect(): level, then changed, then deleted.
s, ep = fresh(), select.epoll()
ep.register(s, OUT)
connect(s)
assert ep.poll(5) == [(s.fileno(), OUT)]
assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
assert s.getpeername() == PEER
ep.modify(s, IN)
assert ep.poll(0) == []
s.send(b"hello")
assert ep.poll(5) == [(s.fileno(), IN)]
assert s.recv(100) == b"hello"
ep.unregister(s)
s.send(b"x")
assert ep.poll(0.2) == []
s.close()

# Edge-triggered, in two sets, the second under a duplicate's number.
s, ep, ep2 = fresh(), select.epoll(), select.epoll()
d = os.dup(s.fileno())
assert fcntl.fcntl(d, fcntl.F_GETFD) == fcntl.FD_CLOEXEC
plain = fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 700)
ep.register(s, IN | OUT | ET)
ep2.register(d, IN)
connect(s)
assert (s.fileno(), OUT) in ep.poll(5)
assert ep.poll(0) == [] and ep2.poll(0) == []
os.write(d, b"by the duplicate")
assert ep2.poll(5) == [(d, IN)]
assert ep.poll(5) == [(s.fileno(), IN | OUT)]
assert os.read(plain, 100) == b"by the duplicate"
# Which descriptor is inherited by exec is as it was.
assert fcntl.fcntl(d, fcntl.F_GETFD) == fcntl.FD_CLOEXEC
assert fcntl.fcntl(plain, fcntl.F_GETFD) == 0
# The connection lives until the last of them is closed.
s.close()
os.close(d)
os.write(plain, b"last")
while not select.select([plain], [], [], 5)[0]:
    raise SystemExit("no answer by the last duplicate")
assert os.read(plain, 100) == b"last"
os.close(plain)
assert ep.poll(0.1) == [] and ep2.poll(0) == []

# One-shot fires once and is armed again; standard input's number is no trouble.
os.close(0)
s, ep = fresh(), select.epoll()
assert s.fileno() == 0
ep.register(s, OUT | ONE)
connect(s)
assert ep.poll(5) == [(0, OUT)]
assert ep.poll(0.1) == []
ep.modify(s, OUT | ONE)
assert ep.poll(1) == [(0, OUT)]
s.close()

# asyncio and many at once
import asyncio
async def one(i):
    r, w = await asyncio.open_connection(*PEER)
    text = (b"%d " % i) * 5000
    w.write(text)
    w.write_eof()
    assert await r.read() == text
    w.close()
async def many():
    await asyncio.gather(*[one(i) for i in range(20)])
asyncio.run(many())
print("done")
PY
assert_eq "$(in_ns stack python3 "$WORK/client.py")" done "on the kernel"
assert_eq "$(gz swap python3 "$WORK/client.py")" done "under gazelle-run"
[ "$(counter swap kernel_swaps)" -ge 23 ] || fail "not all were the kernel's"
assert_eq "$(counter swap 'swap_lost_.*')" 0 "what was lost"
