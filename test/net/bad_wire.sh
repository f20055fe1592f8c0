#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# bad_wire.sh - TCP over a wire that loses, repeats, reorders, delays and corrupts
#
# Against the kernel, either end serving: bytes both ways at once, then many small
# connections side by side; all content is compared.  A connection that stalls
# breaks a deadline.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

transfer=$T/semantics/helper_transfer
echo=$T/static/echo-musl
LIMIT=30

bad_wire
start_wire_engine e
background echo_e gz e "$echo" server 10.1.0.2 7007
background echo_k in_ns peer "$echo" server 10.1.0.1 7007
wait_line echo_e listening
wait_line echo_k listening

for faults in loss=0.02 dup=0.05 reorder=0.1 delay=10 \
	loss=0.02,dup=0.02,reorder=0.05,corrupt=0.01,delay=2; do
	echo "$faults, $SECONDS s"
	forward 7 "$faults" "$faults"
	background serve gz e "$transfer" serve 10.1.0.2 7000 1
	wait_line serve ready
	assert in_ns peer timeout $LIMIT "$transfer" client 10.1.0.2 7000 1
	assert finish "$PID"
	background serve in_ns peer "$transfer" serve 10.1.0.1 7001 1
	wait_line serve ready
	assert gz e timeout $LIMIT "$transfer" client 10.1.0.1 7001 1
	assert finish "$PID"
	assert in_ns peer timeout $LIMIT "$echo" client 10.1.0.2 7007 20000 50
	assert gz e timeout $LIMIT "$echo" client 10.1.0.1 7007 20000 50
	for f in loss:lost dup:doubled reorder:reordered corrupt:corrupted; do
		case $faults in
		*${f%:*}*) assert [ "$(forwarded stack ${f#*:})" -gt 0 ] ;;
		esac
	done
done
stop_engine e
