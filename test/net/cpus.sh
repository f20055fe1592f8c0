#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# cpus.sh - Workers by number, or by NUMA node, with memory of that node

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

NODES=/sys/devices/system/node
GZ_TEST_WORKERS=
wire

# refused WORKERS REASON - by the check, or else at the start
refused() {
	engine_config no stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24]}
$1"
	assert_match "$(timeout 10 "$BIN/gazelle-engine" --config "$(config_of no)" 2>&1 || :)" "$2" "$1"
}
# started WORKERS - and their processors, in a line
started() {
	start_engine e stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24]}
$1"
}
processors() { ctl e workers --json | python3 -c 'import json, sys; print(*[w["cpu"] for w in json.load(sys.stdin)])'; }
# Mappings whose memory is to be the node's, numa(7)
of_node() { grep -c " prefer[^ ]*:$1 " "/proc/$(engine_pid e)/numa_maps"; }
# The kernel's list, as numbers
list() { python3 -c 'import os; print(*sorted(os.sched_getaffinity(0) & {i for p in open("'"$1"'").read().split(",")
	for a, b in [(p.split("-") * 2)[:2]] for i in range(int(a), int(b) + 1)}))'; }

refused "worker: {cpu: 0}
workers: {count: 2}" "workers.count: expected one of them"
refused "workers: {cpus: [0], node: 0}" "workers.cpus: expected one of them"
refused "workers: {node: 1000}" "workers.node is 1000"

started "workers: {count: 2}"
assert_eq "$(processors)" "-1 -1" "two that float"
background echo gz e "$T/semantics/helper_transfer" echo 10.1.0.2 7000
wait_line echo ready
assert in_ns peer "$T/semantics/helper_transfer" ask 10.1.0.2 7000
stop_engine e

if [ ! -e $NODES/node0/cpulist ]; then skip "no NUMA in this kernel"; fi
all=$(list $NODES/node0/cpulist)
refused "workers: {node: 0, count: 16}" "may run on $(wc -w <<<"$all") of node 0's"
started "workers: {node: 0}"
assert_eq "$(processors)" "$all" "a worker for each of the node's"
[ "$(of_node 0)" -gt 0 ] || fail "no memory of the engine's prefers node 0"
stop_engine e
started "workers: {node: 0, count: 1}"
assert_eq "$(processors)" "${all%% *}" "the first of the node's"
stop_engine e
started "workers: {cpus: [${all%% *}]}"
[ "$(of_node 0)" -gt 0 ] || fail "no memory prefers the node of workers.cpus"
stop_engine e
