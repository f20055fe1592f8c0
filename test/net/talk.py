# SPDX-License-Identifier: BSD-3-Clause
#
# talk.py - A connection that echoes a line each 20 ms, and counts; it fails if one is wrong
#
#	talk.py ADDRESS		to port 7000 there, where everything is sent back

import socket, sys, time
s = socket.create_connection((sys.argv[1], 7000), 10)
s.settimeout(60)
f = s.makefile("rw")
n = 0
while True:
    f.write("%d\n" % n)
    f.flush()
    assert f.readline() == "%d\n" % n
    n += 1
    print(n, flush=True)
    time.sleep(0.02)
