#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# tcp_wire.sh - TCP segment by segment: the scripts of test/net/tcp, on both stacks
#
# Those of test/net/tcp/off are run where timestamps are switched off.
# SCRIPTS=PATTERN runs only those; tcp/run.py says what they may contain.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

all=("$TEST_DIR"/net/tcp/${SCRIPTS:-*}.tcp)
off=("$TEST_DIR"/net/tcp/off/*.tcp)
scripts=("${all[@]}")

# scripts_on WORLD COMMAND... - over IPv4 and over IPv6, at the same time
scripts_on() {
	local world=$1 mac four
	shift
	mac=$(in_ns stack cat /sys/class/net/ve1/address)
	background four in_ns peer python3 "$TEST_DIR/net/tcp/run.py" "$world" ve2 "$mac" \
		10.1.0.2 10.1.0. "${scripts[@]}" -- "$@"
	four=$PID
	assert in_ns peer python3 "$TEST_DIR/net/tcp/run.py" "$world" ve2 "$mac" \
		fd00:1::2 fd00:1:: "${scripts[@]}" -- "$@"
	finish "$four" || fail "$(cat "$WORK/four")"
	cat "$WORK/four"
}

wire
in_ns stack sysctl -qw net.ipv6.conf.ve1.disable_ipv6=0 || skip "the kernel has no IPv6"
in_ns stack ip address add 10.1.0.2/24 dev ve1
in_ns stack ip address add fd00:1::2/64 dev ve1 nodad
scripts_on kernel ip netns exec "$GZ_TEST_ID-stack"
in_ns stack sysctl -qw net.ipv4.tcp_timestamps=0
scripts=("${off[@]}")
scripts_on kernel ip netns exec "$GZ_TEST_ID-stack"
in_ns stack ip address flush dev ve1
in_ns stack sysctl -qw net.ipv6.conf.ve1.disable_ipv6=1

in_ns peer ip address add fd00:1::1/64 dev ve2 nodad

# scripts_on_engine [TCP] - the block "tcp:" of its configuration
scripts_on_engine() {
	start_engine e stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24], addresses6: [\"fd00:1::2/64\"]}
tcp: ${1:-{\}}"
	# Duplicate address detection takes a second.
	within 10 in_ns peer ping -6 -q -c 1 -W 1 fd00:1::2
	scripts_on engine ip netns exec "$GZ_TEST_ID-stack" "$BIN/gazelle-run" \
		--config "$(config_of e)" --
	stop_engine e
}

scripts_on_engine '{timestamps: false}'
scripts=("${all[@]}")
scripts_on_engine
