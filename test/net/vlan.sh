#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# vlan.sh - An engine whose port is in a VLAN: full frames both ways, IPv4 and IPv6; what has
# no tag or another one is dropped and counted; one without a VLAN hears no tagged frame

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

netns stack
netns peer
veth stack ve1 "" peer ve2 10.9.0.1/24
in_ns stack sysctl -qw net.ipv6.conf.ve1.disable_ipv6=1
# A kernel that takes tags off does it before AF_XDP sees the frame, and keeps them.
in_ns peer ethtool -K ve2 txvlan off >/dev/null 2>&1 || true
if ! in_ns peer ip link add link ve2 name v10 type vlan id 10 2>/dev/null; then
	background vlans in_ns peer python3 "$(dirname "$0")/vlans.py" ve2 v10:10 v20:20
	wait_line vlans ready
else
	in_ns peer ip link add link ve2 name v20 type vlan id 20
fi
for vlan in v10 v20; do
	in_ns peer sysctl -qw net.ipv6.conf.$vlan.accept_dad=0
	in_ns peer ip link set $vlan up
done
in_ns peer ip address add 10.1.0.1/24 dev v10
in_ns peer ip address add fd00:1::1/64 dev v10 nodad
in_ns peer ip address add 10.2.0.1/24 dev v20

# dropped COUNTER CMD... - CMD fails, and COUNTER has more
dropped() {
	local which=$1 before
	before=$(counter e "$which")
	shift
	refute "$@" >/dev/null
	[ "$(counter e "$which")" -gt "$before" ] || fail "$* is not counted as $which"
}

for driver in af_packet af_xdp; do
	start_engine e stack "port: {driver: $driver, iface: ve1, vlan: 10}
stack: {addresses: [10.1.0.2/24, 10.2.0.2/24, 10.9.0.2/24], addresses6: [\"fd00:1::2/64\"]}"
	assert_eq "$(ctl e --json port | python3 -c 'import json, sys
print(json.load(sys.stdin)["vlan"])')" 10 "VLAN of $driver"
	assert in_ns peer ping -q -c 3 -i 0.01 -s 1472 -M "do" 10.1.0.2 >/dev/null
	within 5 in_ns peer ping -q -c 1 -W 1 -s 1452 fd00:1::2
	each_serves e peer 4
	# Another VLAN, and none
	dropped rx_other_vlan in_ns peer ping -q -c 1 -W 1 10.2.0.2
	dropped rx_other_vlan in_ns peer ping -q -c 1 -W 1 10.9.0.2
	stop_engine e
	for dev in v10 v20 ve2; do in_ns peer ip neigh flush dev $dev; done

	start_engine e stack "port: {driver: $driver, iface: ve1}
stack: {addresses: [10.9.0.2/24, 10.1.0.2/24]}"
	assert in_ns peer ping -q -c 1 10.9.0.2 >/dev/null
	dropped rx_other_vlan in_ns peer ping -q -c 1 -W 1 10.1.0.2
	stop_engine e
	for dev in v10 v20 ve2; do in_ns peer ip neigh flush dev $dev; done
done
