# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# wire.bash - Scripts of segments on both stacks, for test/net/*.sh that sourced lib.sh
#
#   tcp_wire                    a wire whose one end is the kernel's
#   kernel_scripts SCRIPT...    on the kernel, over IPv4 and IPv6; then
#   tcp_wire_is_ours            that end is for engines
#   engine_scripts TCP SCRIPT...
#                               on an engine e, with the block "tcp: TCP"; it is left running

tcp_wire() {
	wire
	in_ns stack sysctl -qw net.ipv6.conf.ve1.disable_ipv6=0 || skip "the kernel has no IPv6"
	in_ns stack ip address add 10.1.0.2/24 dev ve1
	in_ns stack ip address add fd00:1::2/64 dev ve1 nodad
}

tcp_wire_is_ours() {
	in_ns stack ip address flush dev ve1
	in_ns stack sysctl -qw net.ipv6.conf.ve1.disable_ipv6=1
	in_ns peer ip address add fd00:1::1/64 dev ve2 nodad
}

# scripts_on WORLD SCRIPT... -- COMMAND... - over IPv4 and over IPv6, at the same time
scripts_on() {
	local world=$1 mac four
	shift
	mac=$(in_ns stack cat /sys/class/net/ve1/address)
	background four in_ns peer python3 "$TEST_DIR/net/tcp/run.py" "$world" ve2 "$mac" \
		10.1.0.2 10.1.0. "$@"
	four=$PID
	assert in_ns peer python3 "$TEST_DIR/net/tcp/run.py" "$world" ve2 "$mac" \
		fd00:1::2 fd00:1:: "$@"
	finish "$four" || fail "$(cat "$WORK/four")"
	cat "$WORK/four"
}

kernel_scripts() {
	scripts_on kernel "$@" -- ip netns exec "$GZ_TEST_ID-stack"
}

engine_scripts() {
	start_engine e stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24], addresses6: [\"fd00:1::2/64\"]}
tcp: $1"
	# Duplicate address detection takes a second.
	within 10 in_ns peer ping -6 -q -c 1 -W 1 fd00:1::2
	scripts_on engine "${@:2}" -- ip netns exec "$GZ_TEST_ID-stack" "$BIN/gazelle-run" \
		--config "$(config_of e)" --
}
