#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ports_pktinfo.sh - IP_PKTINFO and IPV6_PKTINFO among two ports: which interface a datagram came to,
# and which one it is to leave by
#
# With one worker and with two, in both planes, beside the kernel that has the same addresses.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

# who.py NAME - over UDP, from the address that was asked: the name and whom it is told to
cat >"$WORK/who.py" <<'PY'
import socket, sys, threading
def answer(family, level, option, any):
    s = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.setsockopt(level, option, 1)
    s.bind((any, 7100))
    while True:
        data, control, flags, a = s.recvmsg(100, 64)
        s.sendmsg([("%s to %s" % (sys.argv[1], a[0].split("%")[0])).encode()], control, 0, a)
threading.Thread(target=answer, args=(socket.AF_INET6, socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, "::"),
                 daemon=True).start()
print("ready", flush=True)
answer(socket.AF_INET, socket.IPPROTO_IP, 8, "0.0.0.0")
PY
# out.py IFACE IFACE - sendmsg() by an interface, with an address or without: who answers, and to
# what; each three times, by sockets of its own and by one
cat >"$WORK/out.py" <<'PY'
import errno, socket, struct, sys
index = [0] + [socket.if_nametoindex(n) for n in sys.argv[1:3]]
index.append(987654321)
def control(v4, i, own):
    if v4:
        return [(socket.IPPROTO_IP, 8, struct.pack("i4s4s", index[i], socket.inet_aton(own or "0.0.0.0"), bytes(4)))]
    return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO,
             socket.inet_pton(socket.AF_INET6, own or "::") + struct.pack("I", index[i]))]
def make(v4, bound):
    s = socket.socket(socket.AF_INET if v4 else socket.AF_INET6, socket.SOCK_DGRAM)
    s.settimeout(0.5)
    if bound:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, sys.argv[bound].encode())
    return s
def ask(to, i, own="", bound=0, connected=False):
    v4 = "." in to
    told = []
    s = None
    for _ in range(3):
        s = s or make(v4, bound)
        try:
            if connected:
                s.connect((to, 7100))
            s.sendmsg([b"?"], control(v4, i, own), 0, None if connected else (to, 7100))
            said = s.recv(100).decode()
            told.append("%s link-local" % said.split(" to ")[0] if "fe80" in said else said)
        except OSError as e:
            told.append(errno.errorcode[e.errno] if e.errno else "time-out")
            if not e.errno: # no use waiting again
                break
    print(to, "by", i, own, "bound" if bound else "", "connected" if connected else "", ":", told[0], flush=True)
    if len(set(told)) != 1:
        print("not the same:", told)
for connected in False, True:
    for i in 0, 1, 2:
        ask("10.%d.0.1" % (i or 1), i, connected=connected)
        ask("fd0%d::1" % (i or 1), i, connected=connected)
    # which is at the first, and in the second's network
    ask("10.2.0.99", 1, connected=connected)
    ask("10.2.0.99", 1, "10.2.0.2", connected=connected)
ask("10.2.0.99", 2)
ask("fd02::1", 1) # to which there is no way there
ask("fe80::1", 1)
ask("fe80::1", 2)
ask("10.1.0.1", 3)
ask("fd01::1", 3)
ask("10.1.0.1", 1, "10.9.9.9")
ask("fd01::1", 1, "fd01::9")
ask("10.2.0.99", 1, bound=2)
ask("fd01::1", 1, bound=2)
print("all asked", flush=True)
PY
# in.py IFACE IFACE - what comes to port 7400: by which interface, to which address, who answers; the
# answer goes by the interface that IP_PKTINFO says
cat >"$WORK/in.py" <<'PY'
import socket, struct, sys, threading
index = {socket.if_nametoindex(n): i + 1 for i, n in enumerate(sys.argv[1:3])}
def of(family):
    v4 = family == socket.AF_INET
    s = socket.socket(family, socket.SOCK_DGRAM)
    if v4:
        s.setsockopt(socket.IPPROTO_IP, 8, 1)
        s.bind(("0.0.0.0", 7400))
        for i in index:
            s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                         socket.inet_aton("239.1.1.1") + struct.pack("4si", bytes(4), i))
    else:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        s.bind(("::", 7400))
        for i in index:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                         socket.inet_pton(family, "ff05::1:1") + struct.pack("I", i))
    return s
