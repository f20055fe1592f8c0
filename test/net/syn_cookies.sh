#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# syn_cookies.sh - Connections that begin with a SYN cookie, segment by segment
#
# SCRIPTS=PATTERN runs only those of test/net/tcp/cookies.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=test/net/tcp/wire.bash
. "$TEST_DIR/net/tcp/wire.bash"

scripts=("$TEST_DIR"/net/tcp/cookies/${SCRIPTS:-*}.tcp)

tcp_wire
in_ns stack sysctl -qw net.ipv4.tcp_syncookies=2
kernel_scripts "${scripts[@]}"
tcp_wire_is_ours
engine_scripts '{syn_cookies: always}' "${scripts[@]}"

# One for each script that succeeds.
[ "$(counter e syncookies_received)" -ge 9 ] || fail "$(ctl e stats | grep cookies)"
[ "$(counter e syncookies_failed)" -ge 4 ] || fail "$(ctl e stats | grep cookies)"
stop_engine e
