#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# sharing.sh - Two connections at one bottleneck: each gets its part, and the queue does not stay full
#
# A bottleneck of 100 Mbit/s with round trips of 10 ms, which hold 83 segments, and a drop-tail
# queue of 100.  Two of ours are to have about as much as each other.  One of ours beside one of the
# kernel's CUBIC, which fills any queue, is neither to starve nor to starve it: each has a ninth and
# ours a fifth.  Of ours alone the queue is to be short most of the time, and little is to be sent again.
#
# Each bound is of the mean of all ROUNDS, whatever the first ones were; of four and more CUBIC is to be
# left no less than the kernel's own BBR leaves it.  SPREAD=1 prints mean and standard deviation: of
# two times four rounds CUBIC had 27 and 32 percent beside ours, with a deviation of 9, and 18 and 12 beside
# BBR, with 4 and 2.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

KERNEL=10.1.0.3 # of the sender; the engine's is 10.1.0.2
ROUNDS=${ROUNDS:-2}
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

# send ours|CONTROL PORT SECONDS - in the background, by the kernel with that congestion control; its
# pid is $PID
send() {
	if [ "$1" = ours ]; then
		background sent"$2" gz e iperf3 -c 10.1.0.1 -p "$2" -t "$3" -J
	else
		background sent"$2" in_ns stack iperf3 -c 10.1.0.1 -p "$2" -B $KERNEL -C "$1" -t "$3" -J
	fi
}

# over PORT - a test is, for the server as well: what it waits for is not lost with the forwarder, and
# it is not busy when the next client comes, which would say nothing and end with status 0
declare -A tests=([5201]=1 [5202]=1)
is_over() { [ "$(grep -c listening "$WORK/server$1")" -gt "${tests[$1]}" ]; }
over() {
	within 10 is_over "$1"
	tests[$1]=$((tests[$1] + 1))
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
	over 5201
	over 5202
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

# spread WHAT NUMBER... - mean and standard deviation
spread() {
	[ -z "${SPREAD:-}" ] || awk -v what="$1" 'BEGIN {
		for (i = 2; i < ARGC; i++) { n++; sum += ARGV[i]; squares += ARGV[i] ^ 2 }
		printf "%s: mean %.1f, deviation %.1f, of %d\n", what, sum / n,
			sqrt((squares - sum ^ 2 / n) / (n - 1)), n }' "$@"
}

# together WHO WHO - pairs of all rounds: the sums $one and $other in kbit/s, $less and $more of who had
# less and more in each round, $resent of $sent segments; $shares: the second one's, in percent
together() {
	local round
	one=0 other=0 less=0 more=0 sent=0 resent=0 shares=()
	for round in $(seq "$ROUNDS"); do
		forward "$round" $PATH_IS delay=5
		pair "$1" "$2"
		one=$((one + first)) other=$((other + second))
		less=$((less + (first < second ? first : second)))
		more=$((more + (first < second ? second : first)))
		sent=$((sent + segments)) resent=$((resent + again))
		shares+=($((second * 100 / (first + second))))
		echo "$1 $first kbit/s, $2 $second kbit/s, $again of $segments sent again"
	done
	spread "the second one's share, percent" "${shares[@]}"
}

# Jain's index of two rates, in percent
jain() { echo $((100 * ($1 + $2) * ($1 + $2) / (2 * ($1 * $1 + $2 * $2)))); }

together ours ours
assert [ "$(jain $less $more)" -ge 85 ]
assert [ $(((less + more) / ROUNDS)) -ge 70000 ]
assert [ $((resent * 20)) -le "$sent" ]

together ours cubic
assert [ $((one * 5)) -ge $((one + other)) ]
assert [ $((other * 9)) -ge $((one + other)) ]
assert [ $(((one + other) / ROUNDS)) -ge 70000 ]
left=$((other * 1000 / (one + other)))
if [ "$ROUNDS" -ge 4 ] && [[ $(in_ns stack sysctl -n net.ipv4.tcp_available_congestion_control) =~ bbr ]]; then
	together bbr cubic
	assert [ $left -ge $((other * 1000 / (one + other))) ]
fi

# Alone, what comes finds no more than half of the queue, on average
queued=()
for round in 3 4 5; do
	forward "$round" $PATH_IS delay=5
	send ours 5201 2
	assert finish "$PID" 20
	over 5201
	queued+=("$(forwarded stack queued)")
	FORWARDER=
	echo "alone: ${queued[-1]} frames waited, of 100"
done
spread "frames that waited" "${queued[@]}"
assert [ $((queued[0] + queued[1] + queued[2])) -le 150 ]
stop_engine e
