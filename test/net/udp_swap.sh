#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# udp_swap.sh - Datagrams to and from what is the kernel's: a local resolver's place, another
# network, the host's own programs

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

echo_at() {
	background "$1$2" in_ns "$1" python3 "$TEST_DIR/net/udp_wire.py" echo "$2" "$3"
	wait_line "$1$2" ready
}

# swaps FAR NEAR LOOPBACK - FAR is the kernel's, NEAR "own,peer" the stack's
swaps() {
	local before both
	before=$(counter e kernel_swaps)
	background both gz e python3 "$TEST_DIR/net/udp_swap.py" "$1" "$2"
	both=$PID
	for i in 1 2; do
		wait_for 30 bash -c "[ \$(grep -c bound '$WORK/both') = $i ]"
		assert in_ns stack python3 "$TEST_DIR/net/udp_wire.py" asks "$3" 5556
	done
	assert finish "$both"
	# sendto, sendmsg, an interface, two connect, two that say "end"
	assert_eq $(($(counter e kernel_swaps) - before)) 7 swaps
	assert_eq "$(counter e not_reached_any_more)" 0
}

wire
veth stack vk1 10.2.0.1/24 peer vk2 10.2.0.2/24
in_ns peer ip address add fd00:1::1/64 dev ve2 nodad || skip "the kernel has no IPv6"
in_ns peer ip address add fd00:2::2/64 dev vk2 nodad
in_ns stack ip address add fd00:2::1/64 dev vk1 nodad
start_engine e stack 'port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24], addresses6: ["fd00:1::2/64"]}'
wait_for 10 in_ns peer ping -6 -q -c 1 -W 1 fd00:1::2

echo_at peer 10.2.0.2 7000
echo_at peer 10.1.0.1 7000
echo_at stack 127.0.0.1 7001
swaps 10.2.0.2 10.1.0.2,10.1.0.1 127.0.0.1
echo_at peer fd00:2::2 7000
echo_at peer fd00:1::1 7000
echo_at stack ::1 7001
swaps fd00:2::2 fd00:1::2,fd00:1::1 ::1
stop_engine e
