#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# workers.sh - Two workers of one engine: both have their part of what comes and what goes
#
# test/run runs test/semantics with two workers as well (ring2, server2, client2).

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

wire
in_ns peer ip address add fd00:1::1/64 dev ve2 nodad || skip "the kernel has no IPv6"
start_engine e stack 'port: {driver: af_packet, iface: ve1}
workers: {cpus: [-1, -1]}
stack: {addresses: [10.1.0.2/24], addresses6: ["fd00:1::2/64"], gateway: 10.1.0.1}'
wait_for 10 in_ns peer ping -6 -q -c 1 -W 1 fd00:1::2

# of_each COUNTER - worker 0's and worker 1's
of_each() {
	ctl e workers --json | python3 -c '
import json, sys
print(*[w[sys.argv[1]] for w in json.load(sys.stdin)])' "$1"
}
# both COUNTER LEAST WHAT - each has at least so many
both() {
	local a b
	read -r a b < <(of_each "$1")
	[ "$a" -ge "$2" ] && [ "$b" -ge "$2" ] || fail "$3: $1 is $a and $b"
}

assert_match "$("$BIN/gazelle-engine" --check <(echo 'worker: {cpu: 0}
workers: {cpus: [0, 1]}') 2>&1)" "expected one of them" "worker.cpu beside workers.cpus"

# --- what comes: one listener, whose connections are both workers', over both families
background redis gz e redis-server --bind 10.1.0.2 fd00:1::2 --port 6399 --protected-mode no --save ''
redis=$PID
wait_line redis "Ready to accept"
for a in 10.1.0.2 fd00:1::2; do
	in_ns peer redis-benchmark -h $a -p 6399 -t set,get -n 20000 -c 40 --csv >"$WORK/bench" ||
		fail "redis-benchmark by $a: $(cat "$WORK/bench")"
done
both accepted 10 "80 connections that came"
# Each has a queue, for which the kernel hashes in a way of its own: about half of what comes
# is the other one's.
both rx_packets 10000 "both queues"
both handed_to_other_workers 5000 "what is the other worker's"

# --- between two programs: a connection is one worker's with both its ends
gz e redis-benchmark -h 10.1.0.2 -p 6399 -t set,get -n 20000 -c 20 --csv >"$WORK/bench" ||
	fail "redis-benchmark on the stack: $(cat "$WORK/bench")"
both connected 5 "40 connections of the stack's to itself"
end "$redis"

# --- what goes: ports are chosen that lead back to the worker, in fragments too
cat >"$WORK/echo.py" <<'PY'
import socket, sys, threading
def serve(c):
    with c:
        while True:
            b = c.recv(65536)
            if not b:
                return
            c.sendall(b)
s = socket.create_server((sys.argv[1], 7000), backlog=128)
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
PY
cat >"$WORK/ask.py" <<'PY'
import socket, sys
all = []
for i in range(40):
    s = socket.socket()
    if i % 4 == 3: # a port that leads where it leads
        s.bind(("0.0.0.0", 20000 + i))
    s.settimeout(20)
    s.connect((sys.argv[1], 7000))
    all.append(s)
for n in 1, 1000, 60000:
    for i, s in enumerate(all):
        s.sendall(bytes([i]) * n)
    for i, s in enumerate(all):
        got = b""
        while len(got) < n:
            got += s.recv(n - len(got))
        assert got == bytes([i]) * n
PY
background echo in_ns peer python3 "$WORK/echo.py" 10.1.0.1
echo=$PID
wait_line echo ready
before=$(of_each connected)
assert gz e python3 "$WORK/ask.py" 10.1.0.1
read -r a b c d < <(echo "$before $(of_each connected)")
[ $((c - a)) -ge 12 ] && [ $((d - b)) -ge 12 ] || fail "connected: $before, then $c $d"
end "$echo"

# --- segments in fragments, whose ports are in the first alone: a router makes them
netns far
veth far fa 10.2.0.1/24 peer fb 10.2.0.2/24
in_ns far ip route add default via 10.2.0.2
in_ns far sysctl -qw net.ipv4.ip_no_pmtu_disc=1
in_ns peer sysctl -qw net.ipv4.ip_forward=1
in_ns peer ip route add 10.1.0.2 dev ve2 mtu lock 600
background echo gz e python3 "$WORK/echo.py" 10.1.0.2
echo=$PID
wait_line echo ready
assert in_ns far python3 "$WORK/ask.py" 10.1.0.2
[ "$(counter e frag_rx)" -ge 1000 ] || fail "there were no fragments: $(counter e frag_rx)"
end "$echo"
in_ns peer ip route del 10.1.0.2 dev ve2

# --- datagrams: both workers receive, each peer hears of one
for _ in 1 2 3 4; do
	background serve gz e python3 "$TEST_DIR/net/udp_wire.py" echo 10.1.0.2
	wait_line serve ready
	assert in_ns peer python3 "$TEST_DIR/net/udp_wire.py" ask 10.1.0.2 0 1 1472 1473 20000 65507
	assert finish "$PID"
done
assert in_ns peer ping -q -i 0.01 -c 20 -W 2 10.1.0.2
assert in_ns peer ping -q -c 1 -W 2 -s 20000 10.1.0.2

# --- half-open connections, all of one worker's, fill the backlog: both workers answer by cookies
cat >"$WORK/half_open.py" <<'PY'
import ipaddress, os, sys
sys.path.insert(0, os.path.join(sys.argv[1], "net/tcp"))
from packet import Segment, Wire
KEY = int("6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa", 16)
me, to = ipaddress.ip_address("10.1.0.77"), ipaddress.ip_address(sys.argv[4])
def worker(sport): # by Toeplitz' hash, whose table has 128 places
    bits = int.from_bytes(me.packed + to.packed + sport.to_bytes(2, "big") + (7100).to_bytes(2, "big"), "big")
    h = 0
    for i in range(96):
        if bits >> (95 - i) & 1:
            h ^= KEY >> (288 - i) & 0xffffffff
    return h % 128 % 2
wire = Wire(sys.argv[2], sys.argv[3])
answers = wire.play(me)
for sport in [p for p in range(2000, 3000) if worker(p) == 0][:17]:
    wire.send(me, to, Segment(sport, 7100, 1, 0, "S", 65535))
    answers.get(timeout=5)
print("full")
PY
background server gz e python3 "$TEST_DIR/net/echo.py" serve 7100 16
server=$PID
wait_line server ready
assert in_ns peer python3 "$WORK/half_open.py" "$TEST_DIR" ve2 \
	"$(in_ns stack cat /sys/class/net/ve1/address)" 10.1.0.2
sent=$(counter e syncookies_sent)
assert in_ns peer python3 "$TEST_DIR/net/echo.py" ask 10.1.0.2 7100 24 1000 10
[ "$(counter e syncookies_sent)" -ge $((sent + 24)) ] || fail "the backlog was not full"
end "$server"

# --- the end of a listener ends it on both
background redis gz e redis-server --bind 10.1.0.2 --port 6399 --protected-mode no --save ''
redis=$PID
wait_line redis "Ready to accept"
end "$redis"
for _ in $(seq 20); do
	refute in_ns peer python3 -c 'import socket; socket.create_connection(("10.1.0.2", 6399), 5)' 2>/dev/null
done
stop_engine e
