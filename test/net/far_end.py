# SPDX-License-Identifier: BSD-3-Clause
"""far_end.py - Connections whose far end is no socket, and takes no memory but this program's

    far_end.py IFACE MAC ADDRESS PORT SOURCE COUNT FIFO

COUNT connections to ADDRESS and PORT, of ports of SOURCE, which no kernel has, over IFACE to MAC.
Each sends 64 bytes and acknowledges those that it gets back; nothing is remembered of it but that.
Says "up" and how many they are, and makes as many more for each line with a number that comes by
FIFO; of one without all are asked again, and it says "again".
"""
import ipaddress
import os
import struct
import sys
import threading

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "tcp"))
from packet import Segment, Wire  # noqa: E402  it lies beside the scripts

SIZE, AT_ONCE, FIRST, AGAIN = 64, 100, 10000, 1  # AGAIN: seconds; a SYN may be lost
OPTIONS = {2: struct.pack("!H", 1460), 4: b"", 3: struct.pack("!B", 7)}


class FarEnd(Wire):
    def __init__(self, iface, mac, address, port, source):
        self.address, self.port = ipaddress.ip_address(address), port
        self.me = ipaddress.ip_address(source)
        self.next = {}  # by our port: the numbers that are sent and expected next
        self.waits, self.changed = set(), threading.Condition()
        super().__init__(iface, mac)

    def start(self):
        self.play(self.me)
        threading.Thread(target=self.answer, daemon=True).start()

    def answer(self):
        while True:
            seg = self.queues[self.me].get()
            port = seg.dport
            if "R" in seg.flags:
                print(f"port {port} was reset", flush=True)
                os._exit(1)
            if "S" in seg.flags:
                if port not in self.next:
                    self.next[port] = [seg.ack, seg.seq + 1]
                self.ask(port)
            elif seg.data:
                news = seg.seq == self.next[port][1]
                if news:
                    self.next[port] = [seg.ack, seg.seq + len(seg.data)]
                self.transmit(port, "A")
                if news:
                    with self.changed:
                        self.waits.discard(port)
                        self.changed.notify()

    def transmit(self, port, flags, data=b""):
        seq, ack = self.next.get(port, (1000, 0))
        options = OPTIONS if flags == "S" else ()
        self.send(self.me, self.address,
                  Segment(port, self.port, seq, ack, flags, 65535, options, data))

    def ask(self, port):
        self.transmit(port, "A", b"x" * SIZE)

    def each(self, ports, do):
        """@do each of them, so many at once, until it has its answer"""
        for n in range(0, len(ports), AT_ONCE):
            with self.changed:
                self.waits = set(ports[n : n + AT_ONCE])
            while True:
                for port in list(self.waits):
                    do(port)
                with self.changed:
                    if self.changed.wait_for(lambda: not self.waits, AGAIN):
                        break

    def connect(self, ports):
        self.each(ports, lambda port: self.transmit(port, "S") if port not in self.next
                  else self.ask(port))


def main():
    iface, mac, address, port, source, count, fifo = sys.argv[1:]
    far = FarEnd(iface, mac, address, int(port), source)
    far.start()
    far.connect(range(FIRST, FIRST + int(count)))
    print("up", len(far.next), flush=True)
    with open(fifo, encoding="ascii") as orders:
        for line in orders:
            if line.strip():
                far.connect(range(FIRST + len(far.next), FIRST + len(far.next) + int(line)))
                print("up", len(far.next), flush=True)
            else:
                far.each(list(far.next), far.ask)
                print("again", flush=True)


main()
