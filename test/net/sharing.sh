#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# sharing.sh - Two connections at one bottleneck: each gets its part, and the queue does not stay full
#
# A bottleneck of 100 Mbit/s with round trips of 10 ms, which hold 83 segments, and a drop-tail
# queue of 100.  Two of ours are to have about as much as each other; one of ours beside one of the
# kernel's CUBIC, which fills any queue, is neither to starve nor to be starved: the kernel's own BBR
# leaves CUBIC 6 to 8 % there.  Of ours alone the queue is to be short most of the time, and little is
# to be sent again.

# Rounds go on until the sums are within the bounds: a busy machine is late, and loses some.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

KERNEL=10.1.0.3 # of the sender; the engine's is 10.1.0.2
PATH_IS=rate=100,queue=100,delay=5

command -v iperf3 >/dev/null || exit 77
bad_wire $KERNEL/24
start_wire_engine e
for port in 5201 5202; do
	background server"$port" in_ns peer iperf3 -s -B 10.1.0.1 -p "$port" --forceflush
done
serves() { grep -q listening "$WORK/server$1"; }
for port in 5201 5202; do
	within 5 serves $port
done

# send WHO PORT SECONDS - in the background; its pid is $PID
send() {
	if [ "$1" = kernel ]; then
		background sent"$2" in_ns stack iperf3 -c 10.1.0.1 -p "$2" -B $KERNEL -C cubic -t "$3" -J
	else
		background sent"$2" gz e iperf3 -c 10.1.0.1 -p "$2" -t "$3" -J
	fi
}

# pair WHO WHO - both at once for three seconds: $first and $second, in kbit/s, after the first second;
# of all segments of ours $again of $segments were sent again
pair() {
	local pids=()
	send "$1" 5201 3
	pids+=("$PID")
	send "$2" 5202 3
	pids+=("$PID")
	for PID in "${pids[@]}"; do
		finish "$PID" 20 || fail "iperf3: $(grep -h error "$WORK"/sent520?)"
	done
	read -r first second again segments < <(python3 -c '
import json, sys
rates, again, segments = [], 0, 0
for name in sys.argv[1:]:
    got = json.load(open(name))
    seconds = [i["sum"] for i in got["intervals"][1:]]
    rates.append(sum(s["bytes"] for s in seconds) * 8 / sum(s["seconds"] for s in seconds) / 1000)
    again += got["end"]["sum_sent"]["retransmits"]
    segments += got["end"]["sum_sent"]["bytes"] // 1448
print(*map(int, rates), again, segments)' "$WORK/sent5201" "$WORK/sent5202")
}

# Jain's index of two rates, in percent
jain() { echo $((100 * ($1 + $2) * ($1 + $2) / (2 * ($1 * $1 + $2 * $2)))); }

# The sums of who had less, and of who had more
less=0 more=0 sent=0 resent=0
for round in 1 2 3; do
	forward "$round" $PATH_IS delay=5
	pair ours ours
	less=$((less + (first < second ? first : second))) more=$((more + (first < second ? second : first)))
	sent=$((sent + segments)) resent=$((resent + again))
	echo "two of ours: $first and $second kbit/s, $again of $segments sent again"
	[ "$(jain $less $more)" -lt 85 ] || break
done
assert [ "$(jain $less $more)" -ge 85 ]
assert [ $(((less + more) / round)) -ge 70000 ]
assert [ $((resent * 20)) -le "$sent" ]

one=0 other=0
both_live() {
	[ $((one * 5)) -ge $((one + other)) ] && [ $((other * 9)) -ge $((one + other)) ] &&
		[ $(((one + other) / round)) -ge 70000 ]
}
for round in 1 2 3 4; do
	forward "$round" $PATH_IS delay=5
	pair ours kernel
	echo "ours $first kbit/s, CUBIC $second kbit/s"
	one=$((one + first)) other=$((other + second))
	if both_live; then break; fi
done
assert both_live

# Alone, what comes finds no more than half of the queue, on average
for round in 3 4 5; do
	forward "$round" $PATH_IS delay=5
	send ours 5201 2
	assert finish "$PID" 20
	queued=$(forwarded stack queued)
	FORWARDER=
	echo "alone: $queued frames waited, of 100"
	[ "$queued" -gt 50 ] || break
done
assert [ "$queued" -le 50 ]
stop_engine e
