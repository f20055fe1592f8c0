#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ports.sh - An engine with two ports: servers and clients at each, a route and the gateway behind
# the second, one without a link while the other goes on, sockets that are bound to one, and what
# programs and gazelle-ctl see of both
#
# With one worker and with two.  What connections come from, and who answers, is compared with the
# kernel that has the same addresses and routes.  Then both addresses are servers', and last a port
# that takes large segments is beside one that does not.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

for program in redis-server redis-cli curl socat; do
	command -v $program >/dev/null || skip "there is no $program"
done

# ask.py ADDRESS ... - our address to each
cat >"$WORK/ask.py" <<'PY'
import socket, sys
for to in sys.argv[1:]:
    s = socket.create_connection((to, 8000), 10)
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.connect((to, 9))
    print(to, s.getsockname()[0], u.getsockname()[0])
PY
# bound.py IFACE IFACE - sockets at each of two interfaces, at one port: who says "at 1" or "at 2"
cat >"$WORK/bound.py" <<'PY'
import errno, socket, sys, threading
def make(kind, name):
    s = socket.socket(socket.AF_INET, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
    return s
def bind(kind, name):
    s = make(kind, name)
    if kind == socket.SOCK_STREAM: # what the last one served is in TIME_WAIT
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("0.0.0.0", 7100))
    if kind == socket.SOCK_STREAM:
        s.listen()
    return s
def serve(l, text):
    while True:
        c = l.accept()[0]
        c.sendall(text)
        c.close()
def answer(u, text):
    while True:
        u.sendto(text, u.recvfrom(100)[1])
for i, name in enumerate(sys.argv[1:3]):
    text = b"at %d" % (i + 1)
    threading.Thread(target=serve, args=(bind(socket.SOCK_STREAM, name), text), daemon=True).start()
    threading.Thread(target=answer, args=(bind(socket.SOCK_DGRAM, name), text), daemon=True).start()
for name in sys.argv[1], "":
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
        try:
            bind(kind, name)
            print("bound twice:", name)
        except OSError as e:
            assert e.errno == errno.EADDRINUSE, e
# 10.2.0.99 is in the second one's network, and at the first
for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
    for name, to in (sys.argv[2], "10.2.0.1"), (sys.argv[1], "10.2.0.99"), (sys.argv[2], "10.8.0.1"):
        s = make(kind, name)
        s.settimeout(10)
        s.connect((to, 7000))
        if kind == socket.SOCK_STREAM:
            s.sendall(b"x")
            assert s.recv(1) == b"x"
        print(to, "from", s.getsockname()[0])
s = make(socket.SOCK_STREAM, sys.argv[2])
s.settimeout(0.5)
try:
    s.connect(("10.2.0.99", 7000))
    print("by the wrong way")
except socket.timeout:
    print("all bound", flush=True)
threading.Event().wait()
PY
# to.py ADDRESS ... - who answers there, over TCP and UDP
cat >"$WORK/to.py" <<'PY'
import socket, sys
for to in sys.argv[1:]:
    print(socket.create_connection((to, 7100), 10).recv(100).decode(), end=", ")
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.settimeout(10)
    u.sendto(b"?", (to, 7100))
    print(u.recv(100).decode(), end=", ")
PY
# groups.py IFACE IFACE - a socket at each that is in one group there, which of the others' messages
# it hears; and to another group from each
cat >"$WORK/groups.py" <<'PY'
import socket, struct, sys, threading
heard = [set(), set()]
def member(i, index):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.settimeout(10)
    s.setsockopt(socket.IPPROTO_IP, 49, 0) # IP_MULTICAST_ALL
    s.bind(("", 7200))
    s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                 struct.pack("4s4si", socket.inet_aton("239.1.1.1"), bytes(4), index))
    return s
def hear(i, s):
    for _ in range(5):
        heard[i].add(s.recv(100).decode())
threads = []
for i, name in enumerate(sys.argv[1:3]):
    index = socket.if_nametoindex(name)
    threads.append(threading.Thread(target=hear, args=(i, member(i, index))))
    threads[i].start()
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("4s4si", bytes(4), bytes(4), index))
    u.sendto(b"from %d" % (i + 1), ("239.1.1.2", 7201))
for t in threads:
    t.join()
print(heard)
PY
# group.py ADDRESS NAME - what comes to the latter group there, and then the name to the former
cat >"$WORK/group.py" <<'PY'
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7201))
own = socket.inet_aton(sys.argv[1])
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.1.1.2") + own)
s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
print("ready", flush=True)
print(s.recv(100).decode(), flush=True)
while True:
    s.sendto(sys.argv[2].encode(), ("239.1.1.1", 7200))
    time.sleep(0.02)
