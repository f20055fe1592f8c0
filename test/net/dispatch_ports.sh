#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_ports.sh - Two ports of one dispatcher have nothing to do with each other: two hosts,
# two engines at one address, and two ways to the host's kernel; broadcasts, groups and what is
# for another port's client stay at home; the configuration is read again, a new process takes
# over, and a port loses its link, while bytes that are compared go by both

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

cat >"$WORK/hear.py" <<'END'
# hear.py HOST ENGINE - until what HOST said is there; ENGINE is at home as well, all others are told
import socket, sys
name, own = (arg.encode() for arg in sys.argv[1:])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('0.0.0.0', 9000))
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton('239.1.1.1') + bytes(4))
s.settimeout(20)
print('ready', flush=True)
want = {name + b' to all', name + b' to the group', name + b' over to all'}
while want:
    text = s.recv(100)
    if not text.startswith((name + b' ', own + b' ')):
        print('foreign:', text, flush=True)
    want.discard(text)
print('over', flush=True)
END
cat >"$WORK/say.py" <<'END'
# say.py NAME ADDRESS... - a datagram to all, one to the group, and one to each address
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
for address in sys.argv[2:]:
    s.sendto((sys.argv[1] + ' to you').encode(), (address, 9000))
s.sendto((sys.argv[1] + ' to all').encode(), ('255.255.255.255', 9000))
s.sendto((sys.argv[1] + ' to the group').encode(), ('239.1.1.1', 9000))
END

engine() { # NAME ADDRESS...
	start_engine "$1" stack "port: {driver: dispatch, path: $WORK/$GZ_TEST_ID-d.sock}
stack: {addresses: [$2]}
policy: {loopback: engine}"
	within 10 dispatch_has "$(client_key "$1" link)" 1
}

# serve NAME FILE MB - engine NAME, and then the host at its port takes so much, each way
serve() { background "$2" gz "$1" "$T/semantics/helper_transfer" serve 10.9.0.2 7000 "$3"; }
transfer() { in_ns "$1" "$T/semantics/helper_transfer" client 10.9.0.2 7000 "$2"; }

shown() { # COLUMN - of all clients, name and it
	"$BIN/gazelle-ctl" dispatch clients "$GZ_TEST_ID-d" --json |
		python3 -c 'import json, sys
print(*sorted(r["name"].split("-")[-1] + ":" + r[sys.argv[1]] for r in json.load(sys.stdin)))' "$1"
}
shown_are() { [ "$(shown "$1")" = "$2" ]; }

netns stack
for i in 1 2; do
	netns host$i
	in_ns host$i sysctl -qw net.ipv6.conf.default.disable_ipv6=1
	veth stack ve$i 10.$i.0.5/24 host$i eth$i 10.$i.0.1/24
	in_ns host$i ip address add 10.9.0.1/24 dev eth$i
	in_ns host$i ip route add default dev eth$i
done
export DISPATCH_PORT="ports:
  - {name: one, driver: af_packet, iface: ve1, kernel: gzk1}
  - {name: two, driver: af_packet, iface: ve2, kernel: gzk2}"
CLIENTS=("e1:=10.1.0.2;port: one" "e2:=10.2.0.2;port: two" "s1:=10.9.0.2;port: one" "s2:=10.9.0.2;port: two")
start_dispatch "${CLIENTS[@]}"
engine e1 10.1.0.2/8
engine e2 10.2.0.2/8
engine s1 10.9.0.2/24
engine s2 10.9.0.2/24
assert_eq "$(shown port)" "e1:one e2:two s1:one s2:two" "ports of the clients"
assert_match "$("$BIN/gazelle-ctl" dispatch show "$GZ_TEST_ID-d")" "port_one .*kernel_one .*port_two .*kernel_two "
assert_match "$("$BIN/gazelle-ctl" dispatch bond "$GZ_TEST_ID-d")" "one +ve1 +good .*two +ve2 +good "

# The host's kernel at both ports, each answers at its own
for i in 1 2; do
	within 10 in_ns host$i ping -q -c 1 -W 1 10.$i.0.5
	within 10 in_ns host$i ping -q -c 1 -W 1 10.$i.0.2
done

# Each hears its own host, and nobody else
for i in 1 2; do
	background hear$i gz e$i python3 -S "$WORK/hear.py" host$i e$i
	HEAR[i]=$PID
	wait_line hear$i ready
