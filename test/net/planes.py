# SPDX-License-Identifier: BSD-3-Clause
#
# planes.py - Connections that leave the rings for one reason each, for planes.sh
#
#	planes.py ADDRESS PORT		prints NAME PEER-PORT of each, then ready; ends
#					with its standard input

import os
import socket
import sys
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


connection("plain")
connection("option")[0].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
here, there = connection("call")
r, w = os.pipe()
there.send(b"by a pipe")
assert os.splice(here.fileno(), w, 9) == 9
held.extend((r, w))
here, there = connection("agent")
here.send(b"z", socket.MSG_EOR)
assert there.recv(1) == b"z"
here, there = connection("passed-on")
left, right = socket.socketpair()
socket.send_fds(left, [b"-"], [here.fileno()])
held.extend((left, right))
here, there = connection("urgent")
there.send(b"!", socket.MSG_OOB)
time.sleep(0.2)
print("ready", flush=True)
sys.stdin.read()
