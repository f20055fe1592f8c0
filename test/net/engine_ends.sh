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

# Programs that end while it does are let go of by threads that do not wait for it
GZ_RUN_ARGS=--ring
for i in 1 2 3; do
	start_wire_engine "e$i" af_packet
	programs=()
	for ((j = 0; j < 12; j++)); do
		background "program-$j" gz "e$i" bash -c \
			"exec 3<>/dev/tcp/10.1.0.1/9; exec 3<>/dev/udp/10.1.0.1/9; echo ready; exec sleep 30"
		programs+=("$PID")
	done
	for ((j = 0; j < 12; j++)); do
		wait_line "program-$j" ready
	done
	{
		for pid in "${programs[@]}"; do
			sleep 0.002
			# shellcheck disable=SC2046
			kill -KILL $(pgrep -P "$pid") "$pid" || true
		done
	} 2>/dev/null &
	stop_engine "e$i"
	wait
done