PY

# mtu.py IFACE IFACE - what a socket may send at once, by routes and bound to the other interface
cat >"$WORK/mtu.py" <<'PY'
import errno, socket, sys
for to, bound in ("10.1.0.1", 0), ("10.1.0.99", 2), ("10.2.0.1", 0), ("10.2.0.99", 1):
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
        s = socket.socket(socket.AF_INET, kind)
        s.settimeout(10)
        if bound:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, sys.argv[bound].encode())
        s.connect((to, 7000 if kind == socket.SOCK_STREAM else 7003))
        print(to, "bound to", bound, "MTU", s.getsockopt(socket.IPPROTO_IP, 14), end=" ")
        if kind == socket.SOCK_STREAM:
            print("MSS", s.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))
            continue
        s.setsockopt(socket.IPPROTO_IP, 10, 2) # IP_MTU_DISCOVER, IP_PMTUDISC_DO
        for n in 1372, 1373, 1472, 1473:
            for send in lambda: s.send(bytes(n)), lambda: s.sendto(bytes(n), (to, 7003)):
                try:
                    print(send(), end=" ")
                except OSError as e:
                    print(errno.errorcode[e.errno], end=" ")
        print()
PY
# leave.py ADDRESS - a member of a group at the interface that has it, until the address has gone
cat >"$WORK/leave.py" <<'PY'
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
request = socket.inet_aton("239.1.1.7") + socket.inet_aton(sys.argv[1])
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
print("joined", flush=True)
while True:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).bind((sys.argv[1], 0))
    except OSError:
        break
    time.sleep(0.02)
s.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, request)
print("left", flush=True)
time.sleep(60)
PY
# igmp.py - reports and leaves of that group, as they come to e0
cat >"$WORK/igmp.py" <<'PY'
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x800))
s.bind(("e0", 0x800))
print("ready", flush=True)
while True:
    try:
        p, a = s.recvfrom(2000)
    except OSError: # without a link
        continue
    n = (p[0] & 15) * 4
    if p[9] == 2 and p[n + 4:n + 8] == socket.inet_aton("239.1.1.7"):
        print({0x16: "report", 0x17: "leave"}.get(p[n]), flush=True)
PY
# sink.py ADDRESS - take all that one client sends there
cat >"$WORK/sink.py" <<'PY'
import socket, sys
s = socket.create_server((sys.argv[1], 7002))
print("ready", flush=True)
c = s.accept()[0]
while c.recv(1 << 16):
    pass
PY
# bulk.py ADDRESS IFACE - send 8 MB there, by that interface
cat >"$WORK/bulk.py" <<'PY'
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
s.settimeout(20)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, sys.argv[2].encode())
s.connect((sys.argv[1], 7002))
s.sendall(bytes(8 << 20))
s.shutdown(socket.SHUT_WR)
assert s.recv(1) == b""
PY

# shown PORT EXPRESSION - of p, the port's object
shown() { ctl e --json port "$1" | python3 -c "import json, sys; p = json.load(sys.stdin); print($2)"; }
is_link() { [ "$(shown "$1" "p['link']")" = "$2" ]; }
is_bound() { [ "$(shown "$1" "p['dhcp']")" = bound ]; }

receives() { in_ns "$1" ss -Hlun "sport = :$2" | grep -q .; }

netns stack
for i in 1 2; do
	netns net$i
	veth stack ve$i "" net$i e0 10.$i.0.1/24
	in_ns stack sysctl -qw net.ipv6.conf.ve$i.disable_ipv6=1 2>/dev/null || true
	mkdir "$WORK/net$i"
	echo "net$i" >"$WORK/net$i/name"
	background www$i in_ns net$i python3 -m http.server --bind 0.0.0.0 --directory "$WORK/net$i" 8000
	background many$i in_ns net$i "$T/net/many" serve 7000
	wait_line many$i ready
	background sink$i in_ns net$i socat -u UDP-RECV:7003 OPEN:/dev/null
	within 5 receives net$i 7003
done
for a in 10.8.0.1 10.9.0.1; do in_ns net2 ip address add $a/32 dev lo; done
in_ns net1 ip address add 10.2.0.99/32 dev lo
in_ns net2 ip address add 10.1.0.99/32 dev lo
wait_port net1 10.1.0.1 8000
wait_port net2 10.2.0.1 8000
all="10.1.0.1 10.2.0.1 10.8.0.1 10.9.0.1"

