# SPDX-License-Identifier: BSD-3-Clause
"""udp_swap.py - Datagram sockets that go to the kernel, for udp_swap.sh

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


def keeps_its_port():
    s = udp()
    s.bind(("", 5555))
    s.sendto(b"port?", (far, 7000))
    expect(s, b"port?", (far, 7000))
    assert s.getsockname()[1] == 5555
    # The stack has let go of it.
    udp().bind((near[0], 5555))


def too_late():
    """What the stack was used for stays there."""
    s = udp()
    s.sendto(b"near", (near[1], 7000))
    expect(s, b"near", (near[1], 7000))
    try:
        s.sendto(b"far", (far, 7000))
    except OSError as e:
        assert e.errno == errno.ENETUNREACH, e
    else:
        sys.exit("sent by the kernel, from another address than before")
    s.sendto(b"near", (near[1], 7000))
    expect(s, b"near", (near[1], 7000))


near = near.split(",")
by_sendto()
by_sendmsg()
by_device()
by_connect(far, 7000)
by_connect(lo, 7001)
keeps_its_port()
too_late()
for address, port in (far, 7000), (lo, 7001), (near[1], 7000):
    udp().sendto(b"end", (address, port))
os._exit(0)
