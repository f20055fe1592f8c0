#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# tcp_wire.sh - TCP segment by segment: the scripts of test/net/tcp, on both stacks
#
# SCRIPTS=PATTERN runs only those; tcp/run.py says what they may contain.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

scripts=("$TEST_DIR"/net/tcp/${SCRIPTS:-*}.tcp)

# scripts_on WORLD NS IFACE COMMAND...
scripts_on() {
	local world=$1 ns=$2 iface=$3 mac
	shift 3
	mac=$(in_ns "$ns" cat "/sys/class/net/$iface/address")
	assert in_ns peer python3 "$TEST_DIR/net/tcp/run.py" "$world" ve2 "$mac" 10.1.0.2 \
		10.1.0. "${scripts[@]}" -- "$@"
}

wire
ip -n "$GZ_TEST_ID-stack" address add 10.1.0.2/24 dev ve1
scripts_on kernel stack ve1 ip netns exec "$GZ_TEST_ID-stack"
ip -n "$GZ_TEST_ID-stack" address del 10.1.0.2/24 dev ve1

start_wire_engine e
scripts_on engine stack ve1 ip netns exec "$GZ_TEST_ID-stack" "$BIN/gazelle-run" \
	--config "$(config_of e)" --
stop_engine e
