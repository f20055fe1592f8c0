#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# jumbo.sh - Segments as large as port.mtu allows, and as the peer's MSS does
#
# The kernel at either end of a wire with an MTU of 9000 first, then an engine at one
# end; at last two engines and the shared-memory link.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

MTU=9000 FULL=8948 # with timestamps

# mss_is N COMMAND... ADDRESS - send 16 MB, of which the digest is checked
mss_is() {
	local want=$1 out mss
	shift
	out=$("${@:1:$#-1}" python3 "$TEST_DIR/net/receive_window.py" send "${!#}" 7000 16 0) ||
		fail "the sender: $out"
	read -r _ _ mss _ <<<"$out"
	assert_eq "$mss" "$want" "MSS of $*"
}

# serve ADDRESS COMMAND...
serve() {
	local address=$1
	shift
	background server "$@" python3 "$TEST_DIR/net/receive_window.py" serve "$address" 7000
	SERVER=$PID
	wait_line server ready
}

# of_peer rx|tx bytes|packets - what the kernel's interface counted
of_peer() { in_ns peer cat "/sys/class/net/ve2/statistics/$1_$2"; }

# large rx|tx COMMAND... - it makes frames that are large, on the wire
large() {
	local way=$1 bytes packets
	bytes=$(of_peer "$way" bytes) packets=$(of_peer "$way" packets)
	shift
	"$@"
	bytes=$(($(of_peer "$way" bytes) - bytes)) packets=$(($(of_peer "$way" packets) - packets))
	echo "$way: $packets frames, $bytes bytes"
	[ $bytes -ge $((16 << 20)) ] || fail "$way: $bytes bytes"
	[ $((bytes / packets)) -gt 4000 ] || fail "$way: $packets frames have $bytes bytes"
}

wire
for end in "stack ve1" "peer ve2"; do
	# shellcheck disable=SC2086
	set -- $end
	ip -n "$GZ_TEST_ID-$1" link set "$2" mtu $MTU
done
in_ns stack ip address add 10.1.0.2/24 dev ve1
serve 10.1.0.2 in_ns stack
large tx mss_is $FULL in_ns peer 10.1.0.2
end "$SERVER"
in_ns stack ip address flush dev ve1

start_engine e stack "port: {driver: af_packet, iface: ve1, mtu: $MTU}
stack: {addresses: [10.1.0.2/24]}"
serve 10.1.0.2 gz e
large tx mss_is $FULL in_ns peer 10.1.0.2
end "$SERVER"
serve 10.1.0.1 in_ns peer
large rx mss_is $FULL gz e 10.1.0.1
# What the peer says of its own way back is what it gets.
in_ns peer ip route replace 10.1.0.0/24 dev ve2 advmss 1400
mss_is 1388 gz e 10.1.0.1
end "$SERVER"
assert_eq "$(counter e 'rx_malformed|tx_dropped|tcp_checksum_errors')" 0
# shellcheck disable=SC2016
assert_eq "$(in_ns peer awk '/^Tcp: [0-9]/ { print $16 }' /proc/net/snmp)" 0 "wrong checksums"
stop_engine e

for end in "right vhost 10.2.0.2" "left virtio_user 10.2.0.1"; do
	# shellcheck disable=SC2086
	set -- $end
	netns "$1"
	start_engine "$1" "$1" "port: {driver: $2, path: $WORK/link, mtu: $MTU}
stack: {addresses: [$3/24]}
policy: {loopback: engine}"
done
serve 10.2.0.2 gz right
mss_is $FULL gz left 10.2.0.2
end "$SERVER"
stop_engine left
stop_engine right
