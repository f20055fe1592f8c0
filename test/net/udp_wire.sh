#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# udp_wire.sh - UDP with a kernel peer, over IPv4 and IPv6: sizes, refusals, groups, ping

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

py=$TEST_DIR/net/udp_wire.py
wire
in_ns peer ip address add fd00:1::1/64 dev ve2 nodad || skip "the kernel has no IPv6"
start_engine e stack 'port: {driver: af_xdp, iface: ve1}
stack: {addresses: [10.1.0.2/24], addresses6: ["fd00:1::2/64"]}'
wait_for 10 in_ns peer ping -6 -q -c 1 -W 1 fd00:1::2

# both_ways STACK PEER SIZE... - each side serves the other
both_ways() {
	local stack=$1 peer=$2
	shift 2
	background serve gz e python3 "$py" echo "$stack"
	wait_line serve ready
	assert_match "$(ctl e ss)" 'udp +UNCONN .*:7000'
	assert in_ns peer python3 "$py" ask "${STACK_SEEN:-$stack}" "$@"
	assert finish "$PID"

	background serve in_ns peer python3 "$py" echo "$peer"
	wait_line serve ready
	assert gz e python3 "$py" ask "${PEER_SEEN:-$peer}" "$@"
	assert finish "$PID"
}

# Each joins a group of its own; the peer speaks first, the stack answers.
groups() {
	background member gz e python3 "$py" group "$1" "$3" "$4" ''
	wait_line member ready
	assert in_ns peer python3 "$py" group "$2" "$4" "$3" speaks
	assert finish "$PID"
}

# Broadcasts, of the link and of its network, each way, in both planes
broadcasts() {
	local plane
	for plane in --relay --ring; do
		background hear in_ns peer python3 "$py" hear 10.1.0.1 10.1.0.255
		wait_line hear ready
		GZ_RUN_ARGS=$plane assert gz e python3 "$py" shout 10.1.0.2 10.1.0.255 10.1.0.1
		assert finish "$PID"
		GZ_RUN_ARGS=$plane background hear gz e python3 "$py" hear 10.1.0.2 10.1.0.255
		wait_line hear ready
		assert in_ns peer python3 "$py" shout 10.1.0.1 10.1.0.255 10.1.0.2
		assert finish "$PID"
	done
}

# told STACK PEER LARGEST - the kernel, then ours in both planes
told() {
	local plane
	assert in_ns peer python3 "$py" told "$1" "$3"
	for plane in --relay --ring; do
		GZ_RUN_ARGS=$plane assert gz e python3 "$py" told "$2" "$3"
	done
}

both_ways 10.1.0.2 10.1.0.1 0 1 1472 1473 4000 20000 65507
broadcasts
groups 10.1.0.2 10.1.0.1 239.1.2.3 239.1.2.4
assert gz e python3 "$py" errors 10.1.0.1
assert in_ns peer python3 "$py" whole 10.1.0.2 1472
assert gz e python3 "$py" whole 10.1.0.1 1472
told 10.1.0.2 10.1.0.1 1472
background seen in_ns peer python3 "$py" flags 10.1.0.1
wait_line seen ready
assert gz e python3 "$py" forbid 10.1.0.1
assert finish "$PID"
assert_eq "$(tail -n 1 "$WORK/seen")" "whole any"
assert in_ns peer ping -c 1 -W 2 -s 65507 10.1.0.2

# sends SIZE MTU LARGEST - to the peer, who sees fragments of at most LARGEST
sends() {
	local gave
	background take in_ns peer python3 "$py" take fd00:1::1
	wait_line take ready
	gave=$(gz e python3 "$py" give fd00:1::1 "$1" "$2")
	assert finish "$PID"
	assert_eq "$(tail -n 1 "$WORK/take")" "$gave $3"
}
sends 65527 0 1496
sends 3000 1280 1280
sends 1400 1280 1280
sends 1232 1280 0

# From 65488 on a packet's length with its header has more than 16 bits.  Of such an echo
# request nothing comes back, and everything goes on.
refute in_ns peer ping -c 1 -W 1 -s 65488 fd00:1::2
both_ways fd00:1::2 fd00:1::1 0 1 1452 1453 4000 20000 65487 65488 65519 65520 65527
assert in_ns peer python3 "$py" refused fd00:1::2 65500
index=$(in_ns peer cat /sys/class/net/ve2/ifindex)
groups 0 "$index" ff15::4711 ff15::4712
groups 0 "$index" ff02::4711 "ff02::4712"
assert gz e python3 "$py" errors fd00:1::1
assert in_ns peer python3 "$py" whole fd00:1::2 1452
assert gz e python3 "$py" whole fd00:1::1 1452
told fd00:1::2 fd00:1::1 1452

stack=$(link_local stack ve1) peer=$(link_local peer ve2)
STACK_SEEN=$stack%$index PEER_SEEN=$peer%gazelle0 both_ways "$stack%gazelle0" "$peer%$index" 10 3000
stop_engine e

# AF_PACKET hands fragments over as they came.
start_wire_engine e af_packet
both_ways 10.1.0.2 10.1.0.1 1473 4000 65507
assert in_ns peer ping -c 1 -W 2 -s 65507 10.1.0.2
stop_engine e
