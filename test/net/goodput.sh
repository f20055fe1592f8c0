#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# goodput.sh - How fast TCP is where segments are lost, by chance and by congestion
#
# The engine's and the kernel's stack send in turns over the same wire, from one
# interface that has an address of each: with losses by chance the engine is to be no
# slower than CUBIC.  At a bottleneck it is to use it, and not to flood it.

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

for loss in 0.001 0.01; do
	ours=0 kernel=0
	for round in 1 2 3; do
		forward $round loss=$loss,delay=5 delay=5
		send ours
		ours=$((ours + kbit))
		send kernel
		kernel=$((kernel + kbit))
	done
	echo "loss $loss, 10 ms: ours $((ours / 3)) kbit/s, CUBIC $((kernel / 3)) kbit/s"
	assert [ $ours -ge $kernel ]
done

# A long queue and a short one: 50 Mbit/s and 10 ms hold 43 segments.
for queue in 60 10; do
	forward 1 rate=50,queue=$queue,delay=5 delay=5
	send kernel
	echo "50 Mbit/s, $queue frames: CUBIC $kbit kbit/s, $again of $segments sent again"
	send ours
	echo "50 Mbit/s, $queue frames: ours $kbit kbit/s, $again of $segments sent again"
	assert [ "$kbit" -ge 35000 ]
	assert [ $((again * 20)) -le "$segments" ]
done
stop_engine e
