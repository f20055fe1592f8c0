#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# hugepages.sh - Used when there are enough, done without when not, missed when demanded; by one
# of several programs that start at once

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

PAGES=/sys/kernel/mm/hugepages/hugepages-2048kB
if ! [ -w $PAGES/nr_hugepages ]; then skip "no hugepages of 2 MB here"; fi
before=$(cat $PAGES/nr_hugepages)
restore() {
	local status=$?
	set +e # or the status would end this before cleanup
	echo "$before" >$PAGES/nr_hugepages
	(exit $status)
	cleanup
}
trap restore EXIT

free_pages() {
	echo $(($(cat $PAGES/free_hugepages) - $(cat $PAGES/resv_hugepages)))
}
wire
yaml="port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24]}
memory:"

# What is free now is somebody's, or nobody's: none of it is left.
[ "$(free_pages)" = 0 ] || echo $((before - $(free_pages))) >$PAGES/nr_hugepages
[ "$(free_pages)" = 0 ] || skip "hugepages cannot be given back"
start_engine none stack "$yaml {hugepages: auto}"
grep -q 'MB without hugepages (none free)' "$WORK"/*-none.log || fail "none: not said"
stop_engine none
engine_config demanded stack "$yaml {hugepages: always}"
said=$("$BIN/gazelle-engine" --config "$(config_of demanded)" 2>&1) && fail "started without them"
assert_match "$said" "[0-9]+ hugepages of 2 MB are needed and 0 are free"

# With enough of them
echo $(($(cat $PAGES/nr_hugepages) + 128)) >$PAGES/nr_hugepages
[ "$(free_pages)" -ge 100 ] || skip "the kernel has no 128 hugepages to give"
free=$(free_pages)
start_engine some stack "workers: {node: 0}
$yaml {hugepages: auto}"
grep -q 'MB in 2 MB hugepages' "$WORK"/*-some.log || fail "some: not said"
[ "$(free_pages)" -lt "$free" ] || fail "no hugepage is in use"
background echo gz some "$T/semantics/helper_transfer" echo 10.1.0.2 7000
wait_line echo ready
assert in_ns peer "$T/semantics/helper_transfer" ask 10.1.0.2 7000
stop_engine some
within 5 eval '[ "$(free_pages)" = "$free" ]'
start_engine never stack "$yaml {hugepages: never}"
grep -q 'MB without hugepages (as configured)' "$WORK"/*-never.log || fail "never: not said"
assert_eq "$(free_pages)" "$free" "free hugepages"
stop_engine never

# Four that start at once, and pages for one: nobody counts on pages that another one takes.
echo $((before + 40)) >$PAGES/nr_hugepages
free=$(free_pages)
[ "$free" -ge 32 ] && [ "$free" -lt 64 ] || skip "the kernel has no 40 hugepages to give"
for e in a b c d; do
	engine_config $e stack "port: {driver: null}
stack: {addresses: [10.1.0.2/24]}
memory: {hugepages: auto, megabytes: 64}"
	background "engine-$e.log" in_ns stack "$BIN/gazelle-engine" --config "$(config_of $e)"
	ENGINE_PID_OF[$e]=$PID
done
for e in a b c d; do
	wait_for 15 engine_up $e || fail "$e of those that start at once: $(cat "$WORK/engine-$e.log")"
done
assert_eq "$(grep -l 'MB in 2 MB hugepages' "$WORK"/engine-[a-d].log | wc -l)" 1 "with hugepages"
assert_eq "$(grep -l 'MB without hugepages' "$WORK"/engine-[a-d].log | wc -l)" 3 "without them"
for e in a b c d; do stop_engine $e; done