# The kernel first
for i in 1 2; do in_ns stack ip address add 10.$i.0.2/24 dev ve$i; done
in_ns stack ip route add 10.8.0.0/16 via 10.2.0.1
in_ns stack ip route add default via 10.2.0.1
# shellcheck disable=SC2086
sources=$(in_ns stack python3 "$WORK/ask.py" $all)
# bound FILE CMD... - what bound.py says, which CMD runs, and who answers to net1 and net2
bound() {
	local pid
	in_ns net1 ip route replace 10.2.0.2 via 10.1.0.2
	background "$@"
	pid=$PID
	wait_line "$1" "all bound"
	cat "$WORK/$1"
	in_ns net1 python3 "$WORK/to.py" 10.1.0.2 10.2.0.2
	in_ns net2 python3 "$WORK/to.py" 10.2.0.2
	end "$pid"
}
# groups CMD... - what groups.py says, which CMD runs, and what net1 and net2 hear
groups() {
	local i pids=()
	for i in 1 2; do
		background group$i in_ns net$i python3 "$WORK/group.py" 10.$i.0.1 net$i
		pids+=("$PID")
		wait_line group$i ready
	done
	"$@"
	cat "$WORK/group1" "$WORK/group2"
	for i in "${pids[@]}"; do end "$i"; done
}
in_groups=$(groups in_ns stack python3 "$WORK/groups.py" ve1 ve2)
at_each=$(bound kernel in_ns stack python3 "$WORK/bound.py" ve1 ve2)
in_ns stack ip link set ve2 mtu 1400
mtus=$(in_ns stack python3 "$WORK/mtu.py" ve1 ve2)
in_ns stack ip link set ve2 mtu 1500
for i in 1 2; do in_ns stack ip address flush dev ve$i; done

# served WORKERS - all of it, with so many
served() {
	local i a got
	start_engine e stack "port: {driver: af_packet, iface: ve1}
ports:
  - {driver: af_xdp, iface: ve2, addresses: [10.2.0.2/24], mtu: 1400}
stack:
  addresses: [10.1.0.2/24]
  gateway: 10.2.0.1
  routes: [{to: 10.8.0.0/16, via: 10.2.0.1}]
workers: {count: $1}
policy: {rules: [{action: kernel, net: 10.2.0.98}]}"

	# Clients on the stack, to either side and behind the second
	# shellcheck disable=SC2086
	assert_eq "$(gz e python3 "$WORK/ask.py" $all)" "$sources" "our addresses"
	for a in $all; do
		got=$(gz e curl -sS "http://$a:8000/name") || fail "curl to $a"
		assert_eq "$got" "$([ "$a" = 10.1.0.1 ] && echo net1 || echo net2)" "who is at $a"
	done

	# A server on the stack, for either side; by the address of the other port, too
	background redis gz e redis-server --bind 0.0.0.0 --protected-mode no --save '' --dir "$WORK"
	wait_line redis "Ready to accept connections"
	for i in 1 2; do
		assert_eq "$(in_ns net$i redis-cli -h 10.$i.0.2 set key$i "from net$i")" OK "redis on port $i"
		assert_eq "$(in_ns net$i redis-cli -h 10.$i.0.2 get key$i)" "from net$i" "redis on port $i"
		assert in_ns net$i ping -q -c 1 -W 5 10.$i.0.2 >"$WORK/ping.out"
	done
	in_ns net1 ip route replace 10.2.0.2 via 10.1.0.2
	assert_eq "$(in_ns net1 redis-cli -h 10.2.0.2 get key2)" "from net2" "the other port's address"
	assert_eq "$(in_ns net2 redis-cli -h 10.2.0.2 get key1)" "from net1"
	end "$PID"

	# Bound to one
	assert_eq "$(GZ_RUN_ARGS=--relay bound relay gz e python3 "$WORK/bound.py" gazelle0 gazelle1)" "$at_each" \
		"SO_BINDTODEVICE in the relay plane"
	assert_eq "$(GZ_RUN_ARGS=--ring bound rings gz e python3 "$WORK/bound.py" gazelle0 ve2)" "$at_each" \
		"SO_BINDTODEVICE in the rings, by the device's name"

	assert_eq "$(GZ_RUN_ARGS=--relay gz e python3 "$WORK/mtu.py" gazelle0 gazelle1)" "$mtus" "MTU in the relay plane"
	assert_eq "$(GZ_RUN_ARGS=--ring gz e python3 "$WORK/mtu.py" gazelle0 gazelle1)" "$mtus" "MTU in the rings"

	# Groups
	assert_eq "$(groups gz e python3 "$WORK/groups.py" gazelle0 gazelle1)" "$in_groups" "groups"

	# What was counted where
	for i in 0 1; do
		a=$(shown gazelle$i "p['driver'], p['mtu'], p['addresses'], p['rx_packets'] > 20, p['tx_packets'] > 20")
		assert_eq "$a" "$([ $i = 0 ] && echo "net_af_packet 1500 ['10.1.0.2/24'] True True" ||
			echo "net_af_xdp 1400 ['10.2.0.2/24'] True True")" "gazelle$i"
	done
	assert_eq "$(ctl e --json port | python3 -c 'import json, sys
