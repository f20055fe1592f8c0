#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ports6.sh - IPv6 at two ports: addresses, link-local ones of one name at both, next hops behind
# the second, groups, sockets that are bound to one, advertisements, one without a link
#
# With one worker and with two, in both planes.  What a program sees of all that is compared with the
# kernel that has the same addresses and routes.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

# who.py NAME - over TCP and UDP, to whoever comes: the name and whom it is told to; what comes to the
# group ff05::1:2 is printed, and the name sent to ff05::1:1, over and over
cat >"$WORK/who.py" <<'PY'
import socket, sys, threading, time
name = sys.argv[1]
link = socket.if_nametoindex("e0")
def tcp():
    s = socket.create_server(("::", 7100), family=socket.AF_INET6)
    while True:
        c, a = s.accept()
        c.sendall(("%s to %s" % (name, a[0].split("%")[0])).encode())
        c.close()
def udp():
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    s.bind(("::", 7100))
    while True:
        data, control, flags, a = s.recvmsg(100, 64)
        s.sendmsg([("%s to %s" % (name, a[0].split("%")[0])).encode()], control, 0, a)
def member():
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.bind(("::", 7201))
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                 socket.inet_pton(socket.AF_INET6, "ff05::1:2") + link.to_bytes(4, "little"))
    while True:
        print("heard:", s.recv(100).decode(), flush=True)
# MLD's reports of ff05::1:1, of either version (RFC 2710, RFC 3810)
def reports():
    s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86dd))
    s.bind(("e0", 0x86dd))
    group = socket.inet_pton(socket.AF_INET6, "ff05::1:1")
    while True:
        try:
            p, a = s.recvfrom(2000)
        except OSError: # without a link
            continue
        if a[2] != socket.PACKET_OUTGOING and p[6] == 0 and p[48] in (131, 143) and group in p[48:]:
            print("report", flush=True)
for f in tcp, udp, member, reports:
    threading.Thread(target=f, daemon=True).start()
u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
u.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, link)
print("ready", flush=True)
while True:
    try:
        u.sendto(name.encode(), ("ff05::1:1", 7200))
    except OSError: # without a link
        pass
    time.sleep(0.02)
PY
# sees.py IFACE IFACE - what a program has of two interfaces
cat >"$WORK/sees.py" <<'PY'
import errno, socket, sys
names = sys.argv[1:3]
index = [socket.if_nametoindex(n) for n in names]
def make(kind, bound=None):
    s = socket.socket(socket.AF_INET6, kind)
    s.settimeout(10)
    if bound is not None:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, names[bound].encode())
    return s
def local(s):
    a = s.getsockname()
    return "link-local at %d" % (index.index(a[3]) + 1) if a[0][:4] == "fe80" else a[0]
def ask(to, bound=None, scope=0, own=False):
    told = []
    for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
        s = make(kind, bound)
        try:
            s.connect((to, 7100, 0, scope))
            if kind == socket.SOCK_DGRAM:
                s.send(b"?")
            said, me = s.recv(100).decode().split(" to ")
            told.append("%s from %s%s" % (said, local(s), "" if me == s.getsockname()[0].split("%")[0] else ", not " + me))
        except OSError as e:
            told.append(errno.errorcode[e.errno] if e.errno else "time-out")
        s.close()
    s = make(socket.SOCK_DGRAM, bound)
    try:
        s.sendto(b"?", (to, 7100, 0, scope))
        if not own: # whom nobody tells of refusals
            told.append(s.recv(100).decode().split(" to ")[0])
    except OSError as e:
        told.append(errno.errorcode[e.errno] if e.errno else "time-out")
    print(to, "at", bound, "scope", index.index(scope) + 1 if scope else 0, ":", "; ".join(told), flush=True)
for to in "fd01::1", "fd02::1", "fd08::1", "fd09::1":
    ask(to)
for i in 0, 1:
    ask("fe80::1", scope=index[i])
    ask("fe80::1", bound=i, scope=index[i])
    ask("fd02::1", bound=i)
    ask("fd08::1", bound=i)
    ask("fd0%d::2" % (i + 1), own=True)
    ask("fd0%d::2" % (i + 1), bound=i, own=True)
