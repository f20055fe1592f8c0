# SPDX-License-Identifier: BSD-3-Clause
"""packet.py - TCP segments to and from an interface, packet(7), IPv4 and IPv6"""
import ipaddress
import queue
import socket
import struct
import threading
import time

MAC = bytes.fromhex("02000000aa01")
FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32}
SO_TIMESTAMPNS = 35


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    s = sum(struct.unpack(f"!{len(data) // 2}H", data))
    s = (s & 0xFFFF) + (s >> 16)
    return ~(s + (s >> 16)) & 0xFFFF


class Segment:
    """flags as letters; numbers absolute; options {kind: bytes}"""

    def __init__(self, sport, dport, seq, ack, flags, window, options=(), data=b"", at=0):
        self.sport, self.dport, self.seq, self.ack = sport, dport, seq, ack
        self.flags, self.window, self.options = flags, window, dict(options)
        self.data, self.at = data, at

    @classmethod
    def parse(cls, b, at):
        sport, dport, seq, ack, off, flags, window = struct.unpack("!HHIIBBH", b[:16])
        end, i, options = (off >> 4) * 4, 20, {}
        while i < end and b[i] != 0:
            if b[i] == 1:
                i += 1
                continue
            options[b[i]] = b[i + 2 : i + b[i + 1]]
            i += b[i + 1]
        letters = "".join(c for c in "SFRPUA" if flags & FLAGS[c])
        return cls(sport, dport, seq, ack, letters, window, options, b[end:], at)

    def build(self, src, dst, broken=False):
        o = b"".join(bytes([k, len(v) + 2]) + v for k, v in self.options.items())
        o += b"\1" * (-len(o) % 4)
        bits = sum(FLAGS[c] for c in self.flags)
        head = struct.pack("!HHIIBBHHH", self.sport, self.dport, self.seq & 0xFFFFFFFF,
                           self.ack & 0xFFFFFFFF, (20 + len(o)) // 4 << 4, bits, self.window,
                           0, 0) + o
        pseudo = src.packed + dst.packed + struct.pack("!IHBB", len(head + self.data), 0, 0, 6)
        c = checksum(pseudo + head + self.data) ^ (0x5555 if broken else 0)
        return head[:16] + struct.pack("!H", c) + head[18:] + self.data


class Wire:
    """An interface on which addresses are played that no kernel has"""

    def __init__(self, iface, mac):
        self.mac = bytes.fromhex(mac.replace(":", ""))
        self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.sock.bind((iface, 0))
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.queues = {}
        threading.Thread(target=self.listen, daemon=True).start()

    def play(self, address):
        self.queues[address] = queue.Queue()
        return self.queues[address]

    def frame(self, kind, payload):
        self.sock.send(self.mac + MAC + struct.pack("!H", kind) + payload)

    def send(self, src, dst, seg, broken=False):
        self.send_ip(src, dst, 6, seg.build(src, dst, broken))

    def send_ip(self, src, dst, proto, payload, hops=64):
        if src.version == 6:
            head = struct.pack("!IHBB", 6 << 28, len(payload), proto, hops) + src.packed + dst.packed
            self.frame(0x86DD, head + payload)
            return
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, hops, proto, 0)
        head += src.packed + dst.packed
        head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
        self.frame(0x0800, head + payload)

    def listen(self):
        while True:
            b, control, _, address = self.sock.recvmsg(65536, 100)
            if address[2] == socket.PACKET_OUTGOING or len(b) < 34:
                continue
            at = time.time()
            for c in control:
                if c[1] == SO_TIMESTAMPNS:
                    s, ns = struct.unpack("qq", c[2])
                    at = s + ns / 1e9
            kind = b[12:14]
            if kind == b"\x08\x06":
                self.arp(b[14:])
            elif kind == b"\x08\x00":
                head = (b[14] & 15) * 4
                end = 14 + struct.unpack("!H", b[16:18])[0]
                self.take(b[30:34], b[26:30], b[23], b[14 + head : end], at, b[14:34])
            elif kind == b"\x86\xdd" and len(b) >= 54:
                end = 54 + struct.unpack("!H", b[18:20])[0]
                self.take(b[38:54], b[22:38], b[20], b[54:end], at, b[14:54])

    def take(self, dst, src, proto, payload, at, head):
        me = ipaddress.ip_address(dst)
        if proto == 58 and payload[:1] == b"\x87":
            self.neighbour(ipaddress.ip_address(src), payload)
        elif me in self.queues and proto == 6:
            seg = Segment.parse(payload, at)
            seg.head = head
            self.queues[me].put(seg)

    def arp(self, b):
        if b[7] == 1 and ipaddress.ip_address(b[24:28]) in self.queues:
            self.frame(0x0806, b[:7] + b"\2" + MAC + b[24:28] + b[8:14] + b[14:18])

    def neighbour(self, asker, b):
        target = ipaddress.ip_address(b[8:24])
        if target not in self.queues:
            return
        body = b"\x88\0\0\0" + struct.pack("!I", 0x60000000) + target.packed + b"\2\1" + MAC
        c = checksum(target.packed + asker.packed + struct.pack("!II", len(body), 58) + body)
        self.send_ip(target, asker, 58, body[:2] + struct.pack("!H", c) + body[4:], 255)
