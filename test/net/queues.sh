#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# queues.sh - Two workers each have a queue of a memif, a tap, AF_XDP on a veth and a link between
# two engines: both carry frames both ways, and none is lost; a link whose ends have different numbers

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

for program in redis-server redis-benchmark; do
	command -v $program >/dev/null || skip "there is no $program"
done
TWO='workers: {cpus: [-1, -1]}'

# shown ENGINE KEY... - of gazelle-ctl port
shown() {
	ctl "$1" --json port | python3 -c '
import json, sys
p = json.load(sys.stdin)
print(*[p[k] for k in sys.argv[1:]])' "${@:2}"
}
has_link() { [ "$(shown "$1" link)" = up ]; }
# of_each ENGINE COUNTER - worker 0's and worker 1's
of_each() {
	ctl "$1" workers --json | python3 -c '
import json, sys
print(*[w[sys.argv[1]] for w in json.load(sys.stdin)])' "$2"
}
# both ENGINE LEAST - either worker's queue has taken and sent so many frames
both() {
	local what a b
	for what in rx_packets tx_packets; do
		read -r a b < <(of_each "$1" $what)
		echo "$1: $what $a $b"
		[ "$a" -ge "$2" ] && [ "$b" -ge "$2" ] || fail "$1: $what of the workers: $a and $b"
	done
}
lost() { counter "$1" 'tx_dropped|rx_missed|tx_errors|rx_no_mbuf|tx_no_mbuf|handed_dropped|rx_malformed'; }
declare -A BEFORE=()
# starts ENGINE - there is a link now; what was sent before it was
starts() {
	within 10 has_link "$1"
	BEFORE[$1]=$(lost "$1")
}
# whole ENGINE - nothing was lost since
whole() { assert_eq "$(lost "$1")" "${BEFORE[$1]}" "what $1 lost"; }
# serve ENGINE ADDRESS - a redis there
serve() {
	background "redis-$1" gz "$1" redis-server --bind "$2" --port 6399 --protected-mode no --save ''
	SERVER=$PID
	wait_line "redis-$1" "Ready to accept"
}
# ask ADDRESS CMD... - of many connections, from what CMD runs
ask() {
	local a=$1
	shift
	"$@" redis-benchmark -h "$a" -p 6399 -t set,get -n 8000 -c 40 --csv >"$WORK/bench" 2>&1 ||
		fail "redis-benchmark: $(cat "$WORK/bench")"
}
# carries ENGINE ADDRESS CMD... - its two queues, for connections that come from what CMD runs
carries() {
	local e=$1 a=$2
	shift 2
	serve "$e" "$a"
	ask "$a" "$@"
	both "$e" 1500
	end "$SERVER"
}

# pair KEYS KEYS - engines a, 10.1.0.1, and b, 10.1.0.2, with these ports
pair() {
	local e n=0
	for e in a b; do
		n=$((n + 1))
		start_engine $e stack "port: {path: $WORK/socket, mac: 02:00:00:00:00:0$n, $1}
$TWO
stack: {addresses: [10.1.0.$n/24]}"
		shift
	done
	starts a
	starts b
}
unpair() {
	whole a
	whole b
	stop_engine b
	stop_engine a
	rm -f "$WORK/socket"
}

netns stack
# --- two engines: a memif
pair "driver: memif, queues: 2, memif: {role: server}" "driver: memif, queues: 2"
assert_eq "$(shown a rx_queues tx_queues spread_by)" "2 2 the other end" "a memif's queues"
carries a 10.1.0.1 gz b
both b 1500
unpair
# One queue: from it one worker receives for both.
pair "driver: memif, memif: {role: server}" "driver: memif"
carries_one() { [ "$(of_each "$1" rx_packets | tr ' ' '\n' | grep -c '^0$')" = 1 ]; }
serve a 10.1.0.1
ask 10.1.0.1 gz b
end "$SERVER"
carries_one a || fail "one queue, and two workers that receive: $(of_each a rx_packets)"
unpair

