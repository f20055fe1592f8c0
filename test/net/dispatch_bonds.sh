#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_bonds.sh - Two of three ports are bonds: one goes over to its other cable and back, by
# link and by probe, and is taken over by a new process on the second cable, while lines
# go by each port; the others do not go over, and hear none of its announcements

GZ_DISPATCH_WORKERS="-1, -1"
# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

# network N IFACE... - a host at 10.1.0.1, and cables to it by a bridge, one each
network() {
	local iface n=$1
	shift
	netns host$n
	# A cable that is not the bridge's has nobody behind it
	in_ns host$n sysctl -qw net.ipv4.conf.all.arp_ignore=1
	# Its address is not that of a cable, which would go with it
	ip -n "$GZ_TEST_ID-host$n" link add br0 address "02:00:00:00:01:0$n" type bridge
	ip -n "$GZ_TEST_ID-host$n" address add 10.1.0.1/24 dev br0
	ip -n "$GZ_TEST_ID-host$n" link set br0 up
	for iface in "$@"; do
		veth stack "$iface" "" host$n "to-$iface"
		ip -n "$GZ_TEST_ID-host$n" link set "to-$iface" master br0
	done
}

# active PORT - the device by which port PORT sends
active() {
	"$BIN/gazelle-ctl" dispatch bond "$GZ_TEST_ID-d" --json | python3 -c 'import json, sys
for p in json.load(sys.stdin)["ports"].values():
	if p["port"] == sys.argv[1] and p["active"]: print(p["name"])' "$1"
}
is_active() { [ "$(active "$1")" = "$2" ]; }
state_is() { [ "$("$BIN/gazelle-ctl" dispatch bond "$GZ_TEST_ID-d" --json | python3 -c 'import json, sys
for p in json.load(sys.stdin)["ports"].values():
	if p["name"] == sys.argv[1]: print(p["state"])' "$1")" = "$2" ]; }

# answered N - lines are answered at port N, now
answered() {
	local before
	before=$(rx_of "$1")
	within 5 eval "[ \"\$(rx_of $1)\" -gt $((before + 5)) ]"
}
rx_of() { dispatch_counter "$(client_key "e$1" rx)"; }

netns stack
network 1 va vb
network 2 vc vd
network 3 ve
DISPATCH_PORT="memory: {mbufs: 16383}
bond: {probe_interval: 50ms, probe_misses: 4, up_delay: 200ms}
ports:
  - {name: one, bond: [{driver: af_packet, iface: va}, {driver: af_packet, iface: vb}], probe: [10.1.0.1]}
  - {name: two, bond: [{driver: af_packet, iface: vc}, {driver: af_packet, iface: vd}]}
  - {name: three, driver: af_packet, iface: ve}" \
	start_dispatch "e1:=10.1.0.2;port: one" "e2:=10.1.0.2;port: two" "e3:=10.1.0.2;port: three"
LINES_OF=()
for i in 1 2 3; do
	attach_engine e$i 10.1.0.2
	background echo-e$i gz e$i socat TCP-LISTEN:7000,reuseaddr,fork PIPE
	wait_port host$i 10.1.0.2 7000
	talk host$i 10.1.0.2:7000
	mv "$WORK/lines-10.1.0.2:7000" "$WORK/lines-$i" # it writes on
	LINES_OF+=("$PID")
	answered $i
done
is_active one va || fail "$(active one) of port one"
for i in 2 3; do
	background told$i in_ns host$i tcpdump -n -l -i br0 arp
	wait_line told$i 'listening on'
done

# The cable
ip -n "$GZ_TEST_ID-host1" link set to-va down
within 5 is_active one vb
answered 1
ip -n "$GZ_TEST_ID-host1" link set to-va up
within 5 is_active one va
# What is behind it
ip -n "$GZ_TEST_ID-host1" link set to-va nomaster
within 5 is_active one vb
assert state_is va silent
for i in 1 2 3; do answered $i; done
is_active two vc || fail "$(active two) of port two"
refute grep -q 'Request who-has 10.1.0.2 tell 10.1.0.2' "$WORK/told2" "$WORK/told3"

# And the other bond, which has no probe
ip -n "$GZ_TEST_ID-stack" link del vc
within 5 is_active two vd
assert state_is vc absent
wait_line told2 'Request who-has 10.1.0.2 tell 10.1.0.2'
refute grep -q 'Request who-has 10.1.0.2 tell 10.1.0.2' "$WORK/told3"

# A new process finds each as it is
before=$DISPATCH
background dispatch-2.log in_ns stack "$BIN/gazelle-dispatch" --takeover --config "$WORK/dispatch.yaml"
DISPATCH=$PID
wait_line dispatch-2.log 'took over from process' 20
assert finish "$before" 10
within 10 is_active one vb
within 10 is_active two vd
for i in 1 2 3; do
	within 10 dispatch_has "$(client_key "e$i" link)" 1
	answered $i
done
touch "$WORK/over"
for pid in "${LINES_OF[@]}"; do
	assert finish "$pid" 30
done
stop_dispatch