# the other one's link
for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
    try:
        make(kind, 0).connect(("fe80::1", 7100, 0, index[1]))
        print("connected by the other link")
    except OSError as e:
        print(errno.errorcode[e.errno])
# servers at a link each, at the same port
for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
    for i in 0, 1:
        s = make(kind, i)
        s.bind(("::", 7300))
    print("two servers")
# groups: who hears what, and to another one from each
group = socket.inet_pton(socket.AF_INET6, "ff05::1:1")
for i in 0, 1:
    s = make(socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_IPV6, 29, 0) # IPV6_MULTICAST_ALL
    s.bind(("::", 7200))
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + index[i].to_bytes(4, "little"))
    print("a member hears", {s.recv(100).decode() for _ in range(5)})
    s.close()
    u = make(socket.SOCK_DGRAM)
    u.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index[i])
    u.sendto(b"from %d" % (i + 1), ("ff05::1:2", 7201))
    u = make(socket.SOCK_DGRAM, i)
    u.sendto(b"bound to %d" % (i + 1), ("ff05::1:2", 7201))
print("all seen", flush=True)
PY
# serve.py IFACE IFACE - a server at any address, and one at the link-local address of each interface
cat >"$WORK/serve.py" <<'PY'
import socket, sys, threading
def serve(s, text):
    while True:
        c = s.accept()[0]
        c.sendall(text)
        c.close()
def answer(s, text):
    while True:
        s.sendto(text, s.recvfrom(100)[1])
def both(port, text, device=None):
    s = socket.socket(socket.AF_INET6)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    for x in s, u:
        if device:
            x.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        x.bind(("::", port))
    s.listen()
    threading.Thread(target=serve, args=(s, text), daemon=True).start()
    threading.Thread(target=answer, args=(u, text), daemon=True).start()
both(7000, b"any")
for i, name in enumerate(sys.argv[1:3]):
    both(7001, b"at %d" % (i + 1), name)
print("ready", flush=True)
threading.Event().wait()
PY
# to.py PORT ADDRESS ... - who answers there, over TCP and UDP; link-local ones by e0
cat >"$WORK/to.py" <<'PY'
import socket, sys
for to in sys.argv[2:]:
    a = (to, int(sys.argv[1]), 0, socket.if_nametoindex("e0") if to[:4] == "fe80" else 0)
    s = socket.socket(socket.AF_INET6)
    s.settimeout(10)
    s.connect(a)
    print(s.recv(100).decode(), end=", ")
    u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    u.settimeout(10)
    u.sendto(b"?", a)
    print(u.recv(100).decode(), end=", ")
PY
# behind.py IFACE - who is fd99::1 there, over TCP and UDP
cat >"$WORK/behind.py" <<'PY'
import socket, sys
for kind in socket.SOCK_STREAM, socket.SOCK_DGRAM:
    s = socket.socket(socket.AF_INET6, kind)
    s.settimeout(10)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, sys.argv[1].encode())
    s.connect(("fd99::1", 7100))
    if kind == socket.SOCK_DGRAM:
        s.send(b"?")
    print(s.recv(100).decode(), end=", ")
PY
# advertise.py PREFIX - a router advertisement for that /64 from e0
cat >"$WORK/advertise.py" <<'PY'
import socket, struct, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
i = socket.if_nametoindex("e0")
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, i)
s.bind(("fe80::1", 0, 0, i))
prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 3600, 0)
prefix += socket.inet_pton(socket.AF_INET6, sys.argv[1])
s.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + prefix, ("ff02::1", 0, 0, i))
PY

netns stack
for i in 1 2; do
	netns net$i
	veth stack ve$i "" net$i e0 10.$i.0.1/24
	in_ns net$i ip address add fd0$i::1/64 dev e0 nodad || skip "the kernel has no IPv6"
	in_ns net$i ip address add fe80::1/64 dev e0 nodad
	in_ns net$i ip address add fd99::1/128 dev lo nodad
	background who$i in_ns net$i python3 "$WORK/who.py" net$i
	wait_line who$i ready
