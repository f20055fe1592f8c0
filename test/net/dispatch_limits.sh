#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_limits.sh - What a client may send and receive: bits and packets, each of them
# both ways;
# the other client has its own

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

# Frames and bits that passed to a client or from it: at most the rate for this long,
# and the bucket.  It began before the clock, so a tenth more.
at_most() { # GOT RATE BUCKET MICROSECONDS WHAT
	local most=$((($2 * $4 / 1000000 + $3) * 11 / 10))
	[ "$1" -le $most ] || fail "$5: $1, at most $most"
	[ "$1" -ge $((most / 4)) ] || fail "$5: $1 only, at most $most"
}

now() { echo "${EPOCHREALTIME/./}"; }

sent_bits() { # of TCP, in two seconds, from engine $1 to peer; -R: the other way
	gz "$1" timeout 20 iperf3 -c 10.1.0.1 -t 2 -J "${@:2}" | python3 -c 'import json, sys
print(int(json.load(sys.stdin)["end"]["sum_received"]["bits_per_second"]))'
}

dispatch_wire
start_dispatch "e1=10.1.0.2/32;send_kbits: 16000, receive_packets: 300" \
	"e2=10.1.0.3/32;send_packets: 200"
dispatch_engine e1 10.1.0.2
dispatch_engine e2 10.1.0.3
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.2
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.3

# Packets to e1: a flood of which 300 a second pass
before=$(dispatch_counter e1_tx) since=$(now)
in_ns peer ping -q -f -w 2 -W 1 10.1.0.2 >/dev/null || :
at_most $(($(dispatch_counter e1_tx) - before)) 300 32 $(($(now) - since)) "packets to e1"
# Packets from e2: the flood reaches it, its answers are limited
before=$(dispatch_counter e2_rx) since=$(now) limited=$(dispatch_counter e2_limited)
in_ns peer ping -q -f -w 2 -W 1 10.1.0.3 >/dev/null || :
took=$(($(now) - since))
limited=$(($(dispatch_counter e2_limited) - limited))
at_most $(($(dispatch_counter e2_rx) - before - limited)) 200 32 $took "packets from e2"
[ $limited -gt 0 ] || fail "e2's packets were not counted as limited"

# Bits from e1.  A second client under a limit of its own goes on meanwhile.
background iperf in_ns peer iperf3 -s --forceflush
wait_line iperf 'listening'
background other in_ns peer ping -q -c 10 -i 0.2 -W 1 10.1.0.3
other=$PID
bits=$(sent_bits e1)
[ "$bits" -lt 18000000 ] || fail "e1 sent $bits bits a second, it may 16000000"
[ "$bits" -gt 2000000 ] || fail "e1 sent only $bits bits a second, it may 16000000"
# And to it
for limit in "send_kbits 0" "receive_packets 0" "receive_kbits 16000"; do
	# shellcheck disable=SC2086
	assert "$BIN/gazelle-ctl" dispatch set limit e1 $limit "$GZ_TEST_ID-d"
done
bits=$(sent_bits e1 -R)
[ "$bits" -lt 18000000 ] || fail "e1 received $bits bits a second, it may 16000000"
[ "$bits" -gt 2000000 ] || fail "e1 received only $bits bits a second, it may 16000000"
assert finish "$other" 10
assert_match "$(cat "$WORK/other")" " 0% packet loss"
stop_dispatch
