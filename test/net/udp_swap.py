# SPDX-License-Identifier: BSD-3-Clause
"""udp_swap.py - Datagram sockets that go to the kernel, or have a part there, for udp_swap.sh

Arguments: an address that only the kernel reaches, and one that the stack does.
"""
import errno
import os
import select
import socket
import sys

far, near = sys.argv[1:]
v6 = ":" in far
family = socket.AF_INET6 if v6 else socket.AF_INET
lo = "::1" if v6 else "127.0.0.1"
hops = (41, 16) if v6 else (0, socket.IP_TTL)


def udp():
    s = socket.socket(family, socket.SOCK_DGRAM)
    s.settimeout(10)
    return s


def expect(s, data, peer):
    got, name = s.recvfrom(100)
    assert got == data and name[:2] == peer, (got, name)


def by_sendto():
    """Options, duplicates and epoll registrations come along."""
    s = udp()
    s.setsockopt(*hops, 33)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    copy = s.dup()
    ep = select.epoll()
    ep.register(s, select.EPOLLIN)
    s.sendto(b"sendto", (far, 7000))
    assert ep.poll(10) == [(s.fileno(), select.EPOLLIN)]
    expect(s, b"sendto", (far, 7000))
    assert s.getsockopt(*hops) == 33
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST) == 1
    copy.sendto(b"copy", (far, 7000))
    expect(copy, b"copy", (far, 7000))
    ep.modify(s, 0)


def by_sendmsg():
    s = udp()
    assert s.sendmsg([b"send", b"msg"], [], 0, (far, 7000)) == 7
    expect(s, b"sendmsg", (far, 7000))


def by_device():
    """SO_BINDTODEVICE with an interface of the kernel's."""
    s = udp()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"vk1\0")
    assert s.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16) == b"vk1\0"
    s.sendto(b"device", (far, 7000))
    expect(s, b"device", (far, 7000))


def by_connect(address, port):
    """A local resolver of the host's is one of these."""
    s = udp()
    s.connect((address, port))
    s.send(b"connect")
    assert s.recv(100) == b"connect"
    assert s.getpeername()[:2] == (address, port)


def expect_errno(number, call, *args):
    try:
        call(*args)
    except OSError as e:
        assert e.errno == number, e
    else:
        sys.exit("no error %d" % number)


def keeps_its_port():
    """One that is bound serves both worlds."""
    s = udp()
    s.bind(("", 5555))
    for peer in (far, 7000), (near[1], 7000), (lo, 7001), (far, 7000):
        s.sendto(b"port?", peer)
        expect(s, b"port?", peer)
    assert s.getsockname()[1] == 5555
    expect_errno(errno.EADDRINUSE, udp().bind, (near[0], 5555))
    s.connect((far, 7000))
    s.send(b"connected")
    assert s.recv(100) == b"connected"
    s.close()
    udp().bind((near[0], 5555))


def both_worlds():
    """What the stack was used for stays there, and the kernel's is reached as well."""
    s = udp()
    s.setsockopt(*hops, 33)
    for peer in (near[1], 7000), (far, 7000), (near[1], 7000), (lo, 7001):
        s.sendto(b"both", peer)
        expect(s, b"both", peer)
    s.setsockopt(*hops, 34)
    s.sendmsg([b"both", b"!"], [], 0, (far, 7000))
    expect(s, b"both!", (far, 7000))
    # Connected, and only the peer is heard.
    for peer in (near[1], 7000), (far, 7000), (lo, 7001), (near[1], 7000):
        s.connect(peer)
        assert s.getpeername()[:2] == peer
        s.send(b"connected")
        assert s.recv(100) == b"connected"
    s.connect((far, 7999))
    s.send(b"nobody")
    expect_errno(errno.ECONNREFUSED, s.recv, 10)


def is_asked():
    """Whoever is bound to a wildcard or loopback address is asked by the host's own programs."""
    for address in ("", lo):
        s = udp()
        s.bind((address, 5556))
        print("bound", address, flush=True)
        for _ in range(3):
            data, peer = s.recvfrom(70000)
            s.sendto(data, peer)
            assert peer[0] == lo
        expect_errno(errno.EADDRINUSE, udp().bind, (lo, 5556))
        s.close()
    expect_errno(errno.EADDRINUSE, udp().bind, (lo, 7001))


near = near.split(",")
by_sendto()
by_sendmsg()
by_device()
by_connect(far, 7000)
by_connect(lo, 7001)
keeps_its_port()
both_worlds()
is_asked()
for address, port in (far, 7000), (lo, 7001), (near[1], 7000):
    udp().sendto(b"end", (address, port))
os._exit(0)
