#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# time_wait.sh - No more connections are in TIME_WAIT than limits.time_wait allows

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

server='
import socket
l = socket.create_server(("10.1.0.2", 7000), backlog=64)
print("ready", flush=True)
while True:
    c = l.accept()[0]
    c.recv(1)
    c.close()
'
client='
import socket
for _ in range(60):
    c = socket.create_connection(("10.1.0.2", 7000))
    c.send(b"x")
    assert c.recv(1) == b""
    c.close()
'

wire
start_engine e stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24]}
limits: {time_wait: 20}"
background server gz e python3 -c "$server"
wait_line server ready
assert in_ns peer python3 -c "$client"
cut() { [ "$(counter e time_wait_cut_short)" = 40 ]; }
within 5 cut
stop_engine e
