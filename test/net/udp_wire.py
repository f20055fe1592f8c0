# SPDX-License-Identifier: BSD-3-Clause
"""udp_wire.py - UDP between two hosts: echo, ask and group, for udp_wire.sh

An address with a colon is IPv6, with %INDEX if it needs a link.
"""
import errno
import os
import select
import socket
import struct
import sys
import time

PKTINFO, RECVTTL, TTL = 8, 12, 2  # linux/in.h
RECVPKTINFO6, PKTINFO6, RECVHOPS6, HOPS6, RECVERR6 = 49, 50, 51, 52, 25  # linux/in6.h


def end(address, port):
    """What sockets take, and the family."""
    family, _, _, _, name = socket.getaddrinfo(
        address, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0]
    return name, family


def udp(family, timeout=10):
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(timeout)
    return s


def echo(address, port=7000):
    name, family = end(address, port)
    s = udp(family)
    s.bind(name)
    print("ready", flush=True)
    while True:
        data, peer = s.recvfrom(70000)
        s.sendto(data, peer)
        if data == b"end":
            return


def ask(address, *sizes):
    name, family = end(address, 7000)
    s = udp(family, 3)
    for n in map(int, sizes):
        data = os.urandom(n)
        s.sendto(data, name)
        got, peer = s.recvfrom(70000)
        assert got == data and peer == name, (n, len(got), peer)
    s.sendto(b"end", name)
    refused(address, 6)


def refused(address, size):
    name, family = end(address, 7999)
    c = udp(family, 3)
    c.connect(name)
    c.send(bytes(int(size)))
    try:
        c.recv(10)
    except ConnectionRefusedError:
        return
    sys.exit("a closed port did not refuse")


def asks(address, port):
    """Three times, from one port and connected."""
    name, family = end(address, port)
    s = udp(family, 5)
    for n in 0, 1, 60000:
        data = os.urandom(n)
        if n == 60000:
            s.connect(name)
        s.sendto(data, name)
        got, peer = s.recvfrom(70000)
        assert got == data and peer[:2] == name[:2], (n, len(got), peer)


def fails_with(call, why):
    try:
        call()
        sys.exit("it was done, without %s" % errno.errorcode[why])
    except OSError as e:
        assert e.errno == why, e


def too_large(send):
    fails_with(send, errno.EMSGSIZE)


def whole(address, largest):
    """No fragments are made: EMSGSIZE at once, connected before that or after or not at all."""
    name, family = end(address, 7999)
    n = int(largest)
    # IP_MTU_DISCOVER: IP_PMTUDISC_DO; IPV6_DONTFRAG
    for level, opt, v in ((41, 23, 2), (41, 62, 1)) if family == socket.AF_INET6 else ((0, 10, 2),):
        s = udp(family)
        s.setsockopt(level, opt, v)
        assert s.getsockopt(level, opt) == v
        s.sendto(bytes(n), name)
        too_large(lambda: s.sendto(bytes(n + 1), name))
        too_large(lambda: s.sendmsg([bytes(n), b"x"], [], 0, name))
        # They may be made again.
        s.setsockopt(level, opt, v - 1)
        s.sendto(bytes(n + 1), name)
        for before in True, False:
            s = udp(family)
            if before:
                s.connect(name)
            s.setsockopt(level, opt, v)
            if not before:
                s.connect(name)
            for _ in range(3):
                too_large(lambda: s.send(bytes(n + 1)))
            # And nothing of it is left.
            s.setsockopt(level, opt, v - 1)
            s.send(bytes(n + 1))
        # By default they are made.
        udp(family).sendto(bytes(n + 1), name)


