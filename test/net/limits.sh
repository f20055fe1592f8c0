#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# limits.sh - limits.sockets and limits.client_sockets: ENOBUFS, and connections that wait

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

# How many sockets there are until there are no more; they stay until a line comes.
take='
import errno, socket, sys
held = []
try:
    while len(held) < 100:
        held.append(socket.socket())
except OSError as e:
    print(len(held), errno.errorcode[e.errno], flush=True)
sys.stdin.readline()
'
# More clients than the server may have sockets; those that are served leave.
clients='
import select, socket
held = [socket.socket() for _ in range(30)]
for s in held:
    s.setblocking(False)
    s.connect_ex(("10.1.0.2", 7000))
left, most = set(held), 0
while left:
    ready = select.select([], left, [], 20)[1]
    assert ready, f"{len(left)} wait for ever"
    most = max(most, len(ready))
    for s in ready:
        assert not s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        s.setblocking(True)
        s.send(b"x" * 64)
        assert len(s.recv(64, socket.MSG_WAITALL)) == 64
        s.close()
        left.remove(s)
print(most)
'

wire
start_engine e stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24]}
limits: {sockets: 50, client_sockets: 20}"

mkfifo "$WORK/zero" "$WORK/one" "$WORK/two"
# What the first client closes is free while it lives on.
background closes gz e bash -c "exec python3 -c '
import socket, sys
for i in range(10):
    socket.socket().close()
print(\"closed\", flush=True)
sys.stdin.readline()' <'$WORK/zero'"
exec 5>"$WORK/zero"
wait_line closes closed
none() { [ "$(counter e sockets)" = 0 ]; }
within 5 none
exec 5>&-
finish "$PID"
# hold NAME - a client that takes what it gets
hold() { gz e bash -c "exec python3 -c '$take' <'$WORK/$1'"; }
background held-one hold one
background held-two hold two
exec 3>"$WORK/one" 4>"$WORK/two"
wait_line held-one ENOBUFS
wait_line held-two ENOBUFS
assert_eq "$(cat "$WORK/held-one" "$WORK/held-two")" "20 ENOBUFS
20 ENOBUFS"
# Of all 50 there are 10 left, for others.
refused=$(counter e limit_reached)
assert_eq "$(gz e python3 -c "$take" </dev/null)" "10 ENOBUFS"
assert [ "$(counter e limit_reached)" -gt "$refused" ]

# The last closes are seen by the reaper.
free() { [ "$(counter e sockets)" -le 80 ]; } # 40 of the engine, and 20 of each client
within 5 free
background server gz e "$T/net/many" serve 7000
wait_line server ready
most=$(in_ns peer python3 -c "$clients") || fail "$most"
[ "$most" -le 10 ] || fail "$most connections at once, in 10 sockets"
assert [ "$(counter e backlog_drops)" -gt 0 ]
stop_engine e
