# SPDX-License-Identifier: BSD-3-Clause
#
# keeper.py - A program that takes one descriptor, says so, and keeps it
#
#	keeper.py PATH		listens there (AF_UNIX); prints listens

import signal
import socket
import sys

listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listens", flush=True)
way, _ = listener.accept()
kept = socket.recv_fds(way, 1, 1)
way.send(b"k")
signal.pause()
