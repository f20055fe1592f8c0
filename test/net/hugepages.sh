#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# hugepages.sh - Used when there are enough, done without when not, missed when demanded

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

PAGES=/sys/kernel/mm/hugepages/hugepages-2048kB
if ! [ -w $PAGES/nr_hugepages ]; then skip "no hugepages of 2 MB here"; fi
before=$(cat $PAGES/nr_hugepages)
restore() {
	local status=$?
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
