# SPDX-License-Identifier: BSD-3-Clause
"""app.py - The program on the stack under test, moved by the lines of a script

Takes a command a line on standard input and answers each with a line, "ok" or what
was wrong.  Bytes of a stream are a pattern of their position, so that content is
checked without being told.
"""
import errno
import select
import socket
import struct
import sys

DEADLINE = 20  # s; a test that passes waits for none of it
OPTIONS = {
    "nodelay": (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    "keepalive": (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    "keepidle": (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
    "keepintvl": (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
    "keepcnt": (socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
    "rcvbuf": (socket.SOL_SOCKET, socket.SO_RCVBUF),
    "maxseg": (socket.IPPROTO_TCP, socket.TCP_MAXSEG),
    "user_timeout": (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
    "linger2": (socket.IPPROTO_TCP, socket.TCP_LINGER2),
    "quickack": (socket.IPPROTO_TCP, socket.TCP_QUICKACK),
    "reuseaddr": (socket.SOL_SOCKET, socket.SO_REUSEADDR),
    "congestion": (socket.IPPROTO_TCP, socket.TCP_CONGESTION),
}


def pattern(at, n):
    return bytes((i * 7 + (i >> 8)) & 0xFF for i in range(at, at + n))


class App:
    def __init__(self, local, peer):
        self.local, self.peer = local, peer
        self.family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
        self.sock = self.listener = None
        self.sent = self.received = self.us = 0
        self.wanted = {}

    def wait(self, s, events):
        p = select.poll()
        p.register(s, events)
        if not p.poll(DEADLINE * 1000):
            raise TimeoutError("nothing happened")

    def new(self):
        s = socket.socket(self.family, socket.SOCK_STREAM)
        for name, value in self.wanted.items():
            s.setsockopt(*OPTIONS[name], value)
        s.setblocking(False)
        return s

    def set(self, name, value):
        self.wanted[name] = int(value) if value.isdigit() else value.encode()
        if self.sock:
            self.sock.setsockopt(*OPTIONS[name], self.wanted[name])

    def listen(self):
        self.listener = self.new()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(self.local)
        self.listener.listen(8)

    def accept(self):
        self.wait(self.listener, select.POLLIN)
        self.sock = self.listener.accept()[0]
        self.sock.setblocking(False)

    def connect(self):
        self.sock = self.new()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(self.local)
        e = self.sock.connect_ex(self.peer)
        if e != errno.EINPROGRESS:
            raise OSError(e, "connect")

    def connected(self, wanted="0"):
        self.wait(self.sock, select.POLLOUT)
        self.same(self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), wanted)

    def same(self, error, wanted):
        name = errno.errorcode.get(error, "0")
        if name != wanted:
            raise ValueError(f"{name}, not {wanted}")

    def send(self, n):
        data = pattern(self.sent, int(n))
        while data:
            self.wait(self.sock, select.POLLOUT)
            k = self.sock.send(data)
            self.sent += k
            data = data[k:]

    def recv(self, n):
        end = self.received + int(n)
        while self.received < end:
            self.wait(self.sock, select.POLLIN)
            data = self.sock.recv(end - self.received)
            if not data:
                raise EOFError(f"the end after {self.received} bytes")
            if data != pattern(self.received, len(data)):
                raise ValueError(f"wrong bytes after {self.received}")
            self.received += len(data)

    def nothing(self):
        try:
            raise ValueError(f"recv() gave {len(self.sock.recv(100))} bytes")
        except BlockingIOError:
            pass

    def eof(self):
        self.wait(self.sock, select.POLLIN)
        if self.sock.recv(1):
            raise ValueError("bytes in place of the end")

    def error(self, wanted):
        self.wait(self.sock, select.POLLIN)
        try:
            raise ValueError(f"recv() gave {len(self.sock.recv(100))} bytes")
        except OSError as e:
            self.same(e.errno, wanted)

    def gone(self):
        self.wait(self.sock, select.POLLIN)
        try:
            raise ValueError(f"recv() gave {len(self.sock.recv(100))} bytes")
        except (ConnectionResetError, TimeoutError):
            pass

    def rtt(self, wanted="?"):
        info = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        last, self.us = self.us, struct.unpack_from("I", info, 68)[0]
        if wanted != "?" and (self.us < last * 0.95) != (wanted == "less"):
            raise ValueError(f"{self.us} us after {last}")

    def retransmitted(self, least):
        info = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        again = struct.unpack_from("I", info, 100)[0]
        if again < int(least):
            raise ValueError(f"{again} segments were sent again")

    def ended(self, wanted):
        self.wait(self.sock, 0)
        self.same(self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), wanted)

    def shut(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def unlisten(self):
        self.listener.close()


def main():
    ends = sys.argv[1:]
    app = App((ends[0], int(ends[1])), (ends[2], int(ends[3])))
    for line in sys.stdin:
        verb, *args = line.split()
        try:
            getattr(app, verb)(*args)
            print("ok", flush=True)
        except (OSError, ValueError, EOFError) as e:
            print(f"{type(e).__name__}: {e}", flush=True)


if __name__ == "__main__":
    main()
