#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# app_killed.sh - The program dies: its peers see the end, the engine forgets its sockets

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

helper=$T/semantics/helper_transfer
wire
start_wire_engine e

no_socket() {
	! ctl e ss | grep -q "[.:0-9]:$1\b"
}

# A server: its connection and its listener go.
for _ in 1 2; do
	background echo gz e "$helper" echo 10.1.0.2 7000
	server=$PID
	wait_line echo ready
	background hold in_ns peer "$helper" hold 10.1.0.2 7000
	held=$PID
	wait_line hold up
	refute no_socket 7000
	kill -KILL "$(program_of "$server")"
	within 1 gone "$held"
	assert_match "$(tail -n 1 "$WORK/hold")" '^(EOF|ECONNRESET)$' "what the peer saw"
	within 1 no_socket 7000
	assert_match "$(in_ns peer "$helper" ask 10.1.0.2 7000 2>&1)" ECONNREFUSED
	within 2 gone "$server"
done

# A client: the kernel's server sees its connection end.
established() {
	in_ns peer ss -Htn state established '( sport = :7001 )' | grep -q .
}
background echo in_ns peer "$helper" echo 10.1.0.1 7001
wait_line echo ready
background hold gz e "$helper" hold 10.1.0.1 7001
client=$PID
wait_line hold up
assert established
kill -KILL "$(program_of "$client")"
not_established() { ! established; }
within 1 not_established
within 1 no_socket 7001

# A listener that goes while connections come leaves nothing, nor do they.
nothing_left() { [ "$(counter e sockets)" = 0 ]; }
for _ in 1 2 3; do
	assert gz e "$T/semantics/threads" connect_and_disconnect
done
within 3 nothing_left
stop_engine e
