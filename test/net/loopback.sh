#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# loopback.sh - A wildcard listener under gazelle-run answers the host's own programs too
#
# redis-server is asked at once by a plain redis-cli on 127.0.0.1, by one at the
# other end of the wire, and by one under gazelle-run.  Then a listener's life:
# ports that are taken on either side, close() and bind() again, the backlog, a
# killed engine.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"
command -v redis-server >/dev/null || skip "redis-server is not there"
command -v python3 >/dev/null || skip "python3 is not there"

wire
start_wire_engine both

# --- one server, three kinds of clients -----------------------------------------------------

background redis gz both redis-server --bind 0.0.0.0 --port 6379 --protected-mode no --save ''
redis=$PID
wait_port stack 127.0.0.1 6379
wait_port peer 10.1.0.2 6379

# client NAME CMD... - 300 values of its own written through CMD and read again
client()
{
	local name=$1 out
	shift
	out=$(awk -v n="$name" 'BEGIN {
		for (i = 0; i < 300; i++) printf "SET %s:%d %s-%d\n", n, i, n, i * 7
		for (i = 0; i < 300; i++) printf "GET %s:%d\n", n, i
	}' | "$@") || return 1
	[ "$(grep -c '^OK$' <<<"$out")" = 300 ] || return 1
	[ "$(tail -n 300 <<<"$out")" = "$(awk -v n="$name" 'BEGIN {
		for (i = 0; i < 300; i++) printf "%s-%d\n", n, i * 7 }')" ]
}
pids=()
for i in 1 2 3; do
	client "plain$i" in_ns stack redis-cli -h 127.0.0.1 &
	pids+=($!)
	client "wire$i" in_ns peer redis-cli -h 10.1.0.2 &
	pids+=($!)
	client "own$i" gz both redis-cli -h 127.0.0.1 &
	pids+=($!)
done
for pid in "${pids[@]}"; do
	wait "$pid" || fail "a client got other data than it wrote"
done
assert_eq "$(in_ns stack redis-cli dbsize)" 2700
assert_match "$(in_ns stack redis-cli client list)" "addr=127.0.0.1"
[ "$(counter both kernel_accepted)" -ge 3 ] || fail "nobody came through the kernel"

# The port is taken for both kinds of programs, and bind() says so.
bind()
{
	python3 -c 'import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], int(sys.argv[2])))
s.listen()' "$@" 2>&1
}
export -f bind
assert_match "$(in_ns stack bash -c 'bind 127.0.0.1 6379')" "already in use"
assert_match "$(gz both bash -c 'bind 0.0.0.0 6379')" "already in use"
end "$redis"
within 2 in_ns stack bash -c 'bind 0.0.0.0 6379'

# Who stopped to listen, and listens again, is another one to the engine, and hears of them too.
again='import socket
s = socket.socket()
s.bind(("0.0.0.0", 6379))
for i in range(100):
    s.listen()
    s.shutdown(socket.SHUT_RD)
s.listen()
print("ready", flush=True)
for i in range(3):
    s.accept()[0].sendall(b"heard")'
background again gz both python3 -c "$again"
wait_line again ready
for i in 1 2 3; do
	assert_eq "$(in_ns stack timeout 5 python3 -c 'import socket
print(socket.create_connection(("127.0.0.1", 6379)).recv(5).decode())')" heard
done
assert finish "$PID" 5

# A kernel's service on the port: EADDRINUSE for the wildcard and for its address, not for
# the stack's own; and it is reached from under gazelle-run.
background kernel in_ns stack python3 -m http.server 8080 --bind 127.0.0.1 --directory "$WORK"
wait_port stack 127.0.0.1 8080
echo hello >"$WORK/page"
assert_match "$(gz both bash -c 'bind 0.0.0.0 8080')" "already in use"
assert_match "$(gz both bash -c 'bind 127.0.0.1 8080')" "already in use"
assert_eq "$(gz both bash -c 'bind 10.1.0.2 8080')" ""
assert_eq "$(gz both python3 -c 'import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:8080/page").read().decode().strip())')" hello

# --- a listener's life ----------------------------------------------------------------------

# The server says what it sees; clients on the kernel and on the stack take turns.
cat >"$WORK/server.py" <<'PY'
import os, select, socket, sys

def listener(port, reuseport=False):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuseport:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("0.0.0.0", port))
    s.listen(64)
    return s

# close() and bind() again, at once, ten times; port 0 is free in both worlds
for i in range(10):
    s = listener(7000)
    s.close()
s = listener(0)
port = s.getsockname()[1]
s.close()

s = listener(7000)
s.setblocking(False)
ep = select.epoll()
ep.register(s, select.EPOLLIN)
print("ready", flush=True)
seen = 0
while seen < 40:
    assert ep.poll(20), "nobody came"
    try:
        c, peer = s.accept()
    except BlockingIOError:
        continue
    assert c.getpeername() == peer, (c.getpeername(), peer)
    assert c.getsockname()[1] == 7000
    c.setblocking(True)
    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = b""
    while (b := c.recv(65536)):
        data += b
    c.sendall(peer[0].encode() + b" " + data[::-1])
    c.close()
    seen += 1