def told(address, largest):
    """Who asks for errors hears of the MTU, of what is its own fault (ip_local_error())."""
    name, family = end(address, 7999)
    n, v6 = int(largest), family == socket.AF_INET6
    level, recverr = (41, 25) if v6 else (0, 11)
    for opt, v in ((23, 2), (62, 1)) if v6 else ((10, 2),):
        for connected in False, True:
            s = udp(family)
            s.setsockopt(level, opt, v)
            s.setsockopt(level, recverr, 1)
            if connected:
                s.connect(name)
            where = () if connected else ([], 0, name)
            for extra in b"x", bytes(65000 - n), *([bytes(100000)] if v6 else []):
                too_large(lambda: s.sendmsg([bytes(n), extra], *where))
                p = select.poll()
                p.register(s, 0)
                assert p.poll(2000) == [(s.fileno(), select.POLLERR)]
                data, control, _, peer = s.recvmsg(100, 500, socket.MSG_ERRQUEUE)
                (error, origin, kind, code, _, info, _), = [
                    struct.unpack("IBBBBII", c[2][:16]) for c in control if c[:2] == (level, recverr)]
                assert (error, origin, kind, code) == (errno.EMSGSIZE, 1, 0, 0), control
                assert info == n + (48 if v6 else 28), info
                assert data == b"" and peer[0] == name[0], (data, peer)
                assert peer[1] == (name[1] if v6 or connected else 0), peer
                assert not p.poll(0)
            s.sendmsg([bytes(n)], *where)


def flags(address):
    """Of two datagrams to port 7998: may they be fragmented?"""
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    s.settimeout(10)
    s.bind((address, 0))
    print("ready", flush=True)
    seen = []
    while len(seen) < 2:
        p = s.recv(2000)
        assert len(p) == struct.unpack("!H", p[2:4])[0]
        if struct.unpack("!H", p[22:24])[0] == 7998:
            seen.append("whole" if p[6] & 0x40 else "any")
    print(*seen, flush=True)


def forbid(address):
    """One that says so, and one that says the contrary."""
    for how in 2, 0:  # IP_PMTUDISC_DO, IP_PMTUDISC_DONT
        s = udp(socket.AF_INET)
        s.setsockopt(0, 10, how)
        s.sendto(b"hello", (address, 7998))
        time.sleep(0.2)


class Group4:
    """@mine: this host's address."""
    any, level, ttl, info = "0.0.0.0", 0, TTL, PKTINFO
    receive = RECVTTL, PKTINFO

    def __init__(self, mine):
        self.mine = socket.inet_aton(mine)

    def join(self, s, group):
        s.setsockopt(0, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + self.mine)

    def send_by(self, s):
        s.setsockopt(0, socket.IP_MULTICAST_IF, self.mine)
        s.setsockopt(0, socket.IP_MULTICAST_TTL, 7)

    def is_to(self, info, group):
        return info[8:] == socket.inet_aton(group)


