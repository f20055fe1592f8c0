#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# memory.sh - The engine as configured by default has less than 64 MB at first, and stays below 128 MB under load

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

BASE_KB=$((64 * 1024)) LIMIT_KB=$((128 * 1024))
case $BUILD in
*san*) skip "a sanitizer's memory is not the engine's" ;;
esac
command -v iperf3 >/dev/null || skip "iperf3 is not there"
command -v redis-benchmark >/dev/null || skip "redis is not there"

# has VmRSS|VmHWM - kB
has() {
	awk -v key="$1:" '$1 == key { print $2 }' "/proc/$(engine_pid e)/status"
}

wire
start_wire_engine e auto
echo "base: $(has VmRSS) kB, peak $(has VmHWM) kB"
[ "$(has VmHWM)" -lt $BASE_KB ] || fail "the engine began with $(has VmHWM) kB, more than $BASE_KB kB"
background iperf gz e iperf3 -s --forceflush
wait_line iperf 'Server listening'
background redis gz e redis-server --bind 10.1.0.2 --protected-mode no --save ''
wait_line redis 'Ready to accept connections'

assert in_ns peer iperf3 -c 10.1.0.2 -t 3 -P 32 >/dev/null
within 5 in_ns peer iperf3 -c 10.1.0.2 -t 3 -P 32 -R
assert in_ns peer redis-benchmark -h 10.1.0.2 -t set,get -n 50000 -c 500 -P 16 -q

echo "peak: $(has VmHWM) kB"
[ "$(has VmHWM)" -lt $LIMIT_KB ] || fail "the engine took $(has VmHWM) kB, more than $LIMIT_KB kB"
