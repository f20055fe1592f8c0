#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_bond_modes.sh - DPDK's bonding device as dispatch's port, over two interfaces of
# AF_PACKET: balance-xor (2) and balance-alb (6).  The other end is another one, testpmd's,
# which answers ARP and echo requests; frames leave by both interfaces.  802.3ad (4) between two
# dispatchers, whose agreement takes no traffic

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

command -v dpdk-testpmd >/dev/null || skip "dpdk-testpmd is missing"

sent() { in_ns stack cat "/sys/class/net/$1/statistics/tx_packets"; }

# pings N: to each of 16 hosts, all of them testpmd
pings() {
	local i
	for ((i = 10; i < 26; i++)); do
		gz e1 ping -q -c "$1" -i 0.01 -W 2 10.1.0.$i >/dev/null || return 1
	done
}

over() { # MODE
	local devices="mode=$1,xmit_policy=l34,slave=net_af_packet0,slave=net_af_packet1" before
	sleep 60 >"$WORK/words" &
	background "testpmd-$1" in_ns peer bash -c "exec dpdk-testpmd --no-huge -m 64 --no-pci \
		--no-telemetry --file-prefix '$GZ_TEST_ID-$1' -l 0,1 \
		--vdev net_af_packet0,iface=vp1 --vdev net_af_packet1,iface=vp3 \
		--vdev 'net_bonding0,$devices' -- -i --auto-start --forward-mode=icmpecho \
		--portlist=2 --nb-cores=1 --total-num-mbufs=4096 --no-mlockall <'$WORK/words'"
	TESTPMD=$PID
	DISPATCH_PORT="port: {driver: vdev, device: 'net_bonding0,$devices'}
eal_args: ['--vdev=net_af_packet0,iface=ve1', '--vdev=net_af_packet1,iface=ve3']" \
		start_dispatch e1=10.1.0.2
	[ -n "${ENGINE_PID_OF[e1]:-}" ] || dispatch_engine e1 10.1.0.2
	within 20 dispatch_has e1_link 1
	within 20 gz e1 ping -q -c 1 -W 1 10.1.0.10
	before=("$(sent ve1)" "$(sent ve3)")
	assert pings 10
	for i in 0 1; do
		n=$(($(sent ve$((2 * i + 1))) - before[i]))
		echo "mode $1: $n frames by ve$((2 * i + 1))"
		[ $n -gt 10 ] || fail "mode $1: $n frames left by ve$((2 * i + 1))"
	done
	stop_dispatch
	end "$TESTPMD" KILL
}

netns stack
netns peer
veth stack ve1 "" peer vp1
veth stack ve3 "" peer vp3
in_ns stack sysctl -qw net.ipv4.ping_group_range="0 0"
mkfifo "$WORK/words"
over 2
over 6

# 802.3ad (4) with another dispatcher: both agree, or no frame would pass
lacp="mode=4,xmit_policy=l34,slave=net_af_packet0,slave=net_af_packet1"
cat >"$WORK/d2.yaml" <<-END
	name: $GZ_TEST_ID-d2
	run_dir: $WORK
	port: {driver: vdev, device: "net_bonding0,$lacp"}
	eal_args: ["--vdev=net_af_packet0,iface=vp1", "--vdev=net_af_packet1,iface=vp3"]
	clients: [{name: $GZ_TEST_ID-out, address: 10.1.0.10}]
END
background second.log in_ns peer "$BIN/gazelle-dispatch" --config "$WORK/d2.yaml"
second=$PID
DISPATCH_PORT="port: {driver: vdev, device: 'net_bonding0,$lacp'}
eal_args: ['--vdev=net_af_packet0,iface=ve1', '--vdev=net_af_packet1,iface=ve3']" \
	start_dispatch e1=10.1.0.2
wait_line second.log ' serves '
# Nobody has anything to send yet.  IEEE 802.1AX 6.4.2.3: the actor's state is in sync, collecting and
# distributing
in_ns peer timeout 30 python3 -S - <<-'END' || fail "not by both interfaces"
	import select, socket
	agreed, s = set(), {}
	for iface in 'vp1', 'vp3':
	    s[iface] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x8809))
	    s[iface].bind((iface, 0x8809))
	while len(agreed) < 2:
	    for one in select.select(s.values(), [], [])[0]:
	        frame, who = one.recvfrom(200)
	        if who[2] != socket.PACKET_OUTGOING and frame[32] & 0x38 == 0x38:
	            agreed.add(who[0])
END
start_engine out peer "port: {driver: dispatch, path: $WORK/$GZ_TEST_ID-d2.sock}
stack: {addresses: [10.1.0.10/24]}
policy: {loopback: engine}"
within 20 dispatch_has e1_link 1
assert_match "$(gz e1 ping -q -c 5 -i 0.01 -W 2 10.1.0.10)" " 0% packet loss"
end "$second"
stop_dispatch