done
for a in fd08::1 fd09::1; do in_ns net2 ip address add $a/128 dev lo nodad; done
in_ns net1 ip address add fd02::99/128 dev lo nodad
in_ns net1 ip route add fd02::2 via fd01::2 # the other port's address

# seen CMD... - what sees.py says, which CMD runs, and what net1 and net2 heard of groups meanwhile
seen() {
	local i from=()
	for i in 1 2; do from[i]=$(wc -l <"$WORK/who$i"); done
	"$@" || fail "sees.py: $?"
	for i in 1 2; do
		within 5 heard who$i "${from[i]}"
		tail -n +$((from[i] + 1)) "$WORK/who$i" | sort -u
	done
}
heard() {
	local new
	new=$(tail -n +$(($2 + 1)) "$WORK/$1")
	[[ $new == *report* ]] && [[ $new == *"bound to"* ]]
}
# answers FILE LINK-LOCAL LINK-LOCAL CMD... - who answers to net1 and net2, of what CMD serves
answers() {
	local file=$1 ll1=$2 ll2=$3 pid
	shift 3
	background "$file" "$@"
	pid=$PID
	wait_line "$file" ready
	in_ns net1 python3 "$WORK/to.py" 7000 fd01::2 fd02::2 "$ll1"
	in_ns net1 python3 "$WORK/to.py" 7001 fd01::2 fd02::2 "$ll1"
	in_ns net2 python3 "$WORK/to.py" 7000 fd02::2 "$ll2"
	in_ns net2 python3 "$WORK/to.py" 7001 fd02::2 "$ll2"
	end "$pid"
}
LL=("" "$(link_local stack ve1)" "$(link_local stack ve2)")

# The kernel first
for i in 1 2; do in_ns stack ip address add fd0$i::2/64 dev ve$i nodad; done
for i in 1 2; do
	within 10 in_ns net$i ping -6 -q -c 1 -W 1 "${LL[i]}%e0"
	in_ns net$i ip -6 neigh flush all
done
in_ns stack ip route add fd08::/16 via fe80::1 dev ve2
in_ns stack ip route add default via fd02::1
AT_KERNEL=$(seen in_ns stack python3 "$WORK/sees.py" ve1 ve2)
BY_KERNEL=$(answers kernel "${LL[1]}" "${LL[2]}" in_ns stack python3 "$WORK/serve.py" ve1 ve2)
assert_match "$AT_KERNEL" "all seen"
for i in 1 2; do
	in_ns stack sysctl -qw net.ipv6.conf.ve$i.disable_ipv6=1
	in_ns net$i ip -6 neigh flush all
done

shown() { ctl e --json port "$1" | python3 -c "import json, sys; p = json.load(sys.stdin); print($2)"; }
is_link() { [ "$(shown "$1" "p['link']")" = "$2" ]; }
# neighbours IFACE ADDRESS - is it one there, and not at the other?
neighbours() { gz e ip -6 neigh show dev "$1" | grep -q "^$2 lladdr"; }
reached() { in_ns net"$1" ping -6 -q -c 1 -W 1 "$2"; }

