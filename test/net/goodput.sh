#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# goodput.sh - How fast TCP is where segments are lost, by chance and by congestion
#
# The engine's and the kernel's stack send in turns over the same wire, from one
# interface that has an address of each: with losses by chance the engine is to be several times
# as fast as CUBIC, and to send little more than what was lost again.  At a bottleneck it is to
# use it, and not to flood it.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

SECONDS_EACH=1
KERNEL=10.1.0.3 # of the sender; the engine's is 10.1.0.2

command -v iperf3 >/dev/null || exit 77
bad_wire $KERNEL/24
start_wire_engine e
background server in_ns peer iperf3 -s -B 10.1.0.1 --forceflush
server_listens() { grep -q listening "$WORK/server"; }
within 5 server_listens

# send WHO - in kbit/s; its retransmissions are $again, of $segments
send() {
	local out=$WORK/sent
	if [ "$1" = kernel ]; then
		in_ns stack iperf3 -c 10.1.0.1 -B $KERNEL -C cubic -t $SECONDS_EACH -J
	else
		gz e iperf3 -c 10.1.0.1 -t $SECONDS_EACH -J
	fi >"$out" || fail "iperf3 by $1: $(grep error "$out")"
	read -r kbit again segments < <(python3 -c '
import json, sys
end = json.load(open(sys.argv[1]))["end"]
print(int(end["sum_received"]["bits_per_second"] / 1000), end["sum_sent"]["retransmits"],
      end["sum_sent"]["bytes"] // 1448)' "$out")
}

# compare WHAT PERCENT FAULTS - send in turns, until the sum of ours is PERCENT of CUBIC's
compare() {
	local round ours=0 kernel=0
	sent=0 resent=0
	for round in 1 2 3 4; do
		forward $round "$3" delay=5
		send kernel
		kernel=$((kernel + kbit))
		send ours
		ours=$((ours + kbit)) sent=$((sent + segments)) resent=$((resent + again))
		[ $round -eq 1 ] || [ $((ours * 100)) -lt $((kernel * $2)) ] || break
	done
	echo "$1: ours $((ours / round)) kbit/s, $resent of $sent sent again;" \
		"CUBIC $((kernel / round)) kbit/s"
	assert [ $((ours * 100)) -ge $((kernel * $2)) ]
}

compare "0.1 % loss, 10 ms" 400 loss=0.001,delay=5
assert [ $((resent * 150)) -le "$sent" ] # the busy machine loses some, too
compare "1 % loss, 10 ms" 1000 loss=0.01,delay=5
assert [ $((resent * 30)) -le "$sent" ]

# A narrow path is no less used for losses by chance: of 3 in 100, beside none, in turns
SECONDS_EACH=2 clean=0 lossy=0
for round in 1 2 3 4; do
	forward $round rate=200,queue=400,delay=5 delay=5
	send ours
	clean=$((clean + kbit))
	forward $round rate=200,queue=400,loss=0.03,delay=5 delay=5
	send ours
	lossy=$((lossy + kbit))
	[ $((lossy * 100)) -lt $((clean * 80)) ] || break
done
echo "200 Mbit/s, 3 % loss: $((lossy / round)) kbit/s, without loss $((clean / round))"
assert [ $((lossy * 100)) -ge $((clean * 80)) ]
SECONDS_EACH=1

# A tenth comes 2 ms late, which is less than a quarter of a round trip: a first time tells that the
# path does this, and then hardly any of it is sent again, were it not for the busy machine.
sent=0 resent=0
for round in 1 2 3; do
	forward $round reorder=0.1,delay=20 delay=20
	send ours
	sent=$((sent + segments)) resent=$((resent + again))
	[ $((resent * 50)) -gt "$sent" ] || break
done
echo "a tenth reordered: $resent of $sent sent again"
assert [ $((resent * 50)) -le "$sent" ]

# A path that holds more than the first 256 KB of the send buffer, which give 105 Mbit/s
# at most; on a busy machine no single try says anything.
forward 1 delay=10 delay=10
for try in 1 2 3 4 5; do
	send ours
	echo "20 ms: ours $kbit kbit/s"
	[ "$kbit" -lt 120000 ] || break
done
assert [ "$kbit" -ge 120000 ]

# A long queue and a short one: 50 Mbit/s and 10 ms hold 43 segments.
for queue in 60 20; do
	compare "50 Mbit/s, queue of $queue" 60 rate=50,queue=$queue,delay=5
	assert [ $((resent * 10)) -le "$sent" ]
done

# It becomes ten times as narrow while what is under way is for the wide one
SECONDS_EACH=2 sent=0 resent=0
for round in 1 2; do
	forward "$round" rate=100,queue=60,later=10,after=800,delay=5 delay=5
	send ours
	sent=$((sent + segments)) resent=$((resent + again))
done
echo "100 Mbit/s, then 10: $resent of $sent sent again"
assert [ $((resent * 10)) -le "$sent" ]
stop_engine e
