#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dns.sh - dnsmasq and dig, on both stacks, over both families: datagrams, large ones, TCP

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

for c in dnsmasq dig; do command -v $c >/dev/null || skip "no $c"; done

# 2200 bytes of text: more than a frame, so that EDNS0 has fragments, and no EDNS0 has TCP.
big=
for i in 1 2 3 4 5 6 7 8 9 10; do
	big+=${big:+,}$(printf "%d%0219d" $i 0)
done

# serve ADDRESS CMD... - a server started by CMD, for one address or "any"
serve() {
	local address=$1 bind=()
	shift
	[ "$address" = any ] || bind=(--bind-interfaces --listen-address="$address")
	background "dns-$address" "$@" dnsmasq --keep-in-foreground --log-facility=- --user=root \
		--pid-file --conf-file=/dev/null --no-resolv --no-hosts --edns-packet-max=4096 \
		--host-record=one.test,192.0.2.7,2001:db8::7 --txt-record=big.test,"$big" \
		"${bind[@]}"
	wait_line "dns-$address" started
}

# ask ADDRESS CMD... - what CMD's dig has for it
ask() {
	local at=$1
	shift
	local dig=("$@" dig "@$at" +tries=3 +timeout=3)

	assert_eq "$("${dig[@]}" +short one.test A)" 192.0.2.7 "A from $at"
	assert_eq "$("${dig[@]}" +short one.test AAAA)" 2001:db8::7 "AAAA from $at"
	assert_match "$("${dig[@]}" two.test A)" 'status: (REFUSED|NXDOMAIN)'
	large "$at" +bufsize=4096 +notcp +ignore
}

# The same over TCP, asked for and because the answer is cut off
ask_tcp() {
	local dig=("${@:2}" dig "@$1" +tries=3 +timeout=3)

	large "$1" +tcp
	large "$1" +noedns
}

large() {
	local got at=$1
	shift
	got=$("${dig[@]}" +short big.test TXT "$@" | tr -d '" ')
	assert_eq "$got" "${big//,/}" "TXT from $at, $*"
}

wire
in_ns peer ip address add fd00:1::1/64 dev ve2 nodad || skip "the kernel has no IPv6"
start_engine e stack 'port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24], addresses6: ["fd00:1::2/64"]}'
wait_for 10 in_ns peer ping -6 -q -c 1 -W 1 fd00:1::2

# On the stack; for any address it looks at interfaces and IP_PKTINFO, of TCP connections
# at IP_PKTOPTIONS, else it binds.
serve any gz e
ask 10.1.0.2 in_ns peer
ask_tcp 10.1.0.2 in_ns peer
ask fd00:1::2 in_ns peer
ask_tcp fd00:1::2 in_ns peer
ask 127.0.0.1 gz e
ask_tcp 127.0.0.1 gz e
ask 127.0.0.1 in_ns stack
ask_tcp 127.0.0.1 in_ns stack
end "$PID"
serve fd00:1::2 gz e
ask fd00:1::2 in_ns peer
ask_tcp fd00:1::2 in_ns peer
end "$PID"

# On the peer's kernel, and on this host's, where a local resolver is.
serve any in_ns peer
ask 10.1.0.1 gz e
ask_tcp 10.1.0.1 gz e
ask fd00:1::1 gz e
end "$PID"
serve 127.0.0.1 in_ns stack
ask 127.0.0.1 gz e
stop_engine e