def serve(s, v4):
    while True:
        data, control, flags, a = s.recvmsg(100, 64)
        info = control[0][2]
        if v4:
            i, answers, to = struct.unpack("i4s4s", info)
            text = "by %s to %s, %s" % (index.get(i, i), socket.inet_ntoa(to), socket.inet_ntoa(answers))
            back = struct.pack("i8s", i, bytes(8))
        else:
            to, i = struct.unpack("16sI", info)
            text = "by %s to %s" % (index.get(i, i), socket.inet_ntop(socket.AF_INET6, to))
            back = bytes(16) + struct.pack("I", i)
        s.sendmsg([text.encode()], [(*control[0][:2], back)], 0, a)
threading.Thread(target=serve, args=(of(socket.AF_INET6), False), daemon=True).start()
s = of(socket.AF_INET)
print("ready", flush=True)
serve(s, True)
PY
# to.py ADDRESS ... - what is answered there, each asked twice; to groups from e0
cat >"$WORK/to.py" <<'PY'
import socket, sys
link = socket.if_nametoindex("e0")
for to in sys.argv[1:]:
    v4 = "." in to
    s = socket.socket(socket.AF_INET if v4 else socket.AF_INET6, socket.SOCK_DGRAM)
    s.settimeout(5)
    if v4:
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, bytes(8) + link.to_bytes(4, "little"))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    else:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, link)
    for _ in range(2):
        s.sendto(b"?", (to, 7400) if v4 else (to, 7400, 0, link if to[:4] == "fe80" else 0))
        said, a = s.recvfrom(100)
        print(said.decode(), "from", "link-local" if a[0][:4] == "fe80" else a[0], end="; ")
print()
PY

netns stack
for i in 1 2; do
	netns net$i
	veth stack ve$i "" net$i e0 10.$i.0.1/24
	in_ns net$i ip address add fd0$i::1/64 dev e0 nodad || skip "the kernel has no IPv6"
	in_ns net$i ip address add fe80::1/64 dev e0 nodad
	background who$i in_ns net$i python3 "$WORK/who.py" net$i
	wait_line who$i ready
done
in_ns net1 ip address add 10.2.0.99/32 dev lo
in_ns net1 ip route add 10.2.0.2 via 10.1.0.2 # the other port's addresses
in_ns net1 ip route add fd02::2 via fd01::2
LL=("" "$(link_local stack ve1)" "$(link_local stack ve2)")

# told FILE CMD... - what in.py, which CMD runs, tells net1 and net2
told() {
	local pid
	background "$@"
	pid=$PID
	wait_line "$1" ready
	in_ns net1 python3 "$WORK/to.py" 10.1.0.2 10.2.0.2 10.1.0.255 239.1.1.1 fd01::2 fd02::2 "${LL[1]}" ff05::1:1
	in_ns net2 python3 "$WORK/to.py" 10.2.0.2 10.2.0.255 239.1.1.1 fd02::2 "${LL[2]}" ff05::1:1
	end "$pid"
}

# The kernel first
for i in 1 2; do
	in_ns stack ip address add 10.$i.0.2/24 dev ve$i
	in_ns stack ip address add fd0$i::2/64 dev ve$i nodad
	within 10 in_ns net$i ping -6 -q -c 1 -W 1 "${LL[i]}%e0"
done
OUT=$(in_ns stack python3 "$WORK/out.py" ve1 ve2)
IN=$(told kernel in_ns stack python3 "$WORK/in.py" ve1 ve2)
assert_match "$OUT" "all asked"
for i in 1 2; do
	in_ns stack ip address flush dev ve$i
	in_ns stack sysctl -qw net.ipv6.conf.ve$i.disable_ipv6=1
	in_ns net$i ip neigh flush all
done

for workers in 1 2; do
	start_engine e stack "port: {driver: af_packet, iface: ve1}
ports:
  - {driver: af_packet, iface: ve2, addresses: [10.2.0.2/24], addresses6: [\"fd02::2/64\"]}
stack: {addresses: [10.1.0.2/24], addresses6: [\"fd01::2/64\"]}
workers: {count: $workers}"
	for i in 1 2; do
		within 10 in_ns net$i ping -6 -q -c 1 -W 1 fd0$i::2
		within 10 in_ns net$i ping -6 -q -c 1 -W 1 "${LL[i]}%e0"
	done
	for args in --relay --ring; do
		assert_eq "$(GZ_RUN_ARGS=$args gz e python3 "$WORK/out.py" gazelle0 gazelle1)" "$OUT" "sent, $args"
		assert_eq "$(GZ_RUN_ARGS=$args told in$args gz e python3 "$WORK/in.py" gazelle0 gazelle1)" "$IN" \
			"received, $args"
	done
	[ "$(counter e ring_from_app_datagrams)" -gt 20 ] || fail "nothing was sent by rings"
	stop_engine e
done