# served WORKERS
served() {
	local i args
	start_engine e stack "port: {driver: af_packet, iface: ve1}
ports:
  - {driver: af_packet, iface: ve2, addresses6: [\"fd02::2/64\"]}
stack:
  addresses: [10.1.0.2/24]
  addresses6: [\"fd01::2/64\"]
  gateway6: \"fd02::1\"
  routes: [{to: \"fd08::/16\", via: \"fe80::1\", dev: gazelle1}]
workers: {count: $1}"
	for i in 1 2; do
		within 10 reached $i fd0$i::2
		within 10 reached $i "${LL[i]}%e0"
	done
	for args in --relay --ring; do
		assert_eq "$(GZ_RUN_ARGS=$args seen gz e python3 "$WORK/sees.py" gazelle0 gazelle1)" \
			"$(sed 's/ve1/gazelle0/; s/ve2/gazelle1/' <<<"$AT_KERNEL")" "what a program sees, $args"
		assert_eq "$(GZ_RUN_ARGS=$args answers server$args "${LL[1]}" "${LL[2]}" \
			gz e python3 "$WORK/serve.py" gazelle0 gazelle1)" "$BY_KERNEL" "who answers, $args"
	done

	# What is shown
	assert_eq "$(gz e ip -o -6 addr | awk '/gazelle/ { print $2, $4 }')" "gazelle0 fd01::2/64
gazelle1 fd02::2/64" "ip -6 addr"
	assert_eq "$(gz e ip -o -6 addr show dev gazelle1 | awk '{ print $2, $4 }')" "gazelle1 fd02::2/64"
	assert_eq "$(gz e ip -6 route show dev gazelle1 | sed 's/ *pref .*//; s/ *$//' | sort)" \
		"default via fd02::1 proto static metric 1024
fd02::/64 proto kernel metric 256
fd08::/16 via fe80::1 proto static metric 1024" "ip -6 route"
	assert_match "$(gz e ip -6 route get fd08::1)" "via fe80::1 dev gazelle1 src fd02::2"
	assert_match "$(gz e ip -6 route get fd01::1)" "fd01::1 .*dev gazelle0 src fd01::2"
	assert_match "$(gz e ip -6 route get fd09::1)" "via fd02::1 dev gazelle1 src fd02::2"
	for i in 1 2; do
		within 5 neighbours gazelle$((i - 1)) fe80::1
		within 5 neighbours gazelle$((i - 1)) fd0$i::1
		refute neighbours gazelle$((2 - i)) fd0$i::1
		assert_match "$(shown gazelle$((i - 1)) "p['addresses']")" "'fd0$i::2/64'"
	done
	assert_match "$(ctl e routes)" "fd08::/16 +fe80::1 +gazelle1"
	assert_match "$(ctl e routes)" "::/0 +fd02::1 +gazelle1"

	# One without a link, and there again
	for i in 1 2; do
		in_ns net$i ip link set e0 down
		within 5 is_link gazelle$((i - 1)) down
		assert reached $((3 - i)) fd0$((3 - i))::2
		in_ns net$i ip link set e0 up
		# which has taken them away
		in_ns net$i ip address replace fd0$i::1/64 dev e0 nodad
		in_ns net$i ip address replace fe80::1/64 dev e0 nodad
		within 5 is_link gazelle$((i - 1)) up
		within 10 reached $i fd0$i::2
	done
	in_ns net1 ip route replace fd02::2 via fd01::2
	assert_eq "$(counter e 'rx_malformed|tx_no_mbuf')" 0 "bad frames"
	stop_engine e
}
served 1
served 2

# By advertisements at both ports, of two routers that have one address: behind each is fd99::1
advertised() {
	local own
	in_ns net"$1" python3 "$WORK/advertise.py" fd1"$1"::
	own=$(gz e ip -o -6 addr show dev gazelle$(($1 - 1)) | grep -o "fd1$1::[^/]*")
	reached "$1" "$own" # it is no duplicate then
}
for i in 1 2; do in_ns net$i ip -6 address add fd1$i::1/64 dev e0 nodad; done
for workers in 1 2; do
	start_engine e stack "port: {driver: af_packet, iface: ve1}
ports: [{driver: af_packet, iface: ve2, slaac: true}]
stack: {addresses: [10.1.0.2/24], slaac: true}
workers: {count: $workers}"
	for i in 1 2; do
		within 15 advertised $i
	done
	assert_eq "$(gz e ip -6 route show default | sed 's/ *pref .*//; s/ *$//' | sort)" \
		"default via fe80::1 dev gazelle0 proto ra metric 1024
default via fe80::1 dev gazelle1 proto ra metric 1024" "routers"
	for args in --relay --ring; do
		for i in 1 2; do
			assert_match "$(GZ_RUN_ARGS=$args gz e python3 "$WORK/behind.py" gazelle$((i - 1)))" \
				"^net$i to fd1$i:.*, net$i to fd1$i:" "behind router $i, $args"
		done
	done
	stop_engine e
done
