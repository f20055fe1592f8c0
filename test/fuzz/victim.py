# SPDX-License-Identifier: BSD-3-Clause
#
# victim.py - A client beside a hostile one: its bytes are its own, and in time
#
# It serves whoever connects: the hostile one shares memory with it, too.
#
#	victim.py ADDRESS PORT SECRET	until SIGTERM; prints how many round trips there
#					were, the longest in ms, and the longest of
#					20 ms in epoll_wait()

import select
import signal
import socket
import sys
import threading
import time

secret = sys.argv[3].encode()
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
going = True


def stop(*_):
    global going
    going = False


def serve(c):
    try:
        with c:
            while block := c.recv(65536):
                c.sendall(block)
    except OSError:
        pass  # the hostile one's, which ends as it likes


def echo():
    while True:
        threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()


# Nothing comes, but for what the hostile one says.
def wait_in_vain():
    global waited
    c = socket.create_connection(server.getsockname())
    e = select.epoll()
    e.register(c, select.EPOLLIN)
    c.sendall(b"x")
    assert e.poll(5) and c.recv(1) == b"x"
    while going:
        start = time.monotonic()
        assert e.poll(0.02) == []
        waited = max(waited, time.monotonic() - start)


def receive(c, n):
    got = b""
    while len(got) < n:
        block = c.recv(n - len(got))
        if not block:
            sys.exit("a connection ended")
        got += block
    return got


signal.signal(signal.SIGTERM, stop)
threading.Thread(target=echo, daemon=True).start()
trips, longest, waited = 0, 0.0, 0.0
threading.Thread(target=wait_in_vain, daemon=True).start()
c = socket.create_connection(server.getsockname())
print("ready", flush=True)
while going:
    block = secret * (trips % 300 + 1)
    start = time.monotonic()
    c.sendall(block)
    if receive(c, len(block)) != block:
        sys.exit("other bytes came back")
    longest = max(longest, time.monotonic() - start)
    trips += 1
    if trips % 100 == 0:  # a new one
        c.close()
        c = socket.create_connection(server.getsockname())
print(trips, int(longest * 1000), int(waited * 1000))
