#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ping.sh - ping(8) on the stack: replies of all sizes, errors of routers, and its raw sockets

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

wire
in_ns peer ip address add fd00:1::1/64 dev ve2 nodad || skip "the kernel has no IPv6"
in_ns peer sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
in_ns peer ip route add 198.51.100.0/24 via 10.1.0.77
in_ns peer ip route add 2001:db8:1::/64 via fd00:1::77
in_ns stack sysctl -qw net.ipv4.ping_group_range="0 0"
start_engine e stack 'port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24], addresses6: ["fd00:1::2/64"], gateway: 10.1.0.1, gateway6: "fd00:1::1"}'
wait_for 10 in_ns peer ping -6 -q -c 1 -W 1 fd00:1::2

# replies ADDRESS SIZE... - all of what was sent comes back as it was
replies() {
	local size
	for size in "${@:2}"; do
		assert_match "$(gz e ping -c 2 -i 0.2 -W 5 -s "$size" "$1" 2>&1)" \
			"$((size + 8)) bytes from $1.* 2 received, 0% packet loss"
	done
}

# The kernel's stack has no address here: it cannot have been that one.
replies 10.1.0.1 8 1473 65507
replies fd00:1::1 8 1453 65000
replies 127.0.0.1 56
replies fd00:1::2 56

# What a router says: no way on, and too far.
assert_match "$(gz e ping -c 1 -W 5 203.0.113.9 2>&1)" '10\.1\.0\.1.*Destination Net Unreachable'
assert_match "$(gz e ping -c 1 -W 5 -t 1 198.51.100.9 2>&1)" '10\.1\.0\.1.*Time to live exceeded'
assert_match "$(gz e ping -c 1 -W 5 2001:db8::9 2>&1)" 'fd00:1::1.*Destination unreachable: No route'
assert_match "$(gz e ping -c 1 -W 5 -t 1 2001:db8:1::9 2>&1)" 'fd00:1::1.*Time exceeded'

background out gz e ping -i 0.2 10.1.0.1
wait_line out icmp_seq=3
assert_match "$(ctl e ss)" 'icmp +[A-Z]+ .*ping,'
end "$PID"
within 5 eval '! ctl e ss | grep -q "^icmp"'

# Who may not have one takes a raw socket, which is the kernel's.
in_ns stack sysctl -qw net.ipv4.ping_group_range="1 0"
before=$(counter e kernel_sockets)
assert_match "$(gz e ping -c 1 -W 1 10.1.0.1 2>&1)" 'unreachable|100% packet loss'
[ "$(counter e kernel_sockets)" -gt "$before" ] || fail "no raw socket"
stop_engine e