done
joined() { [ "$("$BIN/gazelle-ctl" dispatch clients "$GZ_TEST_ID-d" --json | grep -c '"groups": 1,')" = 2 ]; }
within 10 joined
for i in 1 2; do # as if the other's client were at this port
	mac=$("$BIN/gazelle-ctl" dispatch clients "$GZ_TEST_ID-d" --json | python3 -c 'import json, sys
print(*[r["mac"] for r in json.load(sys.stdin) if r["name"].endswith("-e" + sys.argv[1])])' $((3 - i)))
	in_ns host$i ip neighbour add 10.$((3 - i)).0.2 lladdr "$mac" dev eth$i
done
unclaimed=$(dispatch_counter port_one_unclaimed)
gz e2 python3 -S "$WORK/say.py" e2 10.1.0.2
in_ns host2 python3 -S "$WORK/say.py" host2 10.1.0.2
gz e1 python3 -S "$WORK/say.py" e1 10.2.0.2
in_ns host1 python3 -S "$WORK/say.py" host1 10.2.0.2
for i in 1 2; do
	in_ns host$i python3 -S "$WORK/say.py" "host$i over"
	assert finish "${HEAR[i]}"
	refute grep foreign "$WORK/hear$i"
done
[ "$(dispatch_counter port_one_unclaimed)" -gt "$unclaimed" ] || fail "what host1 sent to e2 was not counted"

# From here on somebody talks at each port, whatever happens
LINES_OF=()
for who in s1:host1:10.9.0.2 e2:host2:10.2.0.2; do
	IFS=: read -r name ns address <<<"$who"
	background "echo-$name" gz "$name" socat TCP-LISTEN:7001,reuseaddr,fork PIPE
	wait_port "$ns" "$address" 7001
	talk "$ns" "$address:7001"
	LINES_OF+=("$PID")
done

# Two engines at one address, at the same time; a client of each port comes and goes meanwhile
serve s1 serve1 40
SERVE1=$PID
serve s2 serve2 4
SERVE2=$PID
wait_line serve1 ready
wait_line serve2 ready
background one transfer host1 40
ONE=$PID
assert transfer host2 4
assert finish "$SERVE2"
dispatch_config "${CLIENTS[@]:0:3}" "new:=10.9.0.2;port: two"
assert "$BIN/gazelle-ctl" dispatch reload "$GZ_TEST_ID-d"
assert_eq "$(shown port)" "e1:one e2:two new:two s1:one" "ports of the clients"
stop_engine s2
dispatch_config "${CLIENTS[@]:0:3}" "new:=10.9.0.2;port: one"
assert_match "$("$BIN/gazelle-ctl" dispatch reload "$GZ_TEST_ID-d" 2>&1 || :)" "overlaps with the client's on line"
assert_eq "$(shown port)" "e1:one e2:two new:two s1:one" "ports after a mistake"
dispatch_config "${CLIENTS[@]:0:3}" "new:=10.9.0.3;port: one"
assert "$BIN/gazelle-ctl" dispatch reload "$GZ_TEST_ID-d"
assert_eq "$(shown port)" "e1:one e2:two new:one s1:one" "ports of the clients, after one went to another"
DISPATCH_PORT="ports: [{name: two, driver: af_packet, iface: ve2}]" dispatch_config "${CLIENTS[1]}"
assert_match "$("$BIN/gazelle-ctl" dispatch reload "$GZ_TEST_ID-d" 2>&1 || :)" "ports"
# What is said of a client is said of that one only, whichever port it is at
assert "$BIN/gazelle-ctl" dispatch set limit "$GZ_TEST_ID-e2" connections 7 "$GZ_TEST_ID-d"
dispatch_config "${CLIENTS[@]}"
assert "$BIN/gazelle-ctl" dispatch reload "$GZ_TEST_ID-d"
engine s2 10.9.0.2/24
in_ns host2 ip link set eth2 down
wait_line dispatch-1.log "port ve2: link down"
assert finish "$ONE"
assert finish "$SERVE1"
in_ns host2 ip link set eth2 up
wait_line dispatch-1.log "port ve2: link up"

# Both ports go over to a new process, with their connections
serve s1 serve1 30
SERVE1=$PID
serve s2 serve2 30
SERVE2=$PID
wait_line serve1 ready
wait_line serve2 ready
background one transfer host1 30
ONE=$PID
background two transfer host2 30
TWO=$PID
before=$DISPATCH
background dispatch-2.log in_ns stack "$BIN/gazelle-dispatch" --takeover --config "$WORK/dispatch.yaml"
DISPATCH=$PID
wait_line dispatch-2.log 'took over from process' 20
assert finish "$before" 10
for pid in "$ONE" "$TWO" "$SERVE1" "$SERVE2"; do
	assert finish "$pid"
done
for i in 1 2; do
	within 10 in_ns host$i ping -q -c 1 -W 1 10.$i.0.5
done
within 10 shown_are port "e1:one e2:two s1:one s2:two"
touch "$WORK/over"
for pid in "${LINES_OF[@]}"; do
	assert finish "$pid" 30
done
stop_dispatch
