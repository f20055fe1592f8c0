#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# unpredictable.sh - Initial sequence numbers (RFC 6528) on both stacks, and ports (RFC 6056)

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

look=$TEST_DIR/net/unpredictable.py
connect='
import socket, sys
held = [socket.create_connection((sys.argv[1], int(sys.argv[2]))) for _ in range(100)]
'

# looked_at COMMAND... - the stack where COMMAND runs programs, at 10.1.0.2 and fd00:1::2
looked_at() {
	local mac server
	mac=$(in_ns stack cat /sys/class/net/ve1/address)
	background server "$@" python3 "$TEST_DIR/net/echo.py" serve 7000 100
	server=$PID
	wait_line server ready
	assert in_ns peer python3 "$look" isn ve2 "$mac" 10.1.0.2 10.1.0. 7000
	assert in_ns peer python3 "$look" isn ve2 "$mac" fd00:1::2 fd00:1:: 7000
	end "$server"
}

wire
in_ns stack sysctl -qw net.ipv6.conf.ve1.disable_ipv6=0 || skip "the kernel has no IPv6"
in_ns stack ip address add 10.1.0.2/24 dev ve1
in_ns stack ip address add fd00:1::2/64 dev ve1 nodad
in_ns peer ip address add fd00:1::1/64 dev ve2 nodad
looked_at in_ns stack
in_ns stack ip address flush dev ve1
in_ns stack sysctl -qw net.ipv6.conf.ve1.disable_ipv6=1
start_engine e stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24], addresses6: [\"fd00:1::2/64\"]}"
within 10 in_ns peer ping -6 -q -c 1 -W 1 fd00:1::2
looked_at gz e
# Linux takes the next but one of a random start that each destination has (RFC 6056
# 3.3.4); here each port is random.
for address in 10.1.0.1 fd00:1::1; do
	background ports in_ns peer python3 "$look" ports $address 7001 100
	wait_line ports ready
	assert gz e python3 -c "$connect" $address 7001
	finish "$PID" || fail "$(cat "$WORK/ports")"
	cat "$WORK/ports"
done
stop_engine e
