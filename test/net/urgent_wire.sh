#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# urgent_wire.sh - Urgent data to and from the kernel's TCP
#
# Both must mean the same byte by the urgent pointer.

. "$(dirname "$0")/../lib.sh"

wire
start_wire_engine wire
P=$TEST_DIR/net/urgent_wire.py

background server gz wire python3 "$P" server 10.1.0.2 7300
server=$PID
wait_line server listening
assert in_ns peer timeout 30 python3 "$P" client 10.1.0.2 7300
finish "$server" 10

background server in_ns peer python3 "$P" server 10.1.0.1 7300
server=$PID
wait_line server listening
assert gz wire timeout 30 python3 "$P" client 10.1.0.1 7300
finish "$server" 10
assert_eq "$(counter wire urgent_not_marked)" 0 "urgent_not_marked"
