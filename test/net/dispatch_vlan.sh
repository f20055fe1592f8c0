#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_vlan.sh - A VLAN of the port's and one of a client's: each hears its own, in full
# frames, broadcasts and ARP too; they meet by a router only; foreign tags are dropped
# and counted

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

netns stack
netns peer
veth stack ve1 "" peer ve2 10.9.0.1/24
if ! in_ns peer ip link add link ve2 name v10 type vlan id 10 2>/dev/null; then
	background vlans in_ns peer python3 "$(dirname "$0")/vlans.py" ve2 v10:10 v20:20 v30:30
	wait_line vlans ready
else
	in_ns peer ip link add link ve2 name v20 type vlan id 20
	in_ns peer ip link add link ve2 name v30 type vlan id 30
fi
for vlan in v10 v20 v30; do in_ns peer ip link set "$vlan" up; done
in_ns peer ip address add 10.1.0.1/24 dev v10
in_ns peer ip address add 10.2.0.1/24 dev v20
in_ns peer ip address add 10.3.0.1/24 dev v30
export DISPATCH_PORT="port: {driver: af_packet, iface: ve1, vlan: 10}"
CLIENTS=(e1:=10.1.0.2 "e2:=10.2.0.2;vlan: 20" "e3:=10.1.0.3;vlan: 20" e4:=10.1.0.4)
start_dispatch "${CLIENTS[@]}"
vlan_engine() { # NAME ADDRESS GATEWAY
	start_engine "$1" stack "port: {driver: dispatch, path: $WORK/$GZ_TEST_ID-d.sock}
stack: {addresses: [$2/24], gateway: $3}
policy: {loopback: engine}"
	within 10 dispatch_has "$(client_key "$1" link)" 1
}
vlan_engine e1 10.1.0.2 10.1.0.1
vlan_engine e2 10.2.0.2 10.2.0.1
vlan_engine e3 10.1.0.3 10.1.0.1
vlan_engine e4 10.1.0.4 10.1.0.1
echoes() { gz "$1" timeout "${3:-10}" socat -t 3 - TCP:"$2" <<<hello 2>/dev/null || :; }
vlan_of() { dispatch_counter "${2:-port}_vlan"; }

# Each in its own, with the largest frames
for a in 10.1.0.2 10.2.0.2; do
	within 10 in_ns peer ping -q -c 1 -W 1 $a
	assert in_ns peer ping -q -c 2 -i 0.1 -W 1 -M do -s 1472 $a
done
background one gz e1 socat TCP-LISTEN:7000,reuseaddr,fork PIPE
background two gz e2 socat TCP-LISTEN:7000,reuseaddr,fork PIPE
background outside in_ns peer socat TCP-LISTEN:7001,reuseaddr,fork PIPE
wait_port peer 10.1.0.2 7000
wait_port peer 10.2.0.2 7000
assert_eq "$(echoes e1 10.1.0.1:7001)" hello "out of VLAN 10"
assert_eq "$(echoes e2 10.2.0.1:7001)" hello "out of VLAN 20"
assert_eq "$(echoes e4 10.1.0.2:7000)" hello "within VLAN 10"

# e3 says that it is on e1's network, and is in another VLAN: they do not meet
assert_eq "$(echoes e3 10.1.0.2:7000 2)" "" "from VLAN 20 to VLAN 10"
assert_eq "$(dispatch_counter "$(client_key e3 vlan)")" 0 "of e3, which sent nothing wrong"
# By the router they do
assert_eq "$(echoes e2 10.1.0.2:7000 2)" "" "without a router"
in_ns peer sysctl -q -w net.ipv4.ip_forward=1
for dev in all v10 v20; do in_ns peer sysctl -q -w "net.ipv4.conf.$dev.rp_filter=0"; done
assert_eq "$(echoes e2 10.1.0.2:7000)" hello "from VLAN 20 to VLAN 10 by a router"

# Broadcasts: those of VLAN 20 are e2's and e3's
frames() { dispatch_counter "$(client_key "$1" tx)"; }
one=$(frames e1) two=$(frames e2)
in_ns peer python3 -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"v20")
for i in range(100): s.sendto(b"x", ("10.2.0.255", 9))'
within 5 eval '[ "$(frames e2)" -ge $((two + 100)) ]'
[ "$(frames e1)" -lt $((one + 50)) ] || fail "e1 got broadcasts of VLAN 20"

# Foreign: a tag that nobody has, none at all, and a client's address in another VLAN
before=$(vlan_of)
! in_ns peer ping -q -c 2 -i 0.1 -W 1 -I v30 10.3.0.2 >/dev/null || fail "VLAN 30 answers"
[ "$(vlan_of)" -gt "$before" ] || fail "frames of VLAN 30 were not counted"
before=$(vlan_of)
! in_ns peer ping -q -c 2 -i 0.1 -W 1 10.9.0.2 >/dev/null || fail "who has no tag is answered"
[ "$(vlan_of)" -gt "$before" ] || fail "frames without a tag were not counted"
in_ns peer ip neigh replace 10.1.0.2 lladdr 02:00:00:00:00:77 dev v20
in_ns peer ip route add 10.1.0.2/32 dev v20
before=$(vlan_of)
! in_ns peer ping -q -c 2 -i 0.1 -W 1 10.1.0.2 >/dev/null || fail "e1 answers in VLAN 20"
[ "$(vlan_of)" -gt "$before" ] || fail "frames for e1 in VLAN 20 were not counted"
stop_dispatch
