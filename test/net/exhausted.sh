#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# exhausted.sh - A program takes all that there is of something: sockets, the buffers of
# connections that nobody reads, its own descriptors, the engine's, the engine's address space.
# It gets the errno that is documented, other programs' connections and requests go on, and
# what it gives back is there again.  An engine without memory says so, and leaves nothing
#
# In both planes; what a program gets by its own limit is compared with the kernel.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

command -v redis-server >/dev/null || skip "there is no redis"
case $BUILD in
*san*) skip "a sanitizer takes the address space" ;;
esac

# greedy.py WHAT [FILES] - at a line take until there is no more, say how many and why, give it back at
# the next line, and go at a third
cat >"$WORK/greedy.py" <<'PY'
import errno, resource, socket, sys
what, held, why = sys.argv[1], [], "none"
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]) if len(sys.argv) > 2 else hard, hard))
print("up", flush=True)
sys.stdin.readline()
try:
    while len(held) < 4000:
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if what == "udp" else socket.SOCK_STREAM)
        held.append(s)
        if what == "udp":
            s.bind(("0.0.0.0", 0))
        elif what == "full":
            s.connect(("10.1.0.1", 8000))
            s.setblocking(False)
            try:
                while True:
                    s.send(bytes(1 << 16))
            except BlockingIOError:
                pass
            except OSError: # reset, for there was no memory for what was sent or came
                held.pop()
                raise OSError(s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ENOBUFS, "")
except OSError as e:
    why = errno.errorcode[e.errno]
print(len(held), why, flush=True)
sys.stdin.readline()
for s in held:
    s.close()
print("closed", flush=True)
sys.stdin.readline()
PY
# full.py - send to each that comes what it takes, and read nothing
cat >"$WORK/full.py" <<'PY'
import resource, socket
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
l = socket.create_server(("10.1.0.1", 8000), backlog=1024)
print("ready", flush=True)
held = []
while True:
    c = l.accept()[0]
    held.append(c)
    c.setblocking(False)
    try:
        while True:
            c.send(bytes(1 << 16))
    except OSError:
        pass
PY
# ask.py - requests to redis by one connection, each answered within seconds
cat >"$WORK/ask.py" <<'PY'
import socket, time
s = socket.create_connection(("10.1.0.2", 6399), 10)
s.settimeout(5)
f = s.makefile("rwb")
n = 0
while True:
    f.write(b"INCR n\r\n")
    f.flush()
    n += 1
    assert f.readline() == b":%d\r\n" % n
    print(n, flush=True)
    time.sleep(0.01)
PY

all_go_on() { goes_on out in asked; }
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$(engine_pid e)/status"; }
sockets() { counter e sockets; }
has_sockets() { [ "$(sockets)" -le "$1" ]; }
has_rss() { [ "$(rss)" -le "$1" ]; }
# taken WHAT PATTERN [FILES] - what greedy.py says; the others go on meanwhile; it has all given back
# LIMIT: of the engine's, for so long, as prlimit has it
LIMIT=
taken() {
	local before kb pid
	before=$(sockets)
	kb=$(rss)
	mkfifo "$WORK/line"
	background greedy gz e bash -c "exec python3 '$WORK/greedy.py' $1 ${3:-} <'$WORK/line'"
	pid=$PID
	exec 5<>"$WORK/line" # does not wait for who reads
	wait_line greedy up
	[ -z "$LIMIT" ] || prlimit --pid "$(engine_pid e)" "$LIMIT"
	echo >&5
	within 60 grep -q '[0-9]' "$WORK/greedy"
	echo "$1 $GZ_RUN_ARGS: $(tail -n 1 "$WORK/greedy")"
	assert_match "$(tail -n 1 "$WORK/greedy")" "$2" "$1 $GZ_RUN_ARGS"
	all_go_on
	echo >&5
	wait_line greedy closed 20
	all_go_on
	exec 5>&-
	finish "$pid"
	rm "$WORK/line"
	prlimit --pid "$(engine_pid e)" --nofile="$FILES": --as=unlimited:
	within 20 has_sockets "$before"
	within 20 has_rss $((kb + 16384))
	all_go_on
}

