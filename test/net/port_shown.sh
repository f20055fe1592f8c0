#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# port_shown.sh - gazelle-ctl port says what the port is, and counts what it carries

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

# shown EXPRESSION - of p, the port's object
shown() { ctl e --json port | python3 -c "import json, sys; p = json.load(sys.stdin); print($1)"; }

wire
start_engine e stack "port: {driver: af_packet, iface: ve1, mtu: 1400}
stack: {addresses: [10.1.0.2/24]}"
assert_eq "$(shown "p['driver']")" net_af_packet driver
assert_eq "$(shown "p['mac'].lower()")" "$(in_ns stack cat /sys/class/net/ve1/address)" MAC
assert_eq "$(shown "p['mtu']")" 1400 MTU
assert_eq "$(shown "p['rx_queues'], p['tx_queues']")" "${GZ_TEST_WORKERS:-1} ${GZ_TEST_WORKERS:-1}" queues
assert_eq "$(shown "p['link']")" up link
assert_eq "$(shown "'MULTI_SEGS' in p['tx_offered']")" True "segments offered"
assert_eq "$(shown "'MULTI_SEGS' in p['tx_used']")" True "segments in use"
assert_eq "$(shown "len(set(p['tx_used']) - set(p['tx_offered']))")" 0 "used and not offered"
before=$(shown "p['rx_packets']")
assert in_ns peer ping -q -c 5 -i 0.01 10.1.0.2
[ $(($(shown "p['rx_packets']") - before)) -ge 5 ] || fail "rx_packets: $before, then $(shown "p['rx_packets']")"
