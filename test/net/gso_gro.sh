#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# gso_gro.sh - Segments cut and merged in software, before and behind a port
#
# 16 MB each way beside the kernel, of which the digest is checked; then the same over a wire that
# loses, repeats and reorders.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

# transfer FROM... -- TO... -- ADDRESS - commands before python3
transfer() {
	local from=() to=() out server
	while [ "$1" != -- ]; do from+=("$1") && shift; done
	shift
	while [ "$1" != -- ]; do to+=("$1") && shift; done
	background server "${to[@]}" python3 "$TEST_DIR/net/receive_window.py" serve "$2" 7000
	server=$PID
	wait_line server ready
	out=$("${from[@]}" python3 "$TEST_DIR/net/receive_window.py" send "$2" 7000 16 0) ||
		fail "${from[*]} to $2: $out"
	end "$server"
}

both_ways() {
	transfer gz e -- in_ns peer -- 10.1.0.1
	transfer in_ns peer -- gz e -- 10.1.0.2
}

# start KEYS - an engine with these offloads
start() {
	start_engine e stack "port: {driver: af_packet, iface: ve1, offloads: {$1}}
stack: {addresses: [10.1.0.2/24]}"
}

bad_wire
forward 1 - -
start "gso: true"
both_ways
assert_match "$(ctl e port)" "offloads +gso, gro" "in use"
[ "$(counter e gso)" -gt 100 ] || fail "$(counter e gso) segments were cut"
[ "$(counter e gro)" -gt 100 ] || fail "$(counter e gro) segments were merged"
assert_eq "$(counter e 'tcp_checksum_errors|rx_malformed|tx_dropped')" 0 errors
# shellcheck disable=SC2016
assert_eq "$(in_ns peer awk '/^Tcp: [0-9]/ { print $16 }' /proc/net/snmp)" 0 "wrong checksums"
forward 2 "loss=0.005,dup=0.005,reorder=0.01" "loss=0.005,dup=0.005,reorder=0.01"
both_ways
[ "$(counter e tso_cut)" -gt 0 ] || fail "no large segment was cut where one was lost"
stop_engine e

forward 3 - -
start "gso: false, gro: false"
both_ways
assert_eq "$(counter e gso) $(counter e gro)" "0 0" "cut, merged"
assert_match "$(ctl e port)" "offloads +none" "in use"
stop_engine e
