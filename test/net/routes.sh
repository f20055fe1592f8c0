#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# routes.sh - stack.routes: two gateways on one link, each of which answers for networks behind
# it, IPv4 and IPv6, TCP and UDP, out and in; the longest prefix holds, also within a network on
# the link, and the kernel with the same routes agrees

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

# serve.py NAME ADDRESS ... - says who it is, and then what it gets; datagrams at these addresses
cat >"$WORK/serve.py" <<'PY'
import socket, sys, threading
def serve(c):
    c.sendall(sys.argv[1].encode())
    while b := c.recv(65536):
        c.sendall(b)
    c.close()
def datagrams(u):
    while True:
        b, a = u.recvfrom(2000)
        u.sendto(sys.argv[1].encode() + b, a)
s = socket.create_server(("::", 7000), family=socket.AF_INET6, dualstack_ipv6=True)
for own in sys.argv[2:]:
    u = socket.socket(socket.AF_INET6 if ":" in own else socket.AF_INET, socket.SOCK_DGRAM)
    u.bind((own, 7000))
    threading.Thread(target=datagrams, args=(u,), daemon=True).start()
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
PY
# ask.py ADDRESS,GATEWAY,SOURCE ... - who answers there, what it sends back, and our address
cat >"$WORK/ask.py" <<'PY'
import random, socket, sys, threading
data = random.Random(5).randbytes(200000)
def whole(s, n):
    b = b""
    while len(b) < n:
        b += s.recv(n - len(b)) or sys.exit("the end after %d bytes" % len(b))
    return b
for word in sys.argv[1:]:
    to, gateway, source = word.split(",")
    f = socket.AF_INET6 if ":" in to else socket.AF_INET
    s = socket.create_connection((to, 7000), 10)
    assert s.getsockname()[0] == source, (to, s.getsockname())
    t = threading.Thread(target=s.sendall, args=(data,))
    t.start()
    who = whole(s, 3).decode()
    assert who == gateway, (to, who)
    assert whole(s, len(data)) == data, to
    t.join()
    s.close()
    u = socket.socket(f, socket.SOCK_DGRAM)
    u.settimeout(10)
    u.sendto(data[:1000], (to, 7000))
    b, a = u.recvfrom(2000)
    assert b == gateway.encode() + data[:1000] and a[0] == to, (to, a, b[:3])
    u.connect((to, 7000))
    assert u.getsockname()[0] == source, (to, u.getsockname())
    u.close()
print("all")
PY
behind4="10.8.0.1 10.8.9.1 10.9.0.1 10.1.0.200 10.99.0.1 10.6.0.1"
behind6="fd00:8::1 fd00:8:9::1 fd00:9::1 fd00:1::9:1"
all=(10.1.0.1,gw1,10.1.0.2 10.8.0.1,gw1,10.1.0.2 10.8.9.1,gw2,10.1.0.2 10.9.0.1,gw2,10.1.0.4
	10.1.0.200,gw2,10.1.0.2 10.99.0.1,gw1,10.1.0.2 10.6.0.1,gw2,10.2.0.2
	fd00:1::11,gw1,fd00:1::2 fd00:8::1,gw1,fd00:1::2 fd00:8:9::1,gw2,fd00:1::2
	fd00:9::1,gw2,fd00:1::4 fd00:1::9:1,gw2,fd00:1::2)

netns stack
netns switch
in_ns switch ip link add br0 type bridge 2>/dev/null || skip "the kernel has no bridges"
in_ns switch sysctl -qw net.ipv6.conf.all.disable_ipv6=1
in_ns switch ip link set br0 up
veth stack ve1 "" switch m0
in_ns switch ip link set m0 master br0
in_ns stack sysctl -qw net.ipv6.conf.ve1.accept_dad=0
# Both have all addresses that are behind either: who answers has been asked by the link.
for i in 1 2; do
	netns gw$i
	veth gw$i e0 "" switch m$i
	in_ns switch ip link set m$i master br0
	in_ns gw$i sysctl -qw net.ipv4.conf.e0.arp_ignore=1
	for a in 10.1.0.$((2 * i - 1))/24 10.2.0.$((2 * i - 1))/24; do
		in_ns gw$i ip address add $a dev e0
	done
	for a in $behind4; do
		in_ns gw$i ip address add $a/32 dev lo
	done
	in_ns gw$i ip address add fd00:1::$i$i/64 dev e0 nodad || skip "the kernel has no IPv6"
	in_ns gw$i ip address add fe80::$i/64 dev e0 nodad
	for a in $behind6; do
		in_ns gw$i ip address add $a/128 dev lo nodad
	done
	# shellcheck disable=SC2086
	background serve$i in_ns gw$i python3 "$WORK/serve.py" gw$i 10.1.0.$((2 * i - 1)) \
		fd00:1::$i$i $behind4 $behind6
	wait_line serve$i ready
done

# The kernel first.  Of two addresses in one network it takes the one that came last.
for a in 10.1.0.2/24 10.1.0.4/24 10.2.0.2/24 fd00:1::4/64 fd00:1::2/64; do
	in_ns stack ip address add $a dev ve1
done
while read -r route; do
	# shellcheck disable=SC2086
	in_ns stack ip route add $route
done <<'END'
default via 10.1.0.1
10.8.0.0/16 via 10.1.0.1
10.8.9.0/24 via 10.1.0.3
10.9.0.0/16 via 10.1.0.3 src 10.1.0.4
10.1.0.128/25 via 10.1.0.3
10.6.0.0/16 via 10.2.0.3
fd00:8::/32 via fd00:1::11
fd00:8:9::/48 via fe80::2 dev ve1
fd00:9::/32 via fd00:1::22 src fd00:1::4
fd00:1::9:0/112 via fd00:1::22
END
assert_eq "$(in_ns stack python3 "$WORK/ask.py" "${all[@]}")" all "the kernel's"
in_ns stack ip address flush dev ve1
in_ns stack sysctl -qw net.ipv6.conf.ve1.disable_ipv6=1

