#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_shared.sh - Three engines at one IP address, each with ports of its own: two
# redis-servers, over the wire and from one engine to the other; a port that another engine
# has is in use; one engine is killed and comes again while the other's clients run

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

serve() { # ENGINE PORT
	background "redis-$2" gz "$1" redis-server --bind 10.1.0.2 --port "$2" --protected-mode no \
		--save '' --appendonly no --dir "$WORK"
	REDIS=$PID
	wait_port peer 10.1.0.2 "$2"
}
bind() { # ENGINE TYPE PORT: 0, or the errno's name
	gz "$1" python3 - "$2" "$3" <<-'END'
		import errno, socket, sys
		s = socket.socket(socket.AF_INET, getattr(socket, "SOCK_" + sys.argv[1]))
		try:
		    s.bind(("0.0.0.0", int(sys.argv[2])))
		    print(0)
		except OSError as e:
		    print(errno.errorcode[e.errno])
	END
}
own_port() { # ENGINE TYPE: the port that bind() to 0 chooses
	gz "$1" python3 -c 'import socket, sys
s = socket.socket(socket.AF_INET, getattr(socket, "SOCK_" + sys.argv[1]))
s.bind(("", 0))
print(s.getsockname()[1])' "$2"
}
lease() { grep -o 'ephemeral ports are [0-9-]*' "$WORK/engine-$1.log" | tail -1 | grep -o '[0-9-]*$'; }
within_lease() { [ "$2" -ge "${1%-*}" ] && [ "$2" -le "${1#*-}" ]; }

dispatch_wire
SHARED="shared: true"
CLIENTS=("a:=10.1.0.2;$SHARED" "b:=10.1.0.2;$SHARED" "c:=10.1.0.2;$SHARED" e:=10.1.0.4)
start_dispatch "${CLIENTS[@]}"
for e in a b c; do attach_engine $e 10.1.0.2; done
attach_engine e 10.1.0.4

# Leases, which do not overlap
for type in STREAM DGRAM; do
	for e in a b c; do
		port=$(own_port $e $type)
		within_lease "$(lease $e)" "$port" || fail "$e: $type port $port is not in $(lease $e)"
	done
done
assert_eq "$(for e in a b c; do lease $e; done | sort -u | wc -l)" 3 "leases"

# The network sees one host, at the port's MAC address
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.2
assert_match "$(in_ns peer ip neigh show 10.1.0.2)" \
	"$(in_ns stack cat /sys/class/net/ve1/address)" "the neighbour"
assert_match "$(in_ns peer ping -c 5 -i 0.1 10.1.0.2 || :)" " 0% packet loss"
refute grep DUP <(in_ns peer ping -c 3 -i 0.1 10.1.0.2)

serve a 7001
serve b 7002
redis_b=$REDIS program_b=$(program_of "$REDIS")
in_ns peer redis-cli -h 10.1.0.2 -p 7001 set who a >/dev/null
in_ns peer redis-cli -h 10.1.0.2 -p 7002 set who b >/dev/null
for from in "in_ns peer" "gz a" "gz b" "gz c" "gz e"; do
	for to in 7001:a 7002:b; do
		assert_eq "$($from timeout 10 redis-cli -h 10.1.0.2 -p "${to%:*}" get who)" "${to#*:}" \
			"$from to $to"
	done
	# Nobody's port
	assert_match "$($from timeout 10 socat -u TCP:10.1.0.2:7009 - 2>&1 || :)" \
		"Connection refused" "$from to nobody's port"
done
assert_eq "$(gz e timeout 20 redis-benchmark -h 10.1.0.2 -p 7002 -q -n 2000 -c 20 -t set | tr '\r' '\n' |
	grep -c 'requests per second')" 1 "a benchmark between engines"

# Whose port is it?
assert_eq "$(bind a STREAM 7002) $(bind b STREAM 7001) $(bind c STREAM 7001)" \
	"EADDRINUSE EADDRINUSE EADDRINUSE" "ports of other engines"
