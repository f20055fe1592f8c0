#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# engine_killed.sh - The engine dies: every call that waits returns within 2 s

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

wire
start_wire_engine e
background blocked gz e "$T/semantics/helper_blocked" 10.1.0.2
wait_line blocked blocked 20
assert_eq "$(cat "$WORK/blocked")" blocked "what returned before the engine's end"

kill -KILL "$(engine_pid e)"
# Two seconds, and what it takes the program to see that all returned.
killed=${EPOCHREALTIME/./}
assert finish "$PID" 10
took=$(((${EPOCHREALTIME/./} - killed) / 1000))
cat "$WORK/blocked"
assert [ $took -lt 2200 ]
for call in recv send accept 'accept with address' connect; do
	line=$(grep "^$call: " "$WORK/blocked") || fail "$call never returned"
	assert_match "$line" ': (E[A-Z]+|EOF)$'
done
for call in recv send; do
	assert_match "$(grep "^$call: " "$WORK/blocked")" ': (ECONNRESET|EPIPE|EOF)$'
done
