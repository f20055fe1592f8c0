#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_bond.sh - A bond of two ports under redis-benchmark: a link that goes down,
# an interface that is removed and made again, a path that swallows frames; no request
# fails, and each time the first port is taken back

GZ_DISPATCH_WORKERS="-1, -1"
# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

# ve1 and ve3 of stack are cables to a bridge, at which peer is as well.
cable() { # IFACE PORT
	ip -n "$GZ_TEST_ID-stack" link add "$1" type veth peer name "$2" netns "$GZ_TEST_ID-switch"
	offloads_off stack "$1"
	offloads_off switch "$2"
	in_ns stack sysctl -qw "net.ipv6.conf.$1.disable_ipv6=1"
	ip -n "$GZ_TEST_ID-switch" link set "$2" master br0 up
	ip -n "$GZ_TEST_ID-stack" link set "$1" up
}

bond_state() { # PORT KEY
	"$BIN/gazelle-ctl" dispatch bond "$GZ_TEST_ID-d" --json |
		python3 -c 'import json, sys
for p in json.load(sys.stdin)["ports"].values():
	if p["name"] == sys.argv[1]: print(p[sys.argv[2]])' "$1" "$2"
}

is_active() { [ "$(bond_state "$1" active)" = 1 ]; }
is_state() { [ "$(bond_state "$1" state)" = "$2" ]; }

redis() { in_ns peer redis-cli -h 10.1.0.2 "$@"; }
done_so_far() { redis info stats | tr -d '\r' | sed -n 's/^total_commands_processed://p'; }

# answers_on PORT [SECONDS] - it is the active one, and requests are answered over it
answers_on() {
	within 5 is_active "$1"
	local before
	before=$(done_so_far)
	within 5 more_than $((before + 500))
	kill -0 "$BENCHMARK" || fail "redis-benchmark: $(cat "$WORK/benchmark")"
}

more_than() { [ "$(done_so_far)" -gt "$1" ]; }

netns stack
netns switch
netns peer
ip -n "$GZ_TEST_ID-switch" link add br0 type bridge
ip -n "$GZ_TEST_ID-switch" link set br0 up
cable ve1 sw1
cable ve3 sw3
veth switch sw2 "" peer ve2 10.1.0.1/24
ip -n "$GZ_TEST_ID-switch" link set sw2 master br0
in_ns peer sysctl -qw net.ipv6.conf.ve2.disable_ipv6=0
in_ns peer ip address add fd00:1::1/64 dev ve2 nodad

DISPATCH_PORT="bond:
  ports: [{iface: ve1}, {driver: af_packet, iface: ve3}]
  probe: [10.1.0.1]
  probe_interval: 50ms
  probe_misses: 4
  up_delay: 200ms" start_dispatch e0=10.1.0.9 e1=10.1.0.2,fd00:1::2 # the second worker's
dispatch_engine e1 10.1.0.2 fd00:1::2
background redis gz e1 redis-server --bind 10.1.0.2 --protected-mode no --save ''
wait_port peer 10.1.0.2 6379
background benchmark in_ns peer redis-benchmark -h 10.1.0.2 -c 10 -n 100000000 -t set
BENCHMARK=$PID

# The cable is pulled out, and in again
answers_on ve1
ip -n "$GZ_TEST_ID-switch" link set sw1 down
answers_on ve3
assert is_state ve1 down
ip -n "$GZ_TEST_ID-switch" link set sw1 up
answers_on ve1

# The network was told where the client is now
background told in_ns peer tcpdump -n -l -i ve2 arp or icmp6
wait_line told 'listening on'

# The interface itself goes down
ip -n "$GZ_TEST_ID-stack" link set ve1 down
answers_on ve3
wait_line told 'who-has 10.1.0.2 tell 10.1.0.2'
wait_line told 'tgt is fd00:1::2'
end "$PID"
ip -n "$GZ_TEST_ID-stack" link set ve1 up
answers_on ve1

# It disappears, and one of its name comes
ip -n "$GZ_TEST_ID-stack" link del ve1
answers_on ve3
assert is_state ve1 absent
cable ve1 sw1
answers_on ve1

# The link stays up, but nothing passes
ip -n "$GZ_TEST_ID-switch" link set sw1 nomaster
answers_on ve3
assert is_state ve1 silent
ip -n "$GZ_TEST_ID-switch" link set sw1 master br0
answers_on ve1

# The backup's loss is nobody's
ip -n "$GZ_TEST_ID-stack" link del ve3
within 5 is_state ve3 absent
answers_on ve1
cable ve3 sw3
within 5 is_state ve3 good

# The benchmark's 10 and the first, by which it asks for the configuration; the port's
# test; the others are ours.  None was made anew.
made=$(redis info stats | tr -d '\r' | sed -n 's/^total_connections_received://p')
asked=$(redis info commandstats | tr -d '\r' | sed -n 's/^cmdstat_info:calls=\([0-9]*\).*/\1/p')
end "$BENCHMARK" INT
refute grep -iE 'error|closed|refused|reset' "$WORK/benchmark"
[ "$made" -le $((asked + 12)) ] || fail "$made connections were made, $asked of them by this test"
[ "$("$BIN/gazelle-ctl" dispatch bond "$GZ_TEST_ID-d" --json |
	python3 -c 'import json, sys; print(json.load(sys.stdin)["switches"])')" = 8 ] ||
	fail "$("$BIN/gazelle-ctl" dispatch bond "$GZ_TEST_ID-d")"

# Whoever is there is there over IPv6 too
assert in_ns peer ping -6 -q -c 2 -i 0.2 -W 1 fd00:1::2
stop_dispatch
