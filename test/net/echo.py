# SPDX-License-Identifier: BSD-3-Clause
"""echo.py - An echo server of both families, and clients that check what comes back

    echo.py serve PORT BACKLOG
    echo.py ask ADDRESS PORT CLIENTS BYTES SECONDS

serve says "ready".  ask makes CLIENTS connections, eight at a time, each of BYTES there
and back; every one must be done within SECONDS.  It says how many needed more than one.
"""
import os
import selectors
import socket
import sys
import time


def serve(port, backlog):
    listener = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True,
                                    backlog=backlog)
    listener.setblocking(False)
    sel = selectors.DefaultSelector()
    sel.register(listener, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in sel.select():
            s = key.fileobj
            if s is listener:
                try:
                    c = s.accept()[0]
                except BlockingIOError:
                    continue
                sel.register(c, selectors.EVENT_READ)
                continue
            try:
                data = s.recv(65536)
                if data:
                    s.sendall(data)
                    continue
            except OSError:
                pass
            sel.unregister(s)
            s.close()


class Client:
    def __init__(self, address, port, n):
        self.sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.sock.setblocking(False)
        self.sock.connect_ex((address, port))
        self.data, self.back, self.sent = os.urandom(n), b"", 0
        self.start = time.monotonic()

    def step(self):
        """True when all is back."""
        try:
            if self.sent < len(self.data):
                self.sent += self.sock.send(self.data[self.sent :])
            more = self.sock.recv(65536)
            if not more:
                raise EOFError("the end, early")
            self.back += more
        except (BlockingIOError, InterruptedError):
            pass
        return len(self.back) == len(self.data)


def ask(address, port, clients, n, limit):
    sel, left, running, slow = selectors.DefaultSelector(), clients, 0, 0
    while left or running:
        while left and running < 8:
            c = Client(address, port, n)
            sel.register(c.sock, selectors.EVENT_WRITE | selectors.EVENT_READ, c)
            left, running = left - 1, running + 1
        for key, _ in sel.select(0.1):
            c = key.data
            if not c.step():
                if c.sent == len(c.data):
                    sel.modify(c.sock, selectors.EVENT_READ, c)
                continue
            if c.back != c.data:
                sys.exit("what came back is not what was sent")
            slow += time.monotonic() - c.start > 1
            sel.unregister(c.sock)
            c.sock.close()
            running -= 1
        for key in sel.get_map().values():
            if time.monotonic() - key.data.start > limit:
                sys.exit(f"{address}: a client was not served within {limit} s")
    print(f"{clients} served, {slow} of them in more than a second")


if sys.argv[1] == "serve":
    serve(int(sys.argv[2]), int(sys.argv[3]))
else:
    ask(sys.argv[2], *map(int, sys.argv[3:7]))
