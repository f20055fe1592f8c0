#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_mtu.sh - An MTU of 9000 through dispatch: frames of that size both ways, from
# outside, to outside and from engine to engine; one that is larger is fragments; the
# smallest MTU that engines have, too

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

# engine NAME ADDRESS MTU
engine() {
	start_engine "$1" stack "port: {driver: virtio_user, path: $WORK/$1.vhost, mtu: $3}
stack: {addresses: [$2/24]}
policy: {loopback: engine}"
	within 10 dispatch_has "$1_link" 1
}

# carried COMMAND... - 4 MB go through it, and back
carried() {
	head -c 4M "$WORK/data" | "$@" timeout 30 socat -t 10 - TCP:"$TO":7000 | sha256sum
}

with_mtu() { # MTU
	local mtu=$1 end from
	for end in "stack ve1" "peer ve2"; do
		# shellcheck disable=SC2086
		ip -n "$GZ_TEST_ID-${end% *}" link set "${end#* }" mtu "$mtu"
	done
	DISPATCH_PORT="port: {driver: af_packet, iface: ve1, mtu: $mtu}" start_dispatch e1=10.1.0.2 e2=10.1.0.3
	engine e1 10.1.0.2 "$mtu"
	engine e2 10.1.0.3 "$mtu"
	background server-e1 gz e1 socat -t 10 TCP-LISTEN:7000,reuseaddr,fork EXEC:cat
	background server-peer in_ns peer socat -t 10 TCP-LISTEN:7000,reuseaddr,fork EXEC:cat
	SERVER=$PID
	wait_port peer 10.1.0.2 7000
	assert in_ns peer ping -q -c 2 -i 0.1 -W 2 -M do -s $((mtu - 28)) 10.1.0.2
	refute in_ns peer ping -q -c 1 -W 1 -M do -s $((mtu - 27)) 10.1.0.2
	assert in_ns peer ping -q -c 2 -i 0.1 -W 2 -s $((2 * mtu)) 10.1.0.2
	TO=10.1.0.2
	for from in "in_ns peer" "gz e2"; do
		assert_eq "$(carried $from)" "$(head -c 4M "$WORK/data" | sha256sum)" "$from, MTU $mtu"
	done
	TO=10.1.0.1
	assert_eq "$(carried gz e1)" "$(head -c 4M "$WORK/data" | sha256sum)" "from e1 to outside, MTU $mtu"
	for key in e1_malformed e2_malformed port_malformed; do
		assert_eq "$(dispatch_counter $key)" 0 "$key, MTU $mtu"
	done
	stop_engine e1
	stop_engine e2
	end "$SERVER"
	stop_dispatch
}

head -c 4M /dev/urandom >"$WORK/data"
dispatch_wire
with_mtu 9000
with_mtu 576
