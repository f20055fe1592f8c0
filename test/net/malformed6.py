# SPDX-License-Identifier: BSD-3-Clause
"""malformed6.py - Throw broken IPv6 frames at an address

    malformed6.py IFACE MAC SOURCE DESTINATION PORT COUNT SEED

Each is sound and then broken in one way, by turns.  Prints how many were sent.
"""
import random
import socket
import struct
import sys
import time
from ipaddress import IPv6Address

TCP, UDP, ICMP, FRAGMENT, HOPS, ROUTING, OPTIONS, NONE = 6, 17, 58, 44, 0, 43, 60, 59


class Frames:
    def __init__(self, source, destination, port, seed):
        self.r = random.Random(seed)
        self.src, self.dst, self.port = IPv6Address(source), IPv6Address(destination), port

    def sum(self, proto, data, at):
        b = self.src.packed + self.dst.packed + struct.pack("!II", len(data), proto) + data
        b += b"\0" * (len(b) % 2)
        s = sum(struct.unpack(f"!{len(b) // 2}H", b))
        s = (s & 0xFFFF) + (s >> 16)
        s = ~(s + (s >> 16)) & 0xFFFF
        return data[:at] + struct.pack("!H", s) + data[at + 2 :]

    def ip(self, proto, payload, hops=64, length=None, src=None, dst=None):
        n = len(payload) if length is None else length
        return (struct.pack("!IHBB", 6 << 28, n, proto, hops) + (src or self.src).packed
                + (dst or self.dst).packed + payload)

    def segment(self, flags=None, offset=5, options=b""):
        r = self.r
        head = struct.pack("!HHIIBBHHH", 20000 + r.randrange(1000), self.port,
                           r.getrandbits(32), r.getrandbits(32), offset << 4,
                           r.choice((2, 16)) if flags is None else flags, 1000, 0, 0)
        return self.sum(TCP, head + options + r.randbytes(40 + r.randrange(400)), 16)

    def icmp(self, kind, code, body):
        return self.sum(ICMP, bytes([kind, code, 0, 0]) + body, 2)

    # --- the kinds ---

    def truncated(self):
        b = self.ip(TCP, self.segment())
        return b[: self.r.randrange(len(b))]

    def garbage(self):
        return self.r.randbytes(self.r.randrange(1, 500))

    def version_and_garbage(self):
        return b"\x60" + self.r.randbytes(self.r.randrange(40, 500))

    def wrong_length(self):
        return self.ip(TCP, self.segment(), length=self.r.randrange(3000))

    def wrong_sum(self):
        s = bytearray(self.segment())
        s[self.r.randrange(20, len(s))] ^= 1 + self.r.randrange(255)
        return self.ip(TCP, bytes(s))

    def wrong_offset(self):
        return self.ip(TCP, self.segment(offset=self.r.randrange(16)))

    def wrong_options(self):
        o = bytes(self.r.choice((0, 1, 2, 3, 5, 8, 200)) for _ in range(40))
        return self.ip(TCP, self.segment(2, 15, o))

    def any_flags(self):
        return self.ip(TCP, self.segment(self.r.randrange(256)))

    def headers(self):
        """A chain of extension headers with any lengths"""
        kinds = [self.r.choice((HOPS, ROUTING, OPTIONS, FRAGMENT, NONE, 200)) for _ in range(4)]
        b = b""
        for k in (*kinds[1:], TCP):
            b += bytes([k, self.r.choice((0, 0, 1, 255))]) + self.r.randbytes(6)
        return self.ip(kinds[0], b + self.segment())

    def fragments(self):
        where = self.r.randrange(200) << 3 | self.r.randrange(8)
        head = struct.pack("!BBHI", self.r.choice((TCP, UDP, ICMP)), 0, where, self.r.randrange(8))
        return self.ip(FRAGMENT, head + self.r.randbytes(self.r.randrange(300)))

    def discovery(self):
        """Neighbour and router discovery with broken options and lengths"""
        kind = self.r.randrange(133, 138)
        body = self.r.randbytes(4)
        for _ in range(self.r.randrange(3)):
            body += self.dst.packed[: self.r.choice((16, 16, 3))]
        for _ in range(self.r.randrange(4)):
            body += bytes([self.r.choice((1, 2, 3, 4, 5, 25, 31)), self.r.choice((0, 1, 3, 4, 255))])
            body += self.r.randbytes(self.r.choice((6, 6, 22, 3)))
        return self.ip(ICMP, self.icmp(kind, 0, body), 255)

    def errors(self):
        quoted = self.ip(self.r.choice((TCP, UDP, ICMP, FRAGMENT)), self.r.randbytes(30),
                         src=self.dst, dst=self.src)
        body = struct.pack("!I", self.r.randrange(2000)) + quoted[: self.r.randrange(80)]
        return self.ip(ICMP, self.icmp(self.r.randrange(1, 5), self.r.randrange(8), body))

    def listeners(self):
        body = self.r.randbytes(self.r.randrange(40))
        return self.ip(ICMP, self.icmp(self.r.choice((130, 131, 132, 143)), 0, body), 1)

    def echo(self):
        b = bytearray(self.icmp(128, 0, self.r.randbytes(self.r.randrange(4, 100))))
        b[2] ^= 1 + self.r.randrange(255)
        return self.ip(ICMP, bytes(b))

    def martian(self):
        src = self.r.choice(("::1", "ff02::1", "::"))
        return self.ip(TCP, self.segment(2), src=IPv6Address(src))

    def land(self):
        return self.ip(TCP, self.segment(2), src=self.dst)


def main():
    iface, mac, source, destination, port, count, seed = sys.argv[1:]
    f = Frames(source, destination, int(port), int(seed))
    kinds = [getattr(f, k) for k, v in vars(Frames).items()
             if callable(v) and k not in ("__init__", "sum", "ip", "segment", "icmp")]
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    s.bind((iface, 0))
    head = bytes.fromhex(mac.replace(":", "")) + bytes.fromhex("02000000aa02") + b"\x86\xdd"
    for i in range(int(count)):
        s.send(head + kinds[i % len(kinds)]())
        if i % 64 == 63:
            time.sleep(0.001)  # not a load test: let all of them be looked at
    print(f"{count} sent, of {len(kinds)} kinds")


main()