wire
background full in_ns peer python3 "$WORK/full.py"
wait_line full ready
background serve in_ns peer "$T/net/many" serve 7000
wait_line serve ready
kernel=$(in_ns stack python3 "$WORK/greedy.py" tcp 64 </dev/null | sed -n 2p)

for GZ_RUN_ARGS in --relay --ring; do
	start_engine e stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24]}
limits: {sockets: 3000, client_sockets: 1500, clients: 6}"
	FILES=$(awk '/^Max open files/ { print $4 }' "/proc/$(engine_pid e)/limits")
	background redis gz e redis-server --bind 10.1.0.2 --port 6399 --protected-mode no --save ''
	wait_line redis "Ready to accept"
	background echo gz e "$T/net/many" serve 7000
	wait_line echo ready
	background out gz e python3 "$TEST_DIR/net/talk.py" 10.1.0.1
	neighbours=$PID
	background in in_ns peer python3 "$TEST_DIR/net/talk.py" 10.1.0.2
	neighbours+=" $PID"
	background asked gz e python3 "$WORK/ask.py"
	neighbours+=" $PID"
	for _ in 1 2 3; do all_go_on; done
	grep -hE '[a-z]' "$WORK/out" "$WORK/in" "$WORK/asked" && fail "a neighbour ended"

	# The engine's address space, while it has not much yet
	have=$(awk '/^VmSize/ { print $2 }' "/proc/$(engine_pid e)/status")
	LIMIT=--as=$(((have + 1000) * 1024)):
	taken full '^[0-9]{1,3} (ENOBUFS|ENOMEM)$'
	LIMIT=
	taken tcp '^1500 ENOBUFS$'
	taken udp '^1500 ENOBUFS$'
	taken full '^1500 ENOBUFS$'
	taken tcp "^$kernel\$" 64
	[[ $kernel = *EMFILE ]] || fail "the kernel says $kernel"
	# The engine's own descriptors: those that it has, and a few more.  A connection has one
	have=$(find "/proc/$(engine_pid e)/fd" | wc -l)
	LIMIT=--nofile=$((have + 100)):
	taken full '^[0-9]{2} (ENFILE|ENOBUFS)$'
	LIMIT=
	# Clients: these four, and two more
	for c in 5 6; do
		background "client-$c" gz e sleep 60
		within 5 eval '[ "$(counter e clients)" -ge '$c' ]'
	done
	refute gz e true 2>"$WORK/said"
	grep -q 'all the clients that limits.clients allows' "$WORK/said" || fail "$(cat "$WORK/said")"
	all_go_on
	grep -hE '[a-z]' "$WORK/out" "$WORK/in" "$WORK/asked" && fail "a neighbour ended"
	for pid in $neighbours; do end "$pid"; done
	stop_engine e
done

# Too little at the start: a reason, and nothing is left
engine_config f stack "port: {veth: {host: gz1, address: 10.3.0.1/24}}
stack: {addresses: [10.3.0.2/24]}"
starts() { ! kill -0 "$PID" 2>/dev/null || grep -q ' ready at ' "$WORK/said"; }
failures=0
for kb in $(seq 60000 5000 200000); do
	background said in_ns stack prlimit --as=$((kb * 1024)) "$BIN/gazelle-engine" --config "$(config_of f)"
	within 10 starts
	if grep -q ' ready at ' "$WORK/said"; then
		end "$PID"
		break
	fi
	refute finish "$PID"
	grep -qE '^gazelle-engine: error: .*(memory|allocate)' "$WORK/said" || fail "with $kb KB: $(cat "$WORK/said")"
	failures=$((failures + 1))
	[ ! -e "/var/run/dpdk/gazelle-$GZ_TEST_ID-f" ] || fail "with $kb KB DPDK's files are left"
	[ ! -e "$WORK/$GZ_TEST_ID-f.sock" ] || fail "with $kb KB the control socket is left"
	refute in_ns stack ip link show dev gz1 2>/dev/null
done
[ $failures -ge 3 ] || fail "it started with $kb KB"
