#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# engine_ends.sh - SIGTERM ends an engine in order, and wakes who waits for connections

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

wire
start_wire_engine e af_packet
background waiter gz e python3 -uc '
import select, socket, sys
s = socket.create_server(("10.1.0.2", 7000))
p = select.epoll()
p.register(s, select.EPOLLIN)
print("ready")
got = p.poll(20)
try:
    s.accept()
except OSError as e:
    sys.exit(0 if got else 3)
sys.exit(4)
'
waiter=$PID
wait_line waiter ready
stop_engine e
assert finish "$waiter" 10
