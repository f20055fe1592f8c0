#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_shared6.sh - Two engines at one address of IPv6 (and of IPv4): each one's ports
# over the wire, from the other engine, and from a third; datagrams in fragments, errors;
# one is killed and comes again while requests to the other go on; dispatch, too

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

ADDR=fd00:1::2

serve() { # ENGINE PORT
	background "redis-$2" gz "$1" redis-server --bind $ADDR --port "$2" --protected-mode no \
		--save '' --appendonly no --dir "$WORK"
	REDIS=$PID
	wait_port peer $ADDR "$2"
	in_ns peer redis-cli -h $ADDR -p "$2" set who "$1" >/dev/null
}

requests() { in_ns peer redis-cli -h $ADDR -p 7001 info stats | tr -d '\r' | sed -n 's/^total_commands_processed://p'; }

all_go_by_port() {
	local from to
	for from in "in_ns peer" "gz a" "gz b" "gz e"; do
		for to in 7001:a 7002:b; do
			assert_eq "$($from timeout 10 redis-cli -h $ADDR -p "${to%:*}" get who)" "${to#*:}" \
				"$from to $to"
		done
		assert_match "$($from timeout 10 socat -u "TCP6:[$ADDR]:7009" - 2>&1 || :)" \
			"Connection refused" "$from to nobody's port"
	done
}

dispatch_wire
in_ns stack sysctl -qw net.ipv6.conf.ve1.disable_ipv6=1 || skip "the kernel has no IPv6"
in_ns peer ip address add fd00:1::1/64 dev ve2 nodad
CLIENTS=("a:=10.1.0.2,$ADDR;shared: true" "b:=10.1.0.2,$ADDR;shared: true" e:=10.1.0.4,fd00:1::4)
start_dispatch "${CLIENTS[@]}"
for e in a b; do attach_engine $e 10.1.0.2 $ADDR; done
attach_engine e 10.1.0.4 fd00:1::4

# The network sees one host, at the port's MAC address
within 10 in_ns peer ping -6 -q -c 1 -W 1 $ADDR
assert_match "$(in_ns peer ip neigh show $ADDR)" \
	"$(in_ns stack cat /sys/class/net/ve1/address)" "the neighbour"
assert_match "$(in_ns peer ping -6 -c 5 -i 0.1 $ADDR || :)" " 0% packet loss"
refute grep DUP <(in_ns peer ping -6 -c 3 -i 0.1 $ADDR)

serve a 7001
serve b 7002
redis_b=$REDIS program_b=$(program_of "$REDIS")
all_go_by_port

# UDP, in fragments too, and errors about what was sent
background udp gz b socat -b 9000 UDP6-RECVFROM:7010,fork PIPE
for from in "in_ns peer" "gz a" "gz b" "gz e"; do
	within 10 eval "[ \$(echoed $ADDR 7010 $from) = 9000 ]"
done
for e in a b; do
	assert_match "$(gz $e timeout 10 socat -t 10 - 'UDP6:[fd00:1::1]:7011' <<<hello 2>&1 || :)" \
		"Connection refused" "UDP of $e to a port that is not open"
done

background bench in_ns peer redis-benchmark -h $ADDR -p 7001 -n 100000000 -c 10 -t get -q
bench=$PID
sleep 1
before=$(requests)
kill -KILL "$(engine_pid b)" "$program_b"
end "$redis_b" KILL
within 10 dispatch_has "$(client_key b link)" 0
attach_engine b 10.1.0.2 $ADDR
serve b 7002
after=$(requests)
[ "$after" -gt $((before + 100)) ] || fail "$before, then $after requests"
stop_dispatch KILL
start_dispatch "${CLIENTS[@]}"
for e in a b e; do within 20 dispatch_has "$(client_key $e link)" 1; done
within 10 in_ns peer redis-cli -h $ADDR -p 7001 get who
all_go_by_port
kill -0 "$bench" || fail "redis-benchmark: $(cat "$WORK/bench")"
end "$bench"
refute grep -iE 'error|refused|reset|closed' "$WORK/bench"
for e in a b; do
	assert_eq "$(dispatch_counter "$(client_key $e spoofed)")" 0 "spoofed of $e"
done
stop_dispatch
