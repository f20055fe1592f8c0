#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# run_killed.sh - gazelle-run dies: the program that it started goes on

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

helper=$T/semantics/helper_transfer
wire
start_wire_engine e
background echo gz e "$helper" echo 10.1.0.2 7000
run=$PID
wait_line echo ready
program=$(program_of "$run")
background hold in_ns peer "$helper" hold 10.1.0.2 7000
wait_line hold up

kill -KILL "$run"
within 2 gone "$run"
for _ in 1 2 3 4 5; do
	assert in_ns peer "$helper" ask 10.1.0.2 7000
	sleep 0.2
done
assert_eq "$(cat "$WORK/hold")" up "the connection that was there before"
refute gone "$program"

kill -TERM "$program"
within 2 gone "$program"
wait_line hold EOF 2
stop_engine e
