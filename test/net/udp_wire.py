# SPDX-License-Identifier: BSD-3-Clause
"""udp_wire.py - UDP between two hosts: echo, ask and group, for udp_wire.sh"""
import os
import socket
import sys

RECVTTL, TTL, PKTINFO = 12, 2, 8  # linux/in.h


def udp(timeout=10):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(timeout)
    return s


def echo(address):
    s = udp()
    s.bind((address, 7000))
    print("ready", flush=True)
    while True:
        data, peer = s.recvfrom(70000)
        s.sendto(data, peer)
        if data == b"end":
            return


def ask(address):
    s = udp(3)
    for n in (0, 1, 1472, 1473, 4000, 20000, 65507):
        data = os.urandom(n)
        s.sendto(data, (address, 7000))
        got, peer = s.recvfrom(70000)
        assert got == data and peer == (address, 7000), (n, len(got), peer)
    s.sendto(b"end", (address, 7000))
    c = udp(3)
    c.connect((address, 7999))
    c.send(b"nobody")
    try:
        c.recv(10)
    except ConnectionRefusedError:
        return
    sys.exit("a closed port did not refuse")


def group(mine, listen, say):
    """Take one datagram of a group, then send one to the other with a TTL of 7."""
    s = udp()
    s.bind(("", 5000))
    s.setsockopt(0, RECVTTL, 1)
    s.setsockopt(0, PKTINFO, 1)
    s.setsockopt(0, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(listen) + socket.inet_aton(mine))
    print("ready", flush=True)
    if say:
        t = udp()
        t.setsockopt(0, socket.IP_MULTICAST_IF, socket.inet_aton(mine))
        t.setsockopt(0, socket.IP_MULTICAST_TTL, 7)
        t.sendto(b"hello", (say, 5000))
    data, control, _, _ = s.recvmsg(100, 200)
    assert data == b"hello", data
    values = {c[1]: c[2] for c in control}
    assert values[TTL][0] == 7, values
    assert values[PKTINFO][8:] == socket.inet_aton(listen), values
    if not say:
        t = udp()
        t.setsockopt(0, socket.IP_MULTICAST_IF, socket.inet_aton(mine))
        t.setsockopt(0, socket.IP_MULTICAST_TTL, 7)
        t.sendto(b"hello", ("239.1.2.4", 5000))


{"echo": echo, "ask": ask, "group": group}[sys.argv[1]](*sys.argv[2:])
