#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""How large a window is, as its sender sees it.

    receive_window.py serve ADDRESS PORT [RCVBUF]   says "ready"; answers each connection
                                                    with the SHA-256 of what it sent
    receive_window.py send ADDRESS PORT MEGABYTES TRICKLE [SNDBUF]
                                                    as fast as it goes, then after a pause
                                                    TRICKLE pieces of 64 KB, one every 25 ms;
                                                    prints the largest window of the first
                                                    part, the last one of the second, the
                                                    MSS, and the most that was under way
"""
import hashlib
import random
import socket
import struct
import sys
import time

SND_WND = 228  # in struct tcp_info
UNACKED = 24
SND_MSS = 16


def info(s, offset):
    return struct.unpack_from("I", s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256),
                              offset)[0]


def serve(address, port, rcvbuf=None):
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if rcvbuf:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, int(rcvbuf))
    listener.bind((address, int(port)))
    listener.listen()
    print("ready", flush=True)
    while True:
        s, _ = listener.accept()
        digest = hashlib.sha256()
        while data := s.recv(1 << 18):
            digest.update(data)
        s.sendall(digest.digest())
        s.close()


def send(address, port, megabytes, trickle, sndbuf=None):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    if sndbuf:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, int(sndbuf))
    s.connect((address, int(port)))
    data = random.Random(1).randbytes(1 << 16)
    digest = hashlib.sha256()
    largest = under_way = 0
    for i in range(int(megabytes) * 16):
        piece = data[i % 97:] + data[:i % 97]
        digest.update(piece)
        s.sendall(piece)
        largest = max(largest, info(s, SND_WND))
        under_way = max(under_way, info(s, UNACKED) * info(s, SND_MSS))
    for i in range(int(trickle)):
        while info(s, UNACKED):
            time.sleep(0.01)
        time.sleep(0.025 if i else 2.5)
        digest.update(data)
        s.sendall(data)
    s.shutdown(socket.SHUT_WR)
    assert s.recv(32, socket.MSG_WAITALL) == digest.digest(), "other bytes arrived"
    print(largest, info(s, SND_WND), info(s, SND_MSS), under_way)


{"serve": serve, "send": send}[sys.argv[1]](*sys.argv[2:])
