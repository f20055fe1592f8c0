# SPDX-License-Identifier: BSD-3-Clause
#
# planes.py - Connections that leave the rings for one reason each, for planes.sh
#
#	planes.py ADDRESS PORT		prints NAME PEER-PORT of each, then ready; ends
#					with its standard input
#
# Two of them come back, for they go on, the second by an epoll; that one is full then, which a
# socket that is loud could not be.  With GZ_KEEPER, where keeper.py listens, others go on and must
# not: another program has the one, one is on its way to nobody, and a thread is in a call on one.

import contextlib
import ctypes
import os
import select
import socket
import statistics
import struct
import sys
import threading
import time

server = socket.create_server((sys.argv[1], int(sys.argv[2])))
held = []


def connection(name):
    """Both ends, with bytes that went each way"""
    there = socket.create_connection(server.getsockname())
    here, peer = server.accept()
    there.send(b"x")
    assert here.recv(1) == b"x"
    here.send(b"y")
    assert there.recv(1) == b"y"
    held.extend((here, there))
    print(name, peer[1])
    return here, there


def goes_on(here, there, wait):
    """From when "z" was sent by here"""
    for _ in range(2000):
        assert there.recv(1) == b"z"
        there.send(b"y")
        wait()
        assert here.recv(1) == b"y"
        here.send(b"z")


def pass_on(path, sock):
    """Send it to who listens there.  Return: the connection to that one"""
    way = socket.socket(socket.AF_UNIX)
    way.connect(path)
    socket.send_fds(way, [b"-"], [sock.fileno()])
    held.append(way)
    return way


def ask_back(sock):
    """Ask in a loop, as its agent does once (GZ_ASK_BACK).  Return: the median, ns"""
    text, size = ctypes.create_string_buffer(8), ctypes.c_uint(8)
    took = []
    for _ in range(1000):
        began = time.perf_counter_ns()
        libc.getsockopt(sock.fileno(), 0x677A6C00, 0x40000, text, ctypes.byref(size))
        took.append(time.perf_counter_ns() - began)
    return statistics.median(took)


def stay_away(keeper):
    in_rings, _ = connection("plain")
    stays = []
    here, there = connection("passed-on:kept")
    stays.append((here, there))
    assert pass_on(keeper, here).recv(1) == b"k"
    here, there = connection("passed-on:unaccepted")
    stays.append((here, there))
    nobody = socket.socket(socket.AF_UNIX)
    nobody.bind("")
    nobody.listen()
    held.append(nobody)
    pass_on(nobody.getsockname(), here)
    here, there = connection("call:thread")
    stays.append((here, there))
    r, w = os.pipe()
    held.extend((r, w))
    thread = threading.Thread(target=os.splice, args=(here.fileno(), w, 9), daemon=True)
    thread.start()
    until = time.monotonic() + 1.2
    while time.monotonic() < until:
        for here, there in stays:
            here.send(b"z")
            assert there.recv(1) == b"z"
        time.sleep(0.002)
    assert thread.is_alive()
    # /proc is not looked through each time.
    assert ask_back(stays[0][0]) < 20 * ask_back(in_rings)


class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_char_p), ("len", ctypes.c_size_t)]


class Message(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint),
        ("vectors", ctypes.POINTER(Vector)),
        ("count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    ]


class Counted(ctypes.Structure):
    _fields_ = [("message", Message), ("len", ctypes.c_uint)]


def two_messages():
    """Of a byte each"""
    return (Counted * 2)(
        *(Counted(Message(vectors=ctypes.pointer(Vector(b"x", 1)), count=1)) for _ in range(2))
    )


connection("plain")
here, there = connection("many")
libc = ctypes.CDLL(None)
assert libc.sendmmsg(here.fileno(), two_messages(), 2, 0) == 2
assert there.recv(2, socket.MSG_WAITALL) == b"xx"
there.send(b"xx")
assert libc.recvmmsg(here.fileno(), two_messages(), 2, 0, None) == 2
here, there = connection("dropped")
there.send(b"abc")
assert libc.recv(here.fileno(), None, 2147483647, socket.MSG_TRUNC) == 3
there.send(b"d")
assert here.recv(9) == b"d"
here, there = connection("timed")
here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, 50000))
with contextlib.suppress(BlockingIOError):
    while here.send(bytes(65536)):
        pass
connection("option")[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
here, there = connection("call")
r, w = os.pipe()
there.send(b"by a pipe")
assert os.splice(here.fileno(), w, 9) == 9
held.extend((r, w))
here, there = connection("agent")
here.send(b"z", socket.MSG_EOR)
assert there.recv(1) == b"z"
here, there = connection("back")
here.send(b"z", socket.MSG_EOR)
goes_on(here, there, lambda: None)
here, there = connection("epoll")
e = select.epoll()
e.register(here, select.EPOLLIN)
here.send(b"z", socket.MSG_EOR)
e.modify(here, select.EPOLLIN)
goes_on(here, there, lambda: e.poll())
here.setblocking(False)
with contextlib.suppress(BlockingIOError):
    while True:
        here.send(bytes(100000))
held.append(e)
here, there = connection("one-shot")
e = select.epoll()
e.register(here, select.EPOLLIN | select.EPOLLONESHOT)
for _ in range(10):
    there.send(b"y")
    assert e.poll(10) == [(here.fileno(), select.EPOLLIN)] and not e.poll(0)
    assert here.recv(1) == b"y"
    e.modify(here, select.EPOLLIN | select.EPOLLONESHOT)
held.append(e)
here, there = connection("passed-on")
left, right = socket.socketpair()
socket.send_fds(left, [b"-"], [here.fileno()])
held.extend((left, right))
here, there = connection("urgent")
there.send(b"!", socket.MSG_OOB)
time.sleep(0.2)
if "GZ_KEEPER" in os.environ:
    stay_away(os.environ["GZ_KEEPER"])
print("ready", flush=True)
sys.stdin.read()
