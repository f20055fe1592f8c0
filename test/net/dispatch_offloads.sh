#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_offloads.sh - Checksums and large segments through dispatch: passed on between
# engines, cut and summed for a client that takes neither, for the kernel and for a
# port that is an interface; passed on by a port that is a link; each can be switched off

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

# engine NAME ADDRESS [OFFLOADS] - a client that attaches
engine() {
	start_engine "$1" stack "port: {driver: dispatch, path: $WORK/$GZ_TEST_ID-d.sock, offloads: {${3:-}}}
stack: {addresses: [$2/24], addresses6: [\"fd00:1::${2##*.}/64\"]}
policy: {loopback: engine}"
	within 10 dispatch_has "$(client_key "$1" link)" 1
}

# transfer FROM TO ADDRESS - 4 MB and their digest; FROM and TO are commands
transfer() {
	local out server
	background server $2 python3 "$TEST_DIR/net/receive_window.py" serve "$3" 7000
	server=$PID
	wait_line server ready
	out=$($1 python3 "$TEST_DIR/net/receive_window.py" send "$3" 7000 4 0) || fail "$1 to $3: $out"
	end "$server"
}

# wrong NS - segments that its kernel found wrong
wrong() { in_ns "$1" awk '/^Tcp:/ { print $NF }' /proc/net/snmp | tail -1; }

# grew KEY COMMAND... - it has, by more than 50
grew() {
	local before key=$1
	shift
	before=$(dispatch_counter "$key")
	"$@"
	[ "$(dispatch_counter "$key")" -gt $((before + 50)) ] || fail "$key: $before, then $(dispatch_counter "$key"): $*"
}

# still KEY COMMAND... - it has not
still() {
	local before key=$1
	shift
	before=$(dispatch_counter "$key")
	"$@"
	assert_eq "$(dispatch_counter "$key")" "$before" "$key: $*"
}

no_errors() {
	local name
	for name in "$@"; do
		assert_eq "$(counter "$name" 'tcp_checksum_errors|rx_malformed')" 0 "errors at $name"
		assert_eq "$(of "$name" malformed)" 0 "malformed of $name"
	done
}

netns stack
netns peer
veth stack ve1 10.1.0.5/24 peer ve2 10.1.0.1/24
in_ns stack sysctl -qw net.ipv6.conf.ve1.disable_ipv6=1
in_ns peer ip address add fd00:1::1/64 dev ve2 nodad
DISPATCH_PORT="port: {driver: af_packet, iface: ve1}
kernel: {iface: gzk0}" start_dispatch e1:=10.1.0.2,fd00:1::2 e2:=10.1.0.3,fd00:1::3 \
	"e3:=10.1.0.4,fd00:1::4;offloads: none" "e4:=10.1.0.6,fd00:1::6;offloads: checksum, send_kbits: 4000000"
engine e1 10.1.0.2
engine e2 10.1.0.3
assert_eq "$(of e1 offloads)" "checksum, tso, lro" "what e1 and dispatch agreed on"
assert_eq "$(ctl e1 --json port | python3 -c 'import json, sys; print(json.load(sys.stdin)["offloads"])')" \
	"checksum, tso, lro" "in use by e1"

# From engine to engine nothing is done with them
grew frames_large still frames_cut still frames_summed transfer "gz e1" "gz e2" 10.1.0.3
grew frames_large still frames_cut still frames_summed transfer "gz e2" "gz e1" fd00:1::2
[ "$(counter e1 tso)" -gt 50 ] || fail "e1 sent $(counter e1 tso) large segments"
# To an interface, and to the host's kernel
grew frames_cut transfer "gz e1" "in_ns peer" 10.1.0.1
grew frames_cut transfer "gz e1" "in_ns peer" fd00:1::1
grew frames_cut transfer "gz e2" "in_ns stack" 10.1.0.5
assert_eq "$(wrong peer) $(wrong stack)" "0 0" "wrong sums at the kernels"
no_errors e1 e2
stop_engine e2

# One that is offered nothing, and one that is offered checksums, and has a limit
engine e3 10.1.0.4
engine e4 10.1.0.6
assert_eq "$(of e3 offloads), $(of e4 offloads)" "none, checksum" "what they agreed on"
grew frames_cut transfer "gz e1" "gz e3" 10.1.0.4
still frames_large grew frames_summed transfer "gz e4" "gz e3" 10.1.0.4
still frames_summed grew frames_cut transfer "gz e1" "gz e4" 10.1.0.6
still frames_large transfer "gz e3" "gz e1" 10.1.0.2
no_errors e1 e3 e4
stop_engine e4
stop_engine e3
# The engine's own word counts as well; a limit counts frames of the wire
engine e2 10.1.0.3 "tso: false"
still frames_large transfer "gz e2" "gz e1" 10.1.0.2
assert_eq "$(of e2 offloads)" "checksum, lro" "what was agreed on without tso"
"$BIN/gazelle-ctl" dispatch set limit "$GZ_TEST_ID-e1" send_packets 1000000 "$GZ_TEST_ID-d" >/dev/null
grew frames_cut transfer "gz e1" "gz e2" 10.1.0.3
no_errors e1 e2
stop_engine e1
stop_engine e2
stop_dispatch

# A port that is a link itself takes all, and gives it
DISPATCH_PORT="port: {driver: vhost, path: $WORK/wire}
bond: {miimon: 60s}" start_dispatch e1:=10.1.0.2,fd00:1::2
# out [OFFLOADS] - what is at its other end
out() {
	start_engine out peer "port: {driver: virtio_user, path: $WORK/wire, offloads: {${1:-}}}
stack: {addresses: [10.1.0.9/24]}
policy: {loopback: engine}"
}
out
engine e1 10.1.0.2
# Until dispatch has looked at what was agreed on, it goes by what was before.
agreed() ( "$@" transfer "gz e1" "gz out" 10.1.0.9 )
within 10 agreed still frames_cut
grew frames_large still frames_cut transfer "gz e1" "gz out" 10.1.0.9
grew frames_large still frames_cut still frames_summed transfer "gz out" "gz e1" 10.1.0.2
assert_eq "$(counter out 'tcp_checksum_errors|rx_malformed')" 0 "errors at the other end"
# Another one in its place, before the link is looked at next: what that takes is asked anew
stop_engine out
out "lro: false"
within 10 agreed grew frames_cut
grew frames_large still frames_summed transfer "gz out" "gz e1" 10.1.0.2
assert_eq "$(counter out 'tcp_checksum_errors|rx_malformed')" 0 "errors at the one that takes its place"
no_errors e1
stop_dispatch