print([p["interface"] for p in json.load(sys.stdin)])')" "['gazelle0', 'gazelle1']" "ports"
	refute ctl e port gazelle2 2>/dev/null

	# One without a link, and there again
	for i in 1 2; do
		background talk$i gz e python3 "$TEST_DIR/net/talk.py" 10.$i.0.1
		TALK[i]=$PID
	done
	goes_on talk1 talk2
	whose "${TALK[1]}" "10.1.0.1:7000"
	whose "${TALK[2]}" "10.2.0.1:7000"
	for i in 1 2; do
		in_ns net$i ip link set e0 down
		within 5 is_link gazelle$((i - 1)) down
		is_link gazelle$((2 - i)) up || fail "both links are down"
		assert_match "$(gz e ip link show dev gazelle$((i - 1)))" NO-CARRIER
		refute grep -q NO-CARRIER <(gz e ip link show dev gazelle$((2 - i)))
		goes_on talk$((3 - i))
		in_ns net$i ip link set e0 up
		within 5 is_link gazelle$((i - 1)) up
		goes_on talk1 talk2
	done
	for i in 1 2; do end "${TALK[i]}"; done

	# What programs see
	assert_eq "$(gz e ip -o -4 addr | awk '/gazelle/ { print $2, $4 }')" "gazelle0 10.1.0.2/24
gazelle1 10.2.0.2/24" "ip addr"
	assert_eq "$(gz e ip -o link | awk '/gazelle/ { print $2, $5 }')" "gazelle0: 1500
gazelle1: 1400" "ip link"
	assert_eq "$(gz e ip -4 route show dev gazelle1 | sed 's/ *$//')" "default via 10.2.0.1 proto static
10.8.0.0/16 via 10.2.0.1 proto static
10.2.0.0/24 proto kernel scope link src 10.2.0.2" "ip route"
	assert_match "$(gz e ip route get 10.8.0.1)" "via 10.2.0.1 dev gazelle1 src 10.2.0.2"
	assert_match "$(gz e ip route get 10.1.0.1)" "10.1.0.1 dev gazelle0 src 10.1.0.2"
	within 5 neighbours gazelle0 10.1.0.1
	within 5 neighbours gazelle1 10.2.0.1
	assert_eq "$(gz e busybox ifconfig gazelle1 | grep -o 'inet addr:[0-9.]*')" "inet addr:10.2.0.2"
	assert_match "$(gz e python3 -c 'import socket
print([n for i, n in socket.if_nameindex() if n[:7] == "gazelle"],
      socket.if_indextoname(socket.if_nametoindex("gazelle1")))')" \
		"\['gazelle0', 'gazelle1'\] gazelle1"
	assert_match "$(ctl e routes)" "10.8.0.0/16 +10.2.0.1 +gazelle1"
	assert_eq "$(counter e 'rx_malformed|tx_no_mbuf')" 0 "bad frames"
	stop_engine e
}

# whose GAZELLE-RUN PEER - the engine's, as it has a way there
whose() {
	assert_match "$(ctl e why "$(program_of "$1")")" "engine +connect +$2 +tcp "
}

# neighbours IFACE ADDRESS - there is that one alone; a worker tells of them once a second
neighbours() {
	[ "$(gz e ip neigh show dev "$1" | awk '{ print $1, $2, $4 }')" = "$2 lladdr REACHABLE" ]
}

TALK=()
served 1
served 2

# A private engine, one of whose ports has no DHCP server: programs start, and the other port serves
engine_config e stack "linger: 1s
port: {driver: af_packet, iface: ve1}
ports: [{driver: af_packet, iface: ve2, dhcp: true}]
stack: {addresses: [10.1.0.2/24]}"
background alone gz e python3 -m http.server --bind 0.0.0.0 --directory "$WORK/net2" 8000
ALONE=$PID
wait_port net1 10.1.0.2 8000
assert_eq "$(in_ns net1 curl -sS http://10.1.0.2:8000/name)" net2
assert_eq "$(gz e curl -sS http://10.1.0.1:8000/name)" net1
assert_match "$(shown gazelle1 "p['addresses'], p['dhcp']")" "^\[\] (init|selecting)"
end "$ALONE"
# Its socket goes first, its lock with the process.
private_engine() { pgrep -f "gazelle-engine .*--config ${CONFIG_OF[e]}"; }
assert private_engine
end_of_private_engine() { ! private_engine; }
within 10 end_of_private_engine