class Group6:
    """@mine: the index of the link, 0 for the default."""
    any, level, ttl, info = "::", 41, HOPS6, PKTINFO6
    receive = RECVHOPS6, RECVPKTINFO6

    def __init__(self, mine):
        self.mine = int(mine)

    def join(self, s, group):
        s.setsockopt(41, socket.IPV6_JOIN_GROUP,
                     socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", self.mine))

    def send_by(self, s):
        s.setsockopt(41, socket.IPV6_MULTICAST_IF, self.mine)
        s.setsockopt(41, socket.IPV6_MULTICAST_HOPS, 7)

    def is_to(self, info, group):
        return info[:16] == socket.inet_pton(socket.AF_INET6, group)


def group(mine, listen, say, first):
    """Take one datagram of a group and send one to the other, with a TTL of 7."""
    g = (Group6 if ":" in listen else Group4)(mine)
    name, family = end(g.any, 5000)
    s, t = udp(family), udp(family)
    s.bind(name)
    for option in g.receive:
        s.setsockopt(g.level, option, 1)
    g.join(s, listen)
    g.send_by(t)
    print("ready", flush=True)
    if first == "speaks":
        t.sendto(b"hello", end(say, 5000)[0])
    data, control, _, _ = s.recvmsg(100, 200)
    assert data == b"hello", data
    values = {c[1]: c[2] for c in control}
    assert values[g.ttl][0] == 7, values
    assert g.is_to(values[g.info], listen), values
    if first != "speaks":
        t.sendto(b"hello", end(say, 5000)[0])


def errors(address):
    """MSG_ERRQUEUE has the payload and who refused it."""
    name, family = end(address, 7999)
    s = udp(family)
    s.setsockopt(*((41, RECVERR6) if family == socket.AF_INET6 else (0, 11)), 1)
    s.sendto(b"nobody", name)
    try:
        s.recv(10)
    except ConnectionRefusedError:
        pass
    data, control, _, peer = s.recvmsg(100, 400, socket.MSG_ERRQUEUE)
    assert data == b"nobody" and peer == name, (data, peer)
    offender = control[0][2][16:]
    raw = socket.inet_pton(family, address.split("%")[0])
    assert raw in offender, (control, raw)


def hear(own, directed):
    """Take a broadcast to each address, and answer it; who is bound to @own hears of none."""
    s, deaf = udp(socket.AF_INET), udp(socket.AF_INET, 0.1)
    s.bind(("0.0.0.0", 7100))
    deaf.bind((own, 7101))
    s.setsockopt(0, PKTINFO, 1)
    print("ready", flush=True)
    for to in "255.255.255.255", directed:
        data, control, _, peer = s.recvmsg(100, 200)
        assert data == to.encode(), (data, to)
        assert control[0][2][8:] == socket.inet_aton(to), control
        s.sendto(data, peer)
    try:
        sys.exit("it heard %r" % deaf.recv(10))
    except TimeoutError:
        pass


def denied(call):
    fails_with(call, errno.EACCES)


def shout(own, directed, other):
    """One broadcast to each address, by sendto() and connected; all of that is for SO_BROADCAST."""
    s = udp(socket.AF_INET)
    s.bind((own, 0))
    for to in "255.255.255.255", directed:
        denied(lambda: s.sendto(b"x", (to, 7100)))
        denied(lambda: s.sendmsg([b"x"], [], 0, (to, 7100)))
        denied(lambda: s.connect((to, 7100)))
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    s.sendto(b"255.255.255.255", ("255.255.255.255", 7100))
    assert s.recvfrom(100) == (b"255.255.255.255", (other, 7100))
    s.sendto(b"deaf", (directed, 7101))
    # A connected one has no other peer, so that the answer comes to another socket of that port.
    t = udp(socket.AF_INET)
    t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    t.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    t.bind((own, 0))
    t.connect((directed, 7100))
    assert t.getpeername() == (directed, 7100)
    a = udp(socket.AF_INET)
    a.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    a.bind(t.getsockname())
    t.send(directed.encode())
    assert a.recvfrom(100) == (directed.encode(), (other, 7100))
    # And no more, once it is taken back.
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 0)
    denied(lambda: s.sendto(b"x", (directed, 7100)))


RECVFRAGSIZE6, MTU6 = 77, 24


def take(address):
    """Of one datagram: its length, its sum and the largest fragment."""
    name, family = end(address, 7001)
    s = udp(family)
    s.bind(name)
    s.setsockopt(41, RECVFRAGSIZE6, 1)
    print("ready", flush=True)
    data, control, _, _ = s.recvmsg(70000, 200)
    size = struct.unpack("@i", control[0][2])[0] if control else 0
    print(len(data), sum(data), size, flush=True)


def give(address, n, mtu):
    name, family = end(address, 7001)
    s = udp(family)
    if int(mtu):
        s.setsockopt(41, MTU6, int(mtu))
    data = bytes(i * 7 % 251 for i in range(int(n)))
    s.sendto(data, name)
    print(len(data), sum(data), flush=True)


verbs = {"take": take, "give": give, "echo": echo, "ask": ask, "asks": asks, "group": group,
         "errors": errors, "whole": whole, "told": told, "flags": flags, "forbid": forbid, "refused": refused,
         "hear": hear, "shout": shout}
verbs[sys.argv[1]](*sys.argv[2:])
