# SPDX-License-Identifier: BSD-3-Clause
"""memcached_client.py HOST PORT - 1000 values set and got by eight clients.

Prints what went wrong, a line each; ends with 1 if anything did.
"""

import random
import socket
import sys
import threading

host, port = sys.argv[1], int(sys.argv[2])
KEYS, CLIENTS = 1000, 8
bad = []

def value(i):
    size = 500000 if i % 100 == 0 else i * i % 20000
    return random.Random(i).randbytes(size)

class Client:
    def __init__(self):
        self.s = socket.create_connection((host, port), timeout=20)
        self.f = self.s.makefile("rb")

    def ask(self, data):
        self.s.sendall(data)
        return self.f.readline().rstrip()

    def set(self, i):
        v = value(i)
        r = self.ask(b"set key%d %d 0 %d\r\n%s\r\n" % (i, i, len(v), v))
        if r != b"STORED":
            bad.append("set key%d: %r" % (i, r))

    def get(self, i):
        r = self.ask(b"get key%d\r\n" % i)
        v = value(i)
        if r != b"VALUE key%d %d %d" % (i, i, len(v)):
            bad.append("get key%d: %r" % (i, r))
            raise SystemExit
        if self.f.read(len(v) + 2) != v + b"\r\n" or self.f.readline() != b"END\r\n":
            bad.append("get key%d: other data" % i)

def work(n):
    try:
        c = Client()
        for i in range(n, KEYS, CLIENTS):
            c.set(i)
        for i in range(n, KEYS, CLIENTS):
            c.get(i)
    except OSError as e:
        bad.append("client %d: %s" % (n, e))

threads = [threading.Thread(target=work, args=(n,)) for n in range(CLIENTS)]
for t in threads:
    t.start()
for t in threads:
    t.join()
# what one client stored, another sees; quit is answered by FIN
c = Client()
c.get(1)
if c.ask(b"quit\r\n") != b"":
    bad.append("quit: no FIN")
print("\n".join(bad))
sys.exit(bool(bad))
