#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_mtu.sh - An MTU of 9000 through dispatch: frames of that size both ways, from
# outside, to outside and from engine to engine; one that is larger is fragments.  The
# smallest MTUs, too: 88, with which the kernel's TCP fills packets of 48 bytes, its least
# (net.ipv4.tcp_min_snd_mss); and 68, IPv4's least (RFC 791), with which it sends nothing
# that fits, and engines do

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

# engine NAME ADDRESS MTU
engine() {
	start_engine "$1" stack "port: {driver: virtio_user, path: $WORK/$1.vhost, mtu: $3}
stack: {addresses: [$2/24]}
policy: {loopback: engine}"
	within 10 dispatch_has "$1_link" 1
}

# echoes ADDRESS SIZE COMMAND... - So much of the data goes to it by TCP, and back
echoes() {
	local sum
	sum=$("${@:3}" timeout 30 socat -t 10 - TCP:"$1":7000 < <(head -c "$2" "$WORK/data") | sha256sum)
	assert_eq "$sum" "$(head -c "$2" "$WORK/data" | sha256sum)" "by TCP, ${*:3} to $1, MTU $MTU"
}

# answers COMMAND... - 1000 bytes go to 10.1.0.2 by UDP, in fragments, and come back
answers() {
	"$@" python3 -S - <<-'END' || fail "by UDP, $*, MTU $MTU"
		import os, socket
		data, s = os.urandom(1000), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
		s.settimeout(10)
		s.sendto(data, ('10.1.0.2', 7001))
		assert s.recv(2000) == data
	END
}

# carries MTU - Echo requests that fill it, that are larger, and UDP, from the peer
carries() {
	MTU=$1
	assert in_ns peer ping -q -c 2 -i 0.1 -W 2 -M do -s $((MTU - 28)) 10.1.0.2
	refute in_ns peer ping -q -c 1 -W 0.1 -M do -s $((MTU - 27)) 10.1.0.2
	assert in_ns peer ping -q -c 2 -i 0.1 -W 2 -s $((2 * MTU)) 10.1.0.2
	answers in_ns peer
}

set_mtu() { # MTU
	ip -n "$GZ_TEST_ID-stack" link set ve1 mtu "$1"
	ip -n "$GZ_TEST_ID-peer" link set ve2 mtu "$1"
}

with_mtu() { # MTU SIZE OUTSIDE - SIZE bytes by TCP; is it for the kernel outside as well?
	local server
	set_mtu "$1"
	DISPATCH_PORT="port: {driver: af_packet, iface: ve1, mtu: $1}" start_dispatch e1=10.1.0.2 e2=10.1.0.3
	engine e1 10.1.0.2 "$1"
	engine e2 10.1.0.3 "$1"
	background server-e1 gz e1 socat -t 10 TCP-LISTEN:7000,reuseaddr,fork EXEC:cat
	background server-udp gz e1 socat UDP-RECVFROM:7001,fork EXEC:cat
	background server-peer in_ns peer socat -t 10 TCP-LISTEN:7000,reuseaddr,fork EXEC:cat
	server=$PID
	wait_port peer 10.1.0.2 7000
	carries "$1"
	echoes 10.1.0.2 "$2" gz e2
	if [ "$3" ]; then
		echoes 10.1.0.2 "$2" in_ns peer
		echoes 10.1.0.1 "$2" gz e1
	fi
	assert_eq "$(dispatch_counter e1_malformed e2_malformed port_malformed)" "0 0 0" "malformed, MTU $1"
	stop_engine e1
	stop_engine e2
	end "$server"
	stop_dispatch
}

head -c 4M /dev/urandom >"$WORK/data"
dispatch_wire
set_mtu 68
in_ns stack ip address add 10.1.0.2/24 dev ve1
background server-udp in_ns stack socat UDP-RECVFROM:7001,fork EXEC:cat
KERNEL=$PID
within 5 in_ns stack sh -c 'ss -Huln | grep -q :7001'
carries 68
end "$KERNEL"
in_ns stack ip address flush dev ve1

with_mtu 9000 4M outside
with_mtu 88 256K outside
with_mtu 68 64K ""
