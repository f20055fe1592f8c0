#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# mbufs.sh - Each worker has mbufs of its own: two have twice as many in as much more memory, and
# sixteen with the fewest that may be said do not starve each other

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

command -v redis-benchmark >/dev/null || skip "there is no redis"
wire
# engine WORKERS MBUFS
engine() {
	start_engine e stack "port: {driver: af_packet, iface: ve1, queue_size: 256}
stack: {addresses: [10.1.0.2/24]}
memory: {hugepages: never, mbufs: $2}
workers: {count: $1}"
}
megabytes() { sed -n 's/.*memory: \([0-9]*\) MB.*/\1/p' "$WORK/engine-e.log"; }

engine 1 8191
one=$(megabytes)
stop_engine e
engine 2 8191
assert_eq "$(counter e mbufs_free)" $((2 * 8191)) "mbufs of two workers"
two=$(megabytes)
[ $((two - one)) -ge 18 ] && [ $((two - one)) -le 24 ] || fail "one worker has $one MB, two have $two"
stop_engine e

engine 16 1023
background redis gz e redis-server --bind 10.1.0.2 --port 6399 --protected-mode no --save ''
wait_line redis "Ready to accept"
in_ns peer redis-benchmark -h 10.1.0.2 -p 6399 -t set,get -n 10000 -c 200 -d 1000 --csv >"$WORK/bench" 2>&1 ||
	fail "redis-benchmark: $(cat "$WORK/bench")"
assert_eq "$(counter e 'tx_no_mbuf|rx_no_mbuf|tx_dropped')" 0 "packets without an mbuf"
[ "$(counter e mbufs_free)" -gt 8000 ] || fail "$(counter e mbufs_free) mbufs are free"
stop_engine e
