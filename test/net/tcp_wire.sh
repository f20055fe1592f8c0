#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# tcp_wire.sh - TCP segment by segment: the scripts of test/net/tcp, on both stacks
#
# Those of test/net/tcp/off are run where timestamps are switched off.
# SCRIPTS=PATTERN runs only those; tcp/run.py says what they may contain.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=test/net/tcp/wire.bash
. "$TEST_DIR/net/tcp/wire.bash"

all=("$TEST_DIR"/net/tcp/${SCRIPTS:-*}.tcp)
off=("$TEST_DIR"/net/tcp/off/*.tcp)

tcp_wire
# Off at first; the path of one script is a black hole.
in_ns stack sysctl -qw net.ipv4.tcp_mtu_probing=1
kernel_scripts "${all[@]}"
in_ns stack sysctl -qw net.ipv4.tcp_timestamps=0
kernel_scripts "${off[@]}"
tcp_wire_is_ours
engine_scripts '{timestamps: false}' "${off[@]}"
stop_engine e
engine_scripts '{}' "${all[@]}"
stop_engine e
