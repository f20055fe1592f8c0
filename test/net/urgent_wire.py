# SPDX-License-Identifier: BSD-3-Clause
#
# urgent_wire.py server|client ADDRESS PORT - Urgent bytes each way, told of by poll()
import select
import socket
import sys


def urgent(s):
    p = select.poll()
    p.register(s, select.POLLPRI)
    assert p.poll(10000), "nothing urgent"
    return s.recv(1, socket.MSG_OOB)


def talk(s, first):
    for i in range(5):
        for turn in (first, not first):
            if turn:
                s.sendall(b"a" * 3000 * i + b"<")
                s.send(b"urgenT", socket.MSG_OOB)
                s.sendall(b">" + b"b" * 2000 * i)
            else:
                assert urgent(s) == b"T"
                want = b"a" * 3000 * i + b"<urgen>" + b"b" * 2000 * i
                got = b""
                while len(got) < len(want):
                    more = s.recv(len(want) - len(got))
                    assert more, got[-20:]
                    got += more
                assert got == want


at = (sys.argv[2], int(sys.argv[3]))
if sys.argv[1] == "server":
    with socket.create_server(at) as l:
        print("listening", flush=True)
        talk(l.accept()[0], False)
else:
    talk(socket.create_connection(at), True)
print("done", flush=True)
