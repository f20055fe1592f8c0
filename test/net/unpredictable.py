# SPDX-License-Identifier: BSD-3-Clause
"""unpredictable.py - Initial numbers and ports of a stack, seen from the wire

    unpredictable.py isn IFACE MAC ADDRESS NETWORK PORT
    unpredictable.py ports ADDRESS PORT COUNT	listens, and looks at who comes

RFC 6528: the numbers of one four-tuple go up with a clock, those of others tell nothing
of them.  RFC 6056: so do ports.
"""
import ipaddress
import os
import random
import socket
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "tcp"))
from packet import Segment, Wire  # noqa: E402

SEQ = 1 << 32


def apart(values, modulus):
    """Differences of neighbours, from -modulus/2 to modulus/2"""
    return [(b - a + modulus // 2) % modulus - modulus // 2 for a, b in zip(values, values[1:])]


def isn(iface, mac, address, network, port):
    wire = Wire(iface, mac)
    me = ipaddress.ip_address(network + "77")
    to = ipaddress.ip_address(address)
    queue = wire.play(me)

    def ask(sport):
        wire.send(me, to, Segment(sport, port, random.randrange(SEQ), 0, "S", 65535))
        while True:
            seg = queue.get(timeout=5)
            if seg.dport == sport and "S" in seg.flags:
                wire.send(me, to, Segment(sport, port, seg.ack, 0, "R", 0))
                return seg.seq, seg.at

    ask(999)
    # Neighbours in everything but a bit of the port: as far apart as random numbers are.
    far = [abs(d) for d in apart([ask(1000 + n)[0] for n in range(200)], SEQ)]
    if statistics.median(far) < SEQ / 8 or min(far) < SEQ / 1e6:
        sys.exit(f"{to}: median {statistics.median(far)}, least {min(far)} apart")
    # One four-tuple: up, at the clock's pace, which is at least RFC 793's.
    seen = []
    for _ in range(20):
        seen.append(ask(5000))
        time.sleep(0.01)
    for (a, at), (b, then) in zip(seen, seen[1:]):
        up, us = (b - a) % SEQ, (then - at) * 1e6
        if not us / 4 < up < us * 40:
            sys.exit(f"{to}: {up} more after {us:.0f} us")
    print(f"{to}: {len(far)} four-tuples, {statistics.median(far) / SEQ:.2f} of the space apart")


def ports(address, port, count):
    l = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address
                             else socket.AF_INET, backlog=count)
    print("ready", flush=True)
    seen = [l.accept()[1][1] for _ in range(count)]
    near = [abs(d) for d in apart(seen, 65536)]
    if len(set(seen)) != count:
        sys.exit("a port came twice")
    # Random ones of 28,000: a third of that apart, and hardly ever neighbours.
    if statistics.median(near) < 3000 or sum(d < 16 for d in near) > 3:
        sys.exit(f"median {statistics.median(near)} apart: {seen}")
    print(f"{address}: {count} ports, median {statistics.median(near):.0f} apart")


if sys.argv[1] == "isn":
    isn(*sys.argv[2:6], int(sys.argv[6]))
else:
    ports(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
