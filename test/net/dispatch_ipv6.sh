#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_ipv6.sh - Two engines behind one port over IPv6: outside, each other, and
# addresses that are not theirs

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

echo_server() { # NAME: on the engine, what comes goes back
	background "server-$1" gz "$1" socat TCP6-LISTEN:7000,reuseaddr,fork PIPE
}

said() { # CMD...: through it to the echo server and back
	echo hello | "$@" 2>&1
}

spoofed() { [ "$(dispatch_counter e2_spoofed)" -gt 0 ]; }

pings() { in_ns peer ping -6 -q -c 1 -W 1 "$1"; }

two_engines6
# Found by neighbour discovery, once duplicate address detection is over
within 10 pings fd00:1::2
within 10 pings fd00:1::3
assert in_ns peer ping -6 -q -c 1 -W 3 -s 8000 fd00:1::2
echo_server e1
echo_server e2
background server-peer in_ns peer socat TCP6-LISTEN:7000,reuseaddr,fork PIPE
wait_port peer fd00:1::2 7000
wait_port peer fd00:1::3 7000

for to in fd00:1::2 fd00:1::3; do
	assert_eq "$(said in_ns peer timeout 15 socat -t 10 - "TCP6:[$to]:7000")" hello \
		"from outside to $to"
done
for from in e1 e2; do
	assert_eq "$(said gz $from timeout 15 socat -t 10 - 'TCP6:[fd00:1::1]:7000')" hello \
		"from $from to outside"
done
out=$(dispatch_counter port_tx)
assert_eq "$(said gz e1 timeout 15 socat -t 10 - 'TCP6:[fd00:1::3]:7000')" hello "from e1 to e2"
assert_eq "$(dispatch_counter port_tx)" "$out" "frames that left for traffic between engines"

for key in e1_spoofed e1_malformed e2_spoofed e2_malformed port_malformed; do
	assert_eq "$(dispatch_counter $key)" 0 $key
done

# An address that is another's is not to be had.
stop_engine e2
dispatch_engine e2 10.1.0.3 fd00:1::4
within 10 spoofed
refute pings fd00:1::4
stop_dispatch
