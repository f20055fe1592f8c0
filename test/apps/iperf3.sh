#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# iperf3.sh - iperf3: server and client on the stack, both directions, datagrams too

. "${0%/*}/common.bash"
need iperf3 python3

PORT=5201 BYTES=40000000

# measure WHAT COMMAND... - Run a client for so many bytes, want no error and bytes at both ends
measure()
{
	local what=$1 out
	shift
	out=$("$@" -J -n $BYTES -p $PORT 2>&1) || fail "$what: $out"
	python3 -c '
import json, sys
r = json.load(sys.stdin)
if "error" in r:
	sys.exit(r["error"])
sent, got = r["end"]["sum_sent"]["bytes"], r["end"]["sum_received"]["bytes"]
if sent < int(sys.argv[1]) or got <= 0 or got > sent:
	sys.exit("%d bytes sent, %d received" % (sent, got))
print("%.0f Mbit/s" % (r["end"]["sum_received"]["bits_per_second"] / 1e6))' $BYTES <<<"$out" \
		>"$DIR/rate" 2>"$DIR/why" || fail "$what: $(<"$DIR/why")"
	say "$what: $(<"$DIR/rate")"
}

# An iperf3 server serves one test after another; it says when it is ready
server()
{
	start "$@" iperf3 -s --forceflush -p $PORT
	said "$1" 'Server listening'
}

scenario()
{
	server server sut
	measure "into the stack" peer iperf3 -c "$SUT"
	measure "out of the stack" peer iperf3 -c "$SUT" -R
	measure "four streams in" peer iperf3 -c "$SUT" -P 4
	measure "four streams out" peer iperf3 -c "$SUT" -P 4 -R
	BYTES=4000000 measure "datagrams into the stack" peer iperf3 -c "$SUT" -u -b 300M
	measure "within the stack" sut iperf3 -c "$SUT"
	stop server

	server kernel peer
	measure "client on the stack" sut iperf3 -c "$PEER"
	measure "client on the stack, receiving" sut iperf3 -c "$PEER" -R
	BYTES=4000000 measure "datagrams out of the stack" sut iperf3 -c "$PEER" -u -b 300M
	stop kernel
}

main