PY
cat >"$WORK/clients.py" <<'PY'
import socket, sys
host, port, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for i in range(n):
    s = socket.create_connection((host, port), 20)
    me = s.getsockname()[0]
    text = ("%d " % i).encode() * (1000 + i * 500)
    s.sendall(text)
    s.shutdown(socket.SHUT_WR)
    got = b""
    while (b := s.recv(65536)):
        got += b
    assert got == me.encode() + b" " + text[::-1], (len(got), len(text), got[:40])
    s.close()
PY
background server gz both python3 "$WORK/server.py"
server=$PID
wait_line server ready
in_ns stack python3 "$WORK/clients.py" 127.0.0.1 7000 15 &
a=$!
in_ns peer python3 "$WORK/clients.py" 10.1.0.2 7000 15 &
b=$!
assert gz both python3 "$WORK/clients.py" 127.0.0.1 7000 10
wait $a || fail "a client on the kernel's loopback"
wait $b || fail "a client on the wire"
assert finish "$server"

# Four processes by SO_REUSEPORT, and prefork on one listener: all are served.
cat >"$WORK/many.py" <<'PY'
import os, signal, socket, sys
def listener(port, reuseport):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT if reuseport else socket.SO_REUSEADDR, 1)
    s.bind(("0.0.0.0", port))
    s.listen(64)
    return s
def serve(s):
    while True:
        c, peer = s.accept()
        data = b""
        while (b := c.recv(65536)):
            data += b
        c.sendall(peer[0].encode() + b" " + data[::-1])
        c.close()
shared = listener(7001, False)
for i in range(2):
    if os.fork() == 0:
        serve(shared)
for i in range(2):
    own = listener(7002, True)
    if os.fork() == 0:
        serve(own)
    own.close()
print("ready", flush=True)
signal.pause()
PY
background many gz both python3 "$WORK/many.py"
many=$PID
wait_line many ready
for port in 7001 7002; do
	assert in_ns stack python3 "$WORK/clients.py" 127.0.0.1 $port 8
	assert in_ns peer python3 "$WORK/clients.py" 10.1.0.2 $port 8
	assert gz both python3 "$WORK/clients.py" 127.0.0.1 $port 4
done
end "$many"

# The backlog: of twenty who come to listen(3) and nobody who accepts, few are let in; those
# in the queue are served when somebody does.
cat >"$WORK/backlog.py" <<'PY'
import os, socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("0.0.0.0", 7003))
s.listen(3)
print("ready", flush=True)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.05)
s.settimeout(20)
for i in range(3):
    c, _ = s.accept()
    c.sendall(b"served")
    c.close()
print("accepted 3", flush=True)
PY
cat >"$WORK/crowd.py" <<'PY'
import select, socket, time
def let_in():
    return len([s for s in socks if select.select([], [s], [], 0)[1]])
socks = []
for i in range(20):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(("127.0.0.1", 7003))
    socks.append(s)
end = time.monotonic() + 10
while let_in() < 3 and time.monotonic() < end:
    time.sleep(0.02)
time.sleep(0.3)  # for those that should not be let in
print("in", let_in(), flush=True)
time.sleep(30)
PY
for world in kernel gazelle; do
	if [ $world = kernel ]; then
		background backlog in_ns stack python3 "$WORK/backlog.py" "$WORK/counted-$world"
	else
		background backlog gz both python3 "$WORK/backlog.py" "$WORK/counted-$world"
	fi
	server=$PID
	wait_line backlog ready
	background crowd in_ns stack python3 "$WORK/crowd.py"
	wait_line crowd "in "
	in=$(sed -n 's/^in //p' "$WORK/crowd")
	touch "$WORK/counted-$world"
	[ "$in" -ge 3 ] && [ "$in" -le 8 ] || fail "$world: $in of 20 were let in by listen(3)"
	# No more than three: a client may believe to be in whose last ACK met a full queue,
	# on Linux too.
	assert finish "$server"
	wait_line backlog "accepted 3"
	end "$PID"
done

# A killed engine leaves no listener behind.
background last gz both python3 "$WORK/many.py"
wait_line last ready
in_ns stack bash -c 'exec 3<>/dev/tcp/127.0.0.1/7001' || fail "not there before"
kill -KILL "$(engine_pid both)"
finish "$(engine_pid both)" 10 || true
refute in_ns stack bash -c 'exec 3<>/dev/tcp/127.0.0.1/7001' 2>/dev/null

# --- the other two policies -----------------------------------------------------------------

start_engine engine stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24]}
policy: {loopback: engine}"
background many gz engine python3 "$WORK/many.py"
wait_line many ready
refute in_ns stack bash -c 'exec 3<>/dev/tcp/127.0.0.1/7001' 2>/dev/null
assert gz engine python3 "$WORK/clients.py" 127.0.0.1 7001 2
assert_eq "$(gz engine bash -c 'bind 0.0.0.0 8080')" "" # the kernel's is nobody's business
end "$PID"
stop_engine engine

start_engine kernel stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24]}
policy: {loopback: kernel}"
background many gz kernel python3 "$WORK/many.py"
wait_line many ready
swaps=$(counter kernel kernel_swaps)
assert gz kernel python3 "$WORK/clients.py" 127.0.0.1 7001 2
assert in_ns peer python3 "$WORK/clients.py" 10.1.0.2 7001 2
[ "$(counter kernel kernel_swaps)" -ge $((swaps + 2)) ] || fail "loopback was not the kernel's"
end "$PID"
stop_engine kernel