start_engine e stack 'port: {driver: af_packet, iface: ve1}
stack:
  addresses: [10.1.0.2/24, 10.1.0.4/24, 10.2.0.2/24]
  addresses6: ["fd00:1::2/64", "fd00:1::4/64"]
  gateway: 10.1.0.1
  routes:
    - {to: 10.8.0.0/16, via: 10.1.0.1}
    - {to: 10.8.9.0/24, via: 10.1.0.3}
    - {to: 10.9.0.0/16, via: 10.1.0.3, src: 10.1.0.4}
    - {to: 10.1.0.128/25, via: 10.1.0.3}
    - {to: 10.6.0.0/16, via: 10.2.0.3}
    - {to: "fd00:8::/32", via: "fd00:1::11"}
    - {to: "fd00:8:9::/48", via: "fe80::2"}
    - {to: "fd00:9::/32", via: "fd00:1::22", src: "fd00:1::4"}
    - {to: "fd00:1::9:0/112", via: "fd00:1::22"}'
within 10 in_ns gw1 ping -6 -q -c 1 -W 1 fd00:1::2
within 10 in_ns gw1 ping -6 -q -c 1 -W 1 fd00:1::4
assert_eq "$(GZ_RUN_ARGS=--relay gz e python3 "$WORK/ask.py" "${all[@]}")" all "the relay's"
assert_eq "$(GZ_RUN_ARGS=--ring gz e python3 "$WORK/ask.py" "${all[@]}")" all "the rings'"

# In: answers go back by the routes, also those that lwIP gives itself
for a in 10.8.9.1:10.1.0.2 10.9.0.1:10.1.0.4 10.6.0.1:10.2.0.2 fd00:8:9::1@fd00:1::2; do
	[[ $a == *@* ]] || a=${a/:/@}
	assert in_ns gw2 ping -q -c 1 -W 5 -I "${a%@*}" "${a#*@}" >"$WORK/ping.out"
done
# By the gateway, from an address that is not the first
assert in_ns gw1 ping -q -c 1 -W 5 -I 10.99.0.1 10.1.0.4 >"$WORK/ping.out"
background own gz e python3 "$WORK/serve.py" own
wait_line own ready
cat >"$WORK/in.py" <<'PY'
import socket, sys
for word in sys.argv[1:]:
    source, to = word.split("@")
    print(socket.create_connection((to, 7000), 10, (source, 0)).recv(3).decode(), end=" ")
PY
assert_eq "$(in_ns gw2 python3 "$WORK/in.py" 10.8.9.1@10.1.0.2 10.6.0.1@10.1.0.4 fd00:9::1@fd00:1::2)" \
	"own own own " "connections from behind gw2"

# What programs and gazelle-ctl see.  What is behind no gateway is the kernel's, which has none.
got=$(gz e ip -4 route show dev gazelle0; gz e ip -6 route show dev gazelle0)
for route in "default via 10.1.0.1 proto static" "10.8.9.0/24 via 10.1.0.3 proto static" \
	"10.9.0.0/16 via 10.1.0.3 proto static src 10.1.0.4" "10.6.0.0/16 via 10.2.0.3" \
	"fd00:8:9::/48 via fe80::2 proto static metric 1024" \
	"fd00:9::/32 via fd00:1::22 proto static src fd00:1::4 metric 1024"; do
	assert_match "$got" "$route" "ip route"
done
assert_match "$(gz e ip route get 10.8.9.7)" "10.8.9.7 via 10.1.0.3 dev gazelle0 src 10.1.0.2"
assert_match "$(gz e ip route get 10.9.0.7)" "via 10.1.0.3 dev gazelle0 src 10.1.0.4"
assert_match "$(gz e ip route get 10.6.0.7)" "via 10.2.0.3 dev gazelle0 src 10.2.0.2"
assert_match "$(gz e ip -6 route get fd00:1::9:7)" "via fd00:1::22 dev gazelle0"
assert_match "$(gz e python3 -c 'import socket
try:
    socket.create_connection(("fd00:7::1", 7000), 1)
except OSError as e:
    print(e.errno)')" "^(99|101)$" "what has no route"
assert_eq "$(ctl e --json routes | python3 -c 'import json, sys
for r in json.load(sys.stdin):
    print(r["to"], r["via"] or "-", r["src"] or "-", r["from"])')" "10.1.0.0/24 - 10.1.0.2 link
10.1.0.0/24 - 10.1.0.4 link
10.2.0.0/24 - 10.2.0.2 link
fd00:1::/64 - fd00:1::2 link
fd00:1::/64 - fd00:1::4 link
10.8.0.0/16 10.1.0.1 - routes
10.8.9.0/24 10.1.0.3 - routes
10.9.0.0/16 10.1.0.3 10.1.0.4 routes
10.1.0.128/25 10.1.0.3 - routes
10.6.0.0/16 10.2.0.3 - routes
fd00:8::/32 fd00:1::11 - routes
fd00:8:9::/48 fe80::2 - routes
fd00:9::/32 fd00:1::22 fd00:1::4 routes
fd00:1::9:0/112 fd00:1::22 - routes
0.0.0.0/0 10.1.0.1 - gateway" "gazelle-ctl routes"
assert_match "$(ctl e routes)" "10.8.9.0/24 +10.1.0.3"
stop_engine e
