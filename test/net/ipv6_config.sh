#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ipv6_config.sh - Addresses by router advertisement, a router by hand, a duplicate address

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

FAR=fd00:9::1 # behind the router, which is the peer

# A router advertisement for fd00:2::/64, from ve2's link-local address
cat >"$WORK/advertise.py" <<'PY'
import socket, struct
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
i = socket.if_nametoindex("ve2")
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, i)
prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 3600, 0)
prefix += socket.inet_pton(socket.AF_INET6, "fd00:2::")
s.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + prefix, ("ff02::1", 0, 0, i))
PY
cat >"$WORK/serve.py" <<'PY'
import socket, sys
s = socket.create_server((sys.argv[1], 7000), family=socket.AF_INET6)
print("ready", flush=True)
while True:
    c, a = s.accept()
    c.sendall(a[0].encode())
    c.close()
PY
cat >"$WORK/ask.py" <<'PY'
import socket, sys
print(socket.create_connection((sys.argv[1], 7000), 10).recv(100).decode())
PY
cat >"$WORK/bind.py" <<'PY'
import socket, sys
s = socket.socket(socket.AF_INET6)
try:
    s.bind((sys.argv[1], 7005))
    print("bound")
except OSError as e:
    print(e.errno)
PY

advertised() {
	in_ns peer python3 "$WORK/advertise.py"
	in_ns peer ping -6 -q -c 1 -W 1 "$1"
}

wire
in_ns peer ip address add fd00:1::1/64 dev ve2 nodad || skip "the kernel has no IPv6"
in_ns peer ip address add fd00:2::1/64 dev ve2 nodad
in_ns peer ip address add $FAR/128 dev lo nodad
background serve in_ns peer python3 "$WORK/serve.py" ::
wait_line serve ready

# By advertisement: the address is the prefix and the interface's identifier
# (RFC 4291 appendix A), the router is who sent it.
start_engine auto stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24], slaac: true}"
mac=$(in_ns stack cat /sys/class/net/ve1/address)
own=$(python3 -c '
import ipaddress, sys
m = bytes.fromhex(sys.argv[1].replace(":", ""))
i = bytes([m[0] ^ 2]) + m[1:3] + b"\xff\xfe" + m[3:]
print(ipaddress.IPv6Address(ipaddress.IPv6Address("fd00:2::").packed[:8] + i))' "$mac")
background monitor gz auto ip -6 monitor address
monitor=$PID
within 15 advertised "$own"
wait_line monitor "inet6 $own/64 scope global"
end "$monitor"
assert_eq "$(gz auto python3 "$WORK/ask.py" fd00:2::1)" "$own" "the source on the link"
assert_eq "$(gz auto python3 "$WORK/ask.py" $FAR)" "$own" "the source of what the router reaches"
router=$(in_ns peer ip -o -6 addr show dev ve2 scope link | sed 's/.*inet6 \([^/]*\).*/\1/')
routes=$(gz auto ip -6 route)
assert_match "$routes" "fd00:2::/64 dev gazelle0 proto kernel metric 256"
assert_match "$routes" "default via $router dev gazelle0 proto ra metric 1024"
assert_match "$(gz auto ip -6 route get $FAR)" "via $router dev gazelle0"
stop_engine auto

# Without stack.slaac an advertisement changes nothing.
start_engine hand stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24], addresses6: [\"fd00:1::2/64\"], gateway6: \"fd00:1::1\"}"
within 10 in_ns peer ping -6 -q -c 1 -W 1 fd00:1::2
in_ns peer python3 "$WORK/advertise.py"
assert_eq "$(gz hand python3 "$WORK/ask.py" $FAR)" fd00:1::2 "the source by gateway6"
refute in_ns peer ping -6 -q -c 1 -W 1 "$own"
stop_engine hand

# The peer has the address already: it is not used, and said to be so.
in_ns peer ip address add fd00:1::3/64 dev ve2 nodad
start_engine twice stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24], addresses6: [\"fd00:1::3/64\", \"fd00:1::4/64\"]}"
wait_line engine-twice.log "fd00:1::3 is another host's address already"
within 10 in_ns peer ping -6 -q -c 1 -W 1 fd00:1::4
assert_eq "$(gz twice python3 "$WORK/bind.py" fd00:1::3)" 99 "bind() to it (EADDRNOTAVAIL)"
assert_eq "$(gz twice python3 "$WORK/bind.py" fd00:1::4)" bound
assert_eq "$(gz twice python3 "$WORK/ask.py" fd00:1::1)" fd00:1::4 "the source"
stop_engine twice

# Networks that are no /64: a /127 between two routers, as RFC 6164 has them, and a /48 of
# which other /64 are on the link, one of them not heard of before; what is in the same /64 as the
# first is by the gateway.
in_ns peer ip address add fd00:3::1/127 dev ve2 nodad
in_ns peer ip address add fd00:4:0:7::1/48 dev ve2 nodad
in_ns peer ip address add fd00:4:0:f::1/48 dev ve2 nodad
in_ns peer ip address add fd00:3::ffff/128 dev lo nodad
start_engine long stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24], addresses6: [\"fd00:3::/127\", \"fd00:4::2/48\"]}"
within 10 in_ns peer ping -6 -q -c 1 -W 1 fd00:4::2
assert_eq "$(gz long python3 "$WORK/ask.py" fd00:3::1)" fd00:3:: "the source in a /127"
assert_eq "$(gz long python3 "$WORK/ask.py" fd00:4:0:7::1)" fd00:4::2 "the source in a /48"
assert_eq "$(gz long python3 "$WORK/ask.py" fd00:4:0:f::1)" fd00:4::2 "the source, to who is silent"
assert_match "$(gz long ip -6 addr show dev gazelle0)" "fd00:3::/127"
assert_match "$(gz long ip -6 route)" "fd00:4::/48 dev gazelle0"
stop_engine long
start_engine behind stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24], addresses6: [\"fd00:3::/127\"], gateway6: \"fd00:3::1\"}"
within 10 in_ns peer ping -6 -q -c 1 -W 1 fd00:3::
assert_eq "$(gz behind python3 "$WORK/ask.py" fd00:3::ffff)" fd00:3:: "the source by the gateway"
stop_engine behind
