#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# planes.sh - Who is on which plane, by default, by the configuration, by option and where it cannot be
# otherwise, and why

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"
command -v strace >/dev/null || skip "strace is not there"

GZ_RUN_ARGS=
netns stack
start_engine e stack 'port: {veth: {host: gz0, address: 10.213.0.1/24}, iface: gz0e}
stack: {addresses: [10.213.0.2/24]}'

# sockets PORT KEY - of the connections that were accepted at PORT: PEER-PORT KEY lines; AT: of that engine
sockets() {
	ctl "${AT:-e}" ss --json | python3 -c '
import json, sys
for s in json.load(sys.stdin):
    if s["local"].endswith(":" + sys.argv[1]) and s["state"] != "LISTEN":
        print(s["peer"].rpartition(":")[2], s.get(sys.argv[2], ""))' "$1" "$2"
}

# of_process PID KEY
of_process() {
	ctl e planes --json | python3 -c '
import json, sys
for p in json.load(sys.stdin):
    if p["pid"] == int(sys.argv[1]):
        print(p[sys.argv[2]])' "$1" "$2"
}

# python_of PORT - the pid of the planes.py that is there, in this run of the test
python_of() {
	pgrep -f "^[^ ]*python3? .*10.213.0.2 $1\$" | grep -xF "$(pids_of "$GZ_TEST_ID")"
}

# hold NAME CMD... - run it, until its standard input ends with the test
mkfifo "$WORK/hold"
exec 9<>"$WORK/hold"
hold() {
	local name=$1
	shift
	"$@" >"$WORK/$name" 2>&1 <"$WORK/hold" &
	wait_line "$name" ready
}

# Rings are the default: each connection has its own reason.
background keeper python3 "$TEST_DIR/net/keeper.py" "$WORK/keeper.sock"
wait_line keeper listens
GZ_KEEPER=$WORK/keeper.sock hold configured gz e python3 "$TEST_DIR/net/planes.py" 10.213.0.2 7001
configured=$(python_of 7001)
while read -r name port; do
	[ "$name" != ready ] || continue
	plane=relay why=${name%:*}
	[[ $name != @(plain|many|dropped|timed|back|epoll|one-shot) ]] || plane=ring why=
	assert_eq "$(sockets 7001 plane | grep "^$port ")" "$port $plane" "the plane of $name"
	assert_eq "$(sockets 7001 why | grep "^$port ")" "$port $why" "the reason of $name"
done <"$WORK/configured"
assert_match "$(ctl e ss)" 'why:passed-on' "the table"
assert_match "$(ctl e ss)" 'LISTEN +0 +[0-9]+ +10\.213\.0\.2:7001 +0\.0\.0\.0:\* +python3,[0-9]+ +- ' "a listener, which has no bytes"
assert_eq "$(of_process "$configured" plane)" ring "a process with the agent"
assert [ "$(of_process "$configured" sites)" -gt 0 ]
assert_eq "$(of_process "$configured" left)" 11 "sockets that left the rings, two of them urgent"
assert_eq "$(of_process "$configured" came_back)" 2 "sockets that came back"

# Of one program, who says so
GZ_RUN_ARGS=--relay
hold relay gz e python3 "$TEST_DIR/net/planes.py" 10.213.0.2 7002
assert_eq "$(sockets 7002 plane | awk '{ print $2 }' | sort -u)" relay "--relay"
assert_eq "$(sockets 7002 why | awk '{ print $2 }' | sort -u)" relay "--relay: the reason"
assert_eq "$(of_process "$(python_of 7002)" why)" relay "--relay: the process"
GZ_RUN_ARGS=
start_engine relay stack 'plane: relay
port: {veth: {host: gz1, address: 10.214.0.1/24}, iface: gz1e}
stack: {addresses: [10.214.0.2/24]}'
one='import socket, sys
l = socket.create_server((sys.argv[1], int(sys.argv[2])))
c = socket.create_connection(l.getsockname())
s = l.accept()[0]
s.send(b"x")
assert c.recv(1) == b"x"
print("ready", flush=True)
sys.stdin.read()'
hold as-configured gz relay python3 -c "$one" 10.214.0.2 7001
assert_eq "$(AT=relay sockets 7001 plane | awk '{ print $2 }')" relay "plane: relay"
GZ_RUN_ARGS=--ring
hold as-asked gz relay python3 -c "$one" 10.214.0.2 7002
assert_eq "$(AT=relay sockets 7002 plane | awk '{ print $2 }')" ring "plane: relay, and --ring"
GZ_RUN_ARGS=

# A process that another program traces
hold traced gz e strace -f -e trace=none -o /dev/null \
	python3 "$TEST_DIR/net/planes.py" 10.213.0.2 7003
assert_eq "$(sockets 7003 plane | awk '{ print $2 }' | sort -u)" relay "traced"
assert_eq "$(sockets 7003 why | sort -n | head -n 1 | awk '{ print $2 }')" traced "traced: the reason"
traced=$(python_of 7003)
assert_eq "$(of_process "$traced" plane) $(of_process "$traced" why)" "relay traced" \
	"traced: the process"

# A program whose gazelle-run was killed before it could help
background orphan gz e python3 -uc 'import sys, time
print("waits")
time.sleep(1.5)
sys.argv = ["", "10.213.0.2", "7004"]
sys.stdin = open("'"$WORK/hold"'")
exec(open("'"$TEST_DIR/net/planes.py"'").read())'
wait_line orphan waits
kill -KILL "$PID"
wait_line orphan ready
assert_eq "$(sockets 7004 why | sort -n | head -n 1 | awk '{ print $2 }')" no-broker "no-broker"

refute "$BIN/gazelle-ctl" --engine "$GZ_TEST_ID-e" planes extra

# off PLANE WHY PORT PID - all connections there, and the process
off() {
	assert_eq "$(sockets "$3" plane | awk '{ print $2 }' | sort -u)" "${1% *}" "the plane, $2"
	assert_eq "$(of_process "$4" plane) $(of_process "$4" why)" "$1 $2" "the process, $2"
}

# One that runs already
background attached in_ns stack python3 -uc 'import os, sys
print("waits")
while not os.path.exists("'"$WORK/go"'"): pass
sys.argv = ["", "10.213.0.2", "7005"]
sys.stdin = open("'"$WORK/hold"'")
exec(open("'"$TEST_DIR/net/planes.py"'").read())'
attached=$PID
wait_line attached waits
in_ns stack "$BIN/gazelle-run" --config "$(config_of e)" --attach "$attached"
touch "$WORK/go"
wait_line attached ready
off relay attached 7005 "$attached"

# Sockets of the kernel's alone: calls of a program without our sockets soon do not trap any more
before=$(counter e notifications)
gz e python3 -c 'import select, socket
a, b = socket.socketpair()
e = select.epoll()
for i in range(3000):
    e.register(b, select.EPOLLIN)
    a.send(b"x")
    assert e.poll(5) == [(b.fileno(), select.EPOLLIN)]
    assert b.recv(1) == b"x"
    e.unregister(b)'
traps=$(($(counter e notifications) - before))
[ $traps -lt 1500 ] || fail "$traps notifications of 15000 calls on the kernel's sockets"

# The engine can map no memory for another client
have=$(awk '/^VmSize/ { print $2 }' "/proc/$(engine_pid e)/status")
prlimit --pid "$(engine_pid e)" --as=$(((have + 32 * 1024) * 1024)):
hold unshared gz e python3 -c "$one" 10.213.0.2 7006
prlimit --pid "$(engine_pid e)" --as=unlimited:
off relay no-memory 7006 "$(sockets 7006 pid | awk '{ print $2 }')"