assert_eq "$(bind a DGRAM 7002) $(bind a STREAM 7003)" "0 0" "ports that nobody has"
# An engine sees the last close of a socket that was never connected within 100 ms.
for e in b c; do
	within 5 eval '[ "$(bind $e STREAM 7003)" = 0 ]'
done
lease_b=$(lease b)
assert_eq "$(bind a STREAM "${lease_b%-*}")" EADDRINUSE "a port of another's lease"

# UDP, in fragments too, and its errors
background udp gz b socat -b 9000 UDP-RECVFROM:7010,fork PIPE
within 10 eval '[ "$(bind a DGRAM 7010)" = EADDRINUSE ]'
for from in "in_ns peer" "gz a" "gz b" "gz c" "gz e"; do
	# shellcheck disable=SC2086
	assert_eq "$(echoed 10.1.0.2 7010 $from)" 9000 "bytes of UDP from $from"
done
for from in "in_ns peer" "gz a" "gz b" "gz c"; do
	assert_match "$($from timeout 10 socat -t 10 - UDP:10.1.0.2:7011 <<<hello 2>&1 || :)" \
		"Connection refused" "UDP to nobody's port from $from"
done
# An error about what one of them sent over the wire
for e in a b c; do
	assert_match "$(gz $e timeout 10 socat -t 10 - UDP:10.1.0.1:7011 <<<hello 2>&1 || :)" \
		"Connection refused" "UDP of $e to a port that is not open"
	assert gz $e python3 -c 'import socket; socket.create_connection(("10.1.0.2", 7001), 5).close()'
done

# One engine is killed and comes again; nobody's request of the other's fails
background bench in_ns peer redis-benchmark -h 10.1.0.2 -p 7001 -n 100000000 -c 10 -t get -q
bench=$PID
background inner gz c redis-benchmark -h 10.1.0.2 -p 7001 -n 100000000 -c 5 -t get -q
inner=$PID
for round in 1 2 3; do
	before=$(in_ns peer redis-cli -h 10.1.0.2 -p 7001 info stats | tr -d '\r' |
		sed -n 's/^total_commands_processed://p')
	kill -KILL "$(engine_pid b)"
	# The program too, or it would go on without its engine
	kill -KILL "$program_b"
	end "$redis_b" KILL
	within 10 dispatch_has "$(client_key b link)" 0
	attach_engine b 10.1.0.2
	serve b 7002
	redis_b=$REDIS program_b=$(program_of "$REDIS")
	assert_eq "$(gz a redis-cli -h 10.1.0.2 -p 7002 ping)" PONG "round $round"
	after=$(in_ns peer redis-cli -h 10.1.0.2 -p 7001 info stats | tr -d '\r' |
		sed -n 's/^total_commands_processed://p')
	[ "$after" -gt "$((before + 100))" ] || fail "round $round: $before, then $after requests"
done
# The dispatcher too: leases and claims are as they were
leases=$(lease a)$(lease c)
stop_dispatch KILL
start_dispatch "${CLIENTS[@]}"
for e in a b c; do within 20 dispatch_has "$(client_key $e link)" 1; done
assert_eq "$(bind c STREAM 7001) $(bind a STREAM 7002)" "EADDRINUSE EADDRINUSE" "claims of before"
within 10 in_ns peer redis-cli -h 10.1.0.2 -p 7001 get who
assert_eq "$(gz c redis-cli -h 10.1.0.2 -p 7002 ping)" PONG "after dispatch came again"
assert_eq "$(lease a)$(lease c)" "$leases" "leases"
kill -0 "$bench" "$inner" || fail "a client ended: $(cat "$WORK/bench" "$WORK/inner")"
end "$bench"
end "$inner"
refute grep -iE 'error|refused|reset|closed' "$WORK/bench" "$WORK/inner"
for e in a b c; do
	assert_eq "$(dispatch_counter "$(client_key $e spoofed)")" 0 "spoofed of $e"
done
stop_dispatch
