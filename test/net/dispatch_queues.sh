#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_queues.sh - An engine with two workers behind dispatch has two queues: what comes
# is at once with the worker whose it is, what goes leaves by both, connections of both
# outlive dispatch, and an engine that is killed gives nothing away

GZ_ENGINE_WORKERS="-1, -1"
# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

# of_each COUNTER - worker 0's and worker 1's
of_each() {
	ctl e1 workers --json | python3 -c '
import json, sys
print(*[w[sys.argv[1]] for w in json.load(sys.stdin)])' "$1"
}
# queues NAME - as dispatch and as the engine has them
queues() {
	of "$1" queues
	ctl "$1" --json port | python3 -c 'import json, sys
p = json.load(sys.stdin)
print(p["rx_queues"], p["tx_queues"], p["sleeps_on"])'
}
has_queues() { [ "$(queues "$1" | xargs)" = "$2 $2 $2 interrupt" ]; }

cat >"$WORK/lines.py" <<'END_OF_PY'
import os, socket, sys, time
many = [socket.create_connection(("10.1.0.2", 7000), 20) for _ in range(16)]
n = 0
while not os.path.exists(sys.argv[1]):
    for i, s in enumerate(many):
        s.settimeout(60)
        line = b"%d of %d\n" % (n, i)
        s.sendall(line)
        back = b""
        while len(back) < len(line):
            back += s.recv(100) or sys.exit("%d closed" % i)
        assert back == line, (line, back)
    n += 1
    print("round", n, flush=True)
    time.sleep(0.01)
END_OF_PY

cat >"$WORK/load.py" <<'END_OF_PY'
import socket, time
out = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(16)]
while True:
    for s in out:
        s.sendto(bytes(1000), ("10.1.0.3", 7100)) # is answered by ICMP
    time.sleep(0.001)
END_OF_PY

dispatch_wire
in_ns peer ip address add fd00:1::1/64 dev ve2 nodad || skip "the kernel has no IPv6"
start_dispatch e1:=10.1.0.2,fd00:1::2 e2:=10.1.0.3,fd00:1::3
attach_engine e1 10.1.0.2 fd00:1::2
attach_engine e2 10.1.0.3 fd00:1::3
within 10 has_queues e1 2
within 10 has_queues e2 2
background echo gz e1 socat TCP6-LISTEN:7000,ipv6only=0,reuseaddr,fork PIPE
background redis gz e1 redis-server --bind 10.1.0.2 fd00:1::2 --port 6399 --protected-mode no --save ''
wait_port peer 10.1.0.2 6399
within 10 in_ns peer ping -q -c 1 -W 1 fd00:1::2
wait_port peer 10.1.0.2 7000
read -r h0 h1 < <(of_each handed_to_other_workers)
read -r r0 r1 < <(of_each rx_packets)
for from in "in_ns peer" "gz e2"; do
	for a in 10.1.0.2 fd00:1::2; do
		$from redis-benchmark -h $a -p 6399 -t set,get -n 5000 -c 40 --csv >"$WORK/bench" ||
			fail "redis-benchmark by $a: $(cat "$WORK/bench")"
	done
done
read -r H0 H1 < <(of_each handed_to_other_workers)
read -r R0 R1 < <(of_each rx_packets)
echo "worker 0 took $((R0 - r0)) frames, worker 1 $((R1 - r1)); handed over $((H0 + H1 - h0 - h1))"
[ $((R0 - r0)) -gt 2000 ] && [ $((R1 - r1)) -gt 2000 ] || fail "both queues have work"
# neighbours' advertisements are for both
[ $((H0 + H1 - h0 - h1)) -lt 50 ] || fail "$((H0 + H1 - h0 - h1)) frames were handed over"

# Dispatch is killed and comes again
background lines in_ns peer python3 -S "$WORK/lines.py" "$WORK/over"
lines=$PID
wait_line lines "round 5" 20
stop_dispatch KILL
start_dispatch e1:=10.1.0.2,fd00:1::2 e2:=10.1.0.3,fd00:1::3
within 10 has_queues e1 2
n=$(wc -l <"$WORK/lines")
wait_line lines "round $((n + 20))" 30

# An engine dies with both queues full, again and again
for round in 1 2 3; do
	background flood in_ns peer ping -q -f -s 1000 -w 10 10.1.0.3
	flood=$PID
	background load in_ns peer python3 -S "$WORK/load.py"
	load=$PID
	sleep 0.2
	kill -KILL "$(engine_pid e2)"
	end "$flood"
	end "$load"
	within 10 dispatch_has "$(client_key e2 link)" 0
	kill -0 "$DISPATCH" || fail "dispatch died in round $round"
	attach_engine e2 10.1.0.3 fd00:1::3
	within 10 has_queues e2 2
done
touch "$WORK/over"
finish "$lines" 60 || fail "a connection of e1's: $(tail -n 5 "$WORK/lines")"
[ "$(dispatch_counter mbufs_free)" -gt 7000 ] || fail "$(dispatch_counter mbufs_free) mbufs are left"
