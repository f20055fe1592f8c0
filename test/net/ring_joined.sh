#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ring_joined.sh - Two programs of one engine: bytes go from ring to ring, not through TCP
#
# Contents are compared; test/semantics (stage ring) does what is finer.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"
GZ_RUN_ARGS=--ring
wire
# No room beside the windows (below)
start_engine e stack 'port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24]}
limits: {buffers: 0}'

# --- with the engine stopped: the programs need it for nothing but to sleep and wake
cat >"$WORK/itself.py" <<'END'
import os, socket, sys, time

server = socket.create_server(("10.1.0.2", 7002))
a = socket.create_connection(("10.1.0.2", 7002))
b = server.accept()[0]
for i in range(100):
    a.sendall(b"warm")
    assert b.recv(4) == b"warm"
    b.sendall(b"too")
    assert a.recv(4) == b"too"
print("ready", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
for i in range(5000):
    a.sendall(b"%8d" % i)
    assert b.recv(8) == b"%8d" % i
    b.sendall(b"%9d" % i)
    assert a.recv(9) == b"%9d" % i
print("done", flush=True)
END
lanes=$(counter e ring_lanes)
background itself gz e python3 "$WORK/itself.py" "$WORK/go"
itself=$PID
wait_line itself ready
[ "$(counter e ring_lanes)" -gt "$lanes" ] || fail "there is no lane"
kill -STOP "$(engine_pid e)"
touch "$WORK/go"
status=0
wait_for 10 grep -q "^done" "$WORK/itself" || status=1
kill -CONT "$(engine_pid e)"
assert_eq $status 0 "bytes that go without the engine"
finish "$itself" || fail "what comes after that"

# --- who calls from several threads at once is served on another core
cat >"$WORK/callers.py" <<'END'
import socket, sys, threading


def call():
    for _ in range(300):
        socket.socket().close()


threads = [threading.Thread(target=call) for _ in range(int(sys.argv[1]))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
END
before=$(counter e notifications_apart)
gz e python3 "$WORK/callers.py" 1
assert_eq "$(counter e notifications_apart)" "$before"
gz e python3 "$WORK/callers.py" 4
[ "$(counter e notifications_apart)" -gt "$before" ] || fail "four threads are served as one"

# --- connections are accepted without a notification, but for the first ones
cat >"$WORK/accepts.py" <<'END'
import socket

server = socket.create_server(("10.1.0.2", 7004))
for i in range(300):
    a = socket.create_connection(("10.1.0.2", 7004))
    b, peer = server.accept()
    assert peer == a.getsockname()
    a.sendall(b"%8d" % i)
    assert b.recv(8) == b"%8d" % i
    b.close()
    assert a.recv(1) == b""
    a.close()
END
accepts() {
	ctl e stats --json | python3 -c 'import json, sys; print(sum(
		n for name, n in json.load(sys.stdin)["calls"].items() if name.startswith("accept")))'
}
before=$(accepts)
gz e python3 "$WORK/accepts.py" || fail "connections one after the other"
asked=$(($(accepts) - before))
[ "$asked" -le 20 ] || fail "$asked of 300 accept() were notifications"

# --- many connections
background redis gz e redis-server --bind 10.1.0.2 --port 6399 --protected-mode no --save ''
redis=$PID
wait_line redis "Ready to accept"
before=$(counter e ring_joined)
gz e redis-benchmark -h 10.1.0.2 -p 6399 -t set,get -n 20000 -c 20 --csv >"$WORK/bench" ||
	fail "redis-benchmark: $(cat "$WORK/bench")"
joined=$(($(counter e ring_joined) - before))
[ "$joined" -ge 40 ] || fail "$joined of 40 connections were joined"
# A request and its answer, and nothing of them by TCP
direct=$(counter e ring_direct_bytes) tx=$(counter e ring_from_app_bytes)
[ "$direct" -ge $((20000 * 60)) ] || fail "$direct bytes went from ring to ring"
[ "$tx" -le $((direct / 20)) ] || fail "$tx bytes went through TCP, $direct did not"
end "$redis"

# --- memory: of lanes that are not used any more
cat >"$WORK/fill.py" <<'END'
import socket, sys

server = socket.create_server(("10.1.0.2", 7003))
ends = [(socket.create_connection(server.getsockname()), server.accept()[0]) for _ in range(60)]
block = bytes(100000)


def both_ways():
    for a, b in ends:
        for c, d in (a, b), (b, a):
            c.sendall(block)
            assert len(d.recv(len(block), socket.MSG_WAITALL)) == len(block)


with open(sys.argv[1]) as orders:
    both_ways()
    print("idle", flush=True)
    orders.readline()
    both_ways()
    for a, b in ends:
        a.close()
        b.close()
    print("closed", flush=True)
    orders.readline()
END
lane_bytes() {
	local fd blocks sum=0
	for fd in "/proc/$(engine_pid e)/fd/"*; do
		[[ $(readlink "$fd") == *gazelle-lanes* ]] || continue
		blocks=$(stat -L -c %b "$fd") && sum=$((sum + blocks * 512))
	done
	echo $sum
}
is_given_back() { [ "$(lane_bytes)" -lt 2000000 ]; }
mkfifo "$WORK/orders"
background fill gz e python3 "$WORK/fill.py" "$WORK/orders"
fill=$PID
exec 3>"$WORK/orders"
wait_line fill idle
assert [ "$(lane_bytes)" -gt 10000000 ]
within 20 is_given_back
echo >&3
wait_line fill closed
assert [ "$(lane_bytes)" -gt 4000000 ]
within 20 is_given_back
echo >&3
finish "$fill" || fail "what went by lanes that were taken away and given again"

listens() { ctl e ss | grep -q "LISTEN.*:7001"; }

# --- bulk, which fills the rings; the last bytes arrive before the end does
head -c 40000000 /dev/urandom >"$WORK/in"
background sink gz e socat -u TCP-LISTEN:7001,bind=10.1.0.2 "CREATE:$WORK/out"
sink=$PID
wait_for 10 listens || fail "socat does not listen"
gz e socat -u "OPEN:$WORK/in" TCP:10.1.0.2:7001 || fail "the sender"
finish "$sink" || fail "the receiver"
cmp "$WORK/in" "$WORK/out" || fail "not what was sent"
[ "$(counter e ring_direct_bytes)" -gt $((direct + 39000000)) ] || fail "the bulk went by TCP"
stop_engine e

# --- what is unread when a lane is taken away has no room: TCP carries it
GZ_ADDR=10.1.0.2 assert gz e "$T/semantics/unread"
[ "$(counter e tcp_buffers_refused)" -gt 0 ] || fail "there was room"