# --- a link, whose ends have as many queues, and where either has fewer
pair "driver: vhost, queues: 2" "driver: virtio_user, queues: 2"
assert_eq "$(shown a rx_queues tx_queues peer_queues)" "2 2 2" "a link's queues"
carries a 10.1.0.1 gz b
carries b 10.1.0.2 gz a
unpair
pair "driver: vhost, queues: 2" "driver: virtio_user"
assert_eq "$(shown a rx_queues tx_queues peer_queues)" "2 2 1" "queues of which the peer has fewer"
serve a 10.1.0.1
ask 10.1.0.1 gz b
end "$SERVER"
unpair

# --- the kernel at the other end
# of_the_kernel NETNS - engine e, 10.1.0.2, and the kernel's 10.1.0.1 there
of_the_kernel() {
	starts e
	carries e 10.1.0.2 in_ns "$1"
	background redis-kernel in_ns "$1" redis-server --bind 10.1.0.1 --port 6399 --protected-mode no --save ''
	wait_line redis-kernel "Ready to accept"
	ask 10.1.0.1 gz e
	both e 3000
	end "$PID"
	whole e
	stop_engine e
}

if [ -c /dev/net/tun ]; then
	start_engine e stack "port: {driver: tap, iface: gztap}
$TWO
stack: {addresses: [10.1.0.2/24]}"
	assert in_ns stack ip address add 10.1.0.1/24 dev gztap
	assert in_ns stack ip link set gztap up
	assert_eq "$(shown e rx_queues tx_queues spread_by sleeps_on)" "2 2 kernel's hash descriptor" "a tap's queues"
	of_the_kernel stack
fi

# AF_XDP has as many queues as the interface, at most one for each worker.
for queues in 1 2; do
	ip -n "$GZ_TEST_ID-stack" link add ve1 numrxqueues $queues numtxqueues $queues type veth \
		peer name ve2 numrxqueues $queues numtxqueues $queues
	in_ns stack ethtool -K ve1 tx off tso off gso off gro off >/dev/null
	in_ns stack ethtool -K ve2 tx off tso off gso off gro off >/dev/null
	netns "peer$queues"
	ip -n "$GZ_TEST_ID-stack" link set ve2 netns "$GZ_TEST_ID-peer$queues"
	in_ns "peer$queues" ip address add 10.1.0.1/24 dev ve2
	in_ns "peer$queues" ip link set ve2 up
	start_engine e stack "port: {driver: af_xdp, iface: ve1}
$TWO
stack: {addresses: [10.1.0.2/24]}"
	assert_eq "$(shown e driver rx_queues tx_queues)" "net_af_xdp $queues $queues" "queues of AF_XDP"
	if [ $queues = 2 ]; then
		of_the_kernel peer2
		# Its driver fills each.
		engine_config f stack "port: {driver: af_xdp, iface: ve1}
$TWO
memory: {mbufs: 2048}
stack: {addresses: [10.1.0.2/24]}"
		assert_match "$(in_ns stack timeout 10 "$BIN/gazelle-engine" --config "$(config_of f)" 2>&1 || :)" \
			"mbufs must be free, of memory.mbufs" "two queues want more mbufs than there are"
	else
		stop_engine e
	fi
	ip -n "$GZ_TEST_ID-stack" link del ve1
done

# The pair that an engine makes itself has a queue for each worker.
start_engine e stack "port: {driver: af_xdp, veth: {host: gz1, address: 10.1.0.1/24}}
$TWO
stack: {addresses: [10.1.0.2/24]}"
assert_eq "$(shown e rx_queues tx_queues spread_by)" "2 2 the interface" "queues of the engine's own pair"
of_the_kernel stack

# --- what cannot be
said() {
	engine_config f stack "$1"
	"$BIN/gazelle-engine" --check "$(config_of f)" 2>&1
}
assert_match "$(said "port: {driver: memif, path: /m, queues: 4}
$TWO
stack: {addresses: [10.1.0.2/24]}")" "port.queues.*4 queues for 2 workers" "more queues than workers"
assert_match "$(said "port: {driver: tap, queues: 2}
$TWO
stack: {addresses: [10.1.0.2/24]}")" "port.queues.*not used by driver tap" "a driver that needs no number"