# Both addresses from servers, one of which says another MTU
if command -v dnsmasq >/dev/null; then
	# dhcpd PORT NETWORK
	dhcpd() {
		local mac
		mac=$(in_ns stack cat /sys/class/net/ve"$1"/address)
		background dnsmasq"$1" in_ns net"$1" dnsmasq --no-daemon --conf-file=/dev/null --port=0 --user=root \
			--interface=e0 --bind-interfaces --dhcp-authoritative --no-ping \
			--dhcp-leasefile="$WORK/leases-$2" --dhcp-range="$2.70,$2.90,255.255.255.0,12$1" \
			--dhcp-host="$mac,$2.77" --dhcp-option=option:router,"$2.1" \
			--dhcp-option=option:mtu,$((1500 - 100 * ($1 - 1)))
		DHCPD=$PID
		wait_line dnsmasq"$1" "DHCP, IP range"
	}
	for i in 1 2; do dhcpd $i 10.$i.0; done
	start_engine e stack "port: {driver: af_packet, iface: ve1}
ports: [{driver: af_packet, iface: ve2, dhcp: true}]
stack: {dhcp: true}"
	for i in 1 2; do
		within 10 is_bound gazelle$((i - 1))
		assert_eq "$(shown gazelle$((i - 1)) \
			"p['addresses'], p['dhcp'], p['dhcp_server'], p['mtu'], 110 < p['dhcp_lease_s'] <= 120 + $i")" \
			"['10.$i.0.77/24'] bound 10.$i.0.1 $((1500 - 100 * (i - 1))) True" "the lease of port $i"
		assert_eq "$(gz e curl -sS "http://10.$i.0.1:8000/name")" net$i
	done
	assert_match "$(gz e ip route)" "default via 10.1.0.1 dev gazelle0 proto dhcp"

	# The second one has an address in another network: a group is left where it was joined
	background igmp in_ns net2 python3 "$WORK/igmp.py"
	wait_line igmp ready
	background leave gz e python3 "$WORK/leave.py" 10.2.0.77
	LEAVES=$PID
	wait_line leave joined
	wait_line igmp report
	end "$DHCPD"
	in_ns net2 ip address add 10.4.0.1/24 dev e0
	in_ns net2 ip address del 10.2.0.1/24 dev e0
	dhcpd 2 10.4.0
	in_ns net2 ip link set e0 down
	within 5 is_link gazelle1 down
	in_ns net2 ip link set e0 up
	wait_line leave left 20
	wait_line igmp leave
	assert_eq "$(shown gazelle1 "p['addresses']")" "['10.4.0.77/24']" "the other address"
	end "$LEAVES"
	stop_engine e
fi

# Segments as large as the link takes them at one port, and such of the MSS at the other
helper=$T/semantics/helper_transfer
netns far
start_engine far far "port: {driver: vhost, path: $WORK/link}
stack: {addresses: [10.3.0.1/24, 10.1.0.99/32]}"
start_engine e stack "port: {driver: virtio_user, path: $WORK/link}
ports: [{driver: af_packet, iface: ve1, addresses: [10.1.0.2/24]}]
stack: {addresses: [10.3.0.2/24]}"
background serve1 in_ns net1 "$helper" serve 10.1.0.1 7001 16
wait_line serve1 ready
SERVE1=$PID
background serve2 gz far "$helper" serve 10.3.0.1 7001 16
wait_line serve2 ready
background client2 gz e "$helper" client 10.3.0.1 7001 16
CLIENT2=$PID
assert gz e "$helper" client 10.1.0.1 7001 16
assert finish "$CLIENT2"
assert finish "$SERVE1"
[ "$(counter e tso)" -gt 100 ] || fail "$(counter e tso) large segments were sent by the link"
# By SO_BINDTODEVICE as well, where routes say the other
before=$(counter e tso)
background sink gz far python3 "$WORK/sink.py" 10.1.0.99
wait_line sink ready
assert gz e python3 "$WORK/bulk.py" 10.1.0.99 gazelle0
[ $(($(counter e tso) - before)) -gt 100 ] || fail "$(($(counter e tso) - before)) large segments by the link"
assert_eq "$(counter e 'tcp_checksum_errors|rx_malformed')" 0 "errors"
stop_engine e
