#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# malformed.sh - Broken frames are counted and dropped; those who talk notice nothing

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

helper=$T/semantics/helper_transfer
COUNT=12000
ERRORS='rx_malformed|tcp_bad_options|[a-z0-9_]*(drop|chkerr|lenerr|proterr|opterr|rterr)[a-z0-9_]*'

wire
start_wire_engine e
background echo gz e "$helper" echo 10.1.0.2 7000
wait_line echo ready
background hold in_ns peer "$helper" hold 10.1.0.2 7000
wait_line hold up

mac=$(in_ns stack cat /sys/class/net/ve1/address)
packets=$(counter e rx_packets)
errors=$(counter e "$ERRORS")
for seed in 1 2 3; do
	assert in_ns peer "$T/semantics/helper_malformed" ve2 "$mac" 10.1.0.1 10.1.0.2 7000 \
		$COUNT $seed
	refute gone "$(engine_pid e)"
	assert in_ns peer "$helper" ask 10.1.0.2 7000
done

assert_eq "$(cat "$WORK/hold")" up "the connection that was there before"
assert [ "$(counter e rx_packets)" -ge $((packets + COUNT)) ]
# Of the 13 kinds at least the checksums, the lengths and the garbage are errors.
assert [ "$(counter e "$ERRORS")" -ge $((errors + 3 * COUNT / 4)) ]
stop_engine e
