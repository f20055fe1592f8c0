#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dhcp.sh - stack.dhcp: address, network, gateway and MTU from dnsmasq; the lease is renewed; the
# server gives another address, and old sockets are as the kernel's are when theirs goes; it
# disappears, the lease ends, and another server gives one again

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

command -v dnsmasq >/dev/null || skip "no dnsmasq"
busybox udhcpd --help 2>&1 | grep -q udhcpd || skip "no udhcpd"

# echo.py ADDRESS - what comes to port 7000 goes back, by TCP and UDP
cat >"$WORK/echo.py" <<'PY'
import socket, sys, threading
def serve(c):
    while b := c.recv(65536):
        c.sendall(b)
def datagrams(u):
    while True:
        u.sendto(*u.recvfrom(2000))
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind((sys.argv[1], 7000))
threading.Thread(target=datagrams, args=(u,), daemon=True).start()
s = socket.create_server((sys.argv[1], 7000))
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
PY
# old.py ADDRESS - sockets with that address, our own, while it is there, when it has gone and
# when it is back; each step begins when standard input has a line
cat >"$WORK/old.py" <<'PY'
import errno, select, socket, sys
own, peer = sys.argv[1], ("10.1.0.1", 7000)
def tcp(timeout=0):
    s = socket.socket()
    s.settimeout(20)
    if timeout:
        s.setsockopt(socket.IPPROTO_TCP, 18, timeout) # TCP_USER_TIMEOUT
    s.bind((own, 0))
    s.connect(peer)
    return s
def echo(s):
    s.sendall(b"echo")
    return s.recv(10).decode()
def tried(what, *args):
    try:
        return what(*args) or "done"
    except OSError as e:
        return errno.errorcode[e.errno]
stays, ends, bound, fresh = tcp(), tcp(300), socket.socket(), socket.socket()
bound.bind((own, 0))
l = socket.create_server((own, 0))
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(10)
u.bind((own, 0))
print("there", echo(stays), echo(ends), u.sendto(b"one", peer), u.recv(9), flush=True)
sys.stdin.readline()
ends.sendall(b"lost")
stays.sendall(b"late")
print("gone", tried(u.sendto, b"two", peer), tried(fresh.bind, (own, 0)), tried(bound.connect, peer),
      stays.getsockname()[0] == own)
p = select.poll()
p.register(ends, 0)
p.poll(20000)
print(errno.errorcode[ends.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)], flush=True)
sys.stdin.readline()
print("back", stays.recv(10).decode(), echo(stays), u.sendto(b"three", peer), u.recv(9),
      tried(fresh.bind, (own, 0)), echo(tcp()), flush=True)
PY

# steps OUT CMD... - old.py by CMD, with $WORK/OUT.in as its standard input
declare -A IN
steps() {
	mkfifo "$WORK/$1.in"
	# shellcheck disable=SC2016
	background "$1" "${@:2}" bash -c 'exec python3 "$1/old.py" "$2" <"$1/$3.in"' - \
		"$WORK" 10.1.0.77 "$1"
	exec {fd}>"$WORK/$1.in"
	IN[$1]=$fd
	wait_line "$1" there
}
# next OUT... - their next step
next() {
	local out
	for out; do echo >&"${IN[$out]}"; done
}

# dhcpd ADDRESS - dnsmasq, which has that one for the engine and forgets what it gave before
SERVER=
dhcpd() {
	[ -z "$SERVER" ] || end "$SERVER"
	rm -f "$WORK/leases"
	background dnsmasq in_ns peer dnsmasq --no-daemon --conf-file=/dev/null --port=0 --user=root \
		--interface=ve2 --bind-interfaces --dhcp-authoritative --no-ping --log-dhcp \
		--dhcp-leasefile="$WORK/leases" --dhcp-range=10.1.0.70,10.1.0.90,255.255.255.0,120 \
		--dhcp-host="$MAC,$1" --dhcp-option=option:router,10.1.0.1 \
		--dhcp-option=option:mtu,1400 --dhcp-option=option:T1,3
	SERVER=$PID
	wait_line dnsmasq "DHCP, IP range"
}
acks() { grep -c "DHCPACK(ve2) $1 $MAC" "$WORK/dnsmasq"; }
more_acks() { [ "$(acks "$1")" -ge "$2" ]; }
# addresses - as gazelle-ctl has them
addresses() {
	ctl e --json port | python3 -c 'import json, sys; print(*json.load(sys.stdin)["addresses"])'
}
link_is() { [[ $(ctl e port) =~ link\ +$1 ]]; }
has() { [ "$(addresses)" = "$1" ]; }
# says TEXT CMD... - a program's output has the words TEXT
says() {
	local want=$1 got
	shift
	got=$(gz e "$@" 2>&1) || fail "$* has status $?: $got"
	[[ $(tr -s ' \n' ' ' <<<"$got") == *"$want"* ]] || fail "$*: no '$want' in: $got"
}

wire
in_ns peer ip address add 192.0.2.77/32 dev lo
MAC=$(in_ns stack cat /sys/class/net/ve1/address)
background echo in_ns peer python3 "$WORK/echo.py" 10.1.0.1
wait_line echo ready
background echo2 in_ns peer python3 "$WORK/echo.py" 192.0.2.77
wait_line echo2 ready

# The kernel first
in_ns stack ip address add 10.1.0.77/24 dev ve1
steps kernel in_ns stack
in_ns stack ip address del 10.1.0.77/24 dev ve1
in_ns stack ip address add 10.1.0.88/24 dev ve1
next kernel
wait_line kernel TIMEDOUT
in_ns stack ip address del 10.1.0.88/24 dev ve1
in_ns stack ip address add 10.1.0.77/24 dev ve1
next kernel
wait_line kernel back
in_ns stack ip address flush dev ve1

dhcpd 10.1.0.77
start_engine e stack "port: {driver: af_packet, iface: ve1}
stack: {dhcp: true}"
got=$(gz e ip -o address show dev gazelle0)
assert_match "$got" "inet 10.1.0.77/24 brd 10.1.0.255 scope global dynamic gazelle0"
assert_match "$got" "valid_lft 1[012][0-9]sec"
says "mtu 1400" ip link show dev gazelle0
says "default via 10.1.0.1 proto dhcp" ip route show dev gazelle0
says "192.0.2.77 via 10.1.0.1 dev gazelle0 src 10.1.0.77" ip route get 192.0.2.77
says "inet addr:10.1.0.77 Bcast:10.1.0.255 Mask:255.255.255.0" busybox ifconfig gazelle0
says "('10.1.0.77', 1348)" python3 -c 'import socket
s = socket.create_connection(("192.0.2.77", 7000), 10)
print((s.getsockname()[0], s.getsockopt(6, 2)))
try:
    u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    u.bind(("", 68))
except OSError as e:
    assert e.errno == 98
else:
    assert not "the port of the DHCP client"'
port=$(ctl e port)
assert_match "$port" 'addresses +\["10.1.0.77/24"'
assert_match "$port" "dhcp +(bound|renewing)"
assert_match "$port" "dhcp_server +10.1.0.1"

# Renewed, by connections that go on
GZ_RUN_ARGS=--relay steps relay gz e
GZ_RUN_ARGS=--ring steps ring gz e
background monitor gz e ip monitor address
WATCH=$PID
within 10 more_acks 10.1.0.77 2
assert_match "$(gz e ip -o address show dev gazelle0)" "10.1.0.77.* valid_lft 1[12][0-9]sec"

# Another address, and the first one again
dhcpd 10.1.0.88
within 10 has 10.1.0.88/24
assert grep -q "DHCPNAK(ve2) 10.1.0.77" "$WORK/dnsmasq"
next relay ring
assert in_ns peer ping -q -c 1 -W 5 10.1.0.88 >"$WORK/ping.out"
refute in_ns peer ping -q -c 1 -W 0.2 10.1.0.77 >"$WORK/ping.out"
says "10.1.0.88" python3 -c 'import socket
print(socket.create_connection(("10.1.0.1", 7000), 10).getsockname())'
wait_line monitor "inet 10.1.0.88/24"
assert grep -q "Deleted.* inet 10.1.0.77/24" "$WORK/monitor"
end "$WATCH"
wait_line relay TIMEDOUT
wait_line ring TIMEDOUT
assert_ne "$(counter e tx_source_gone)" 0
dhcpd 10.1.0.77
# Asked again at once when the cable is put in again
in_ns peer ip link set ve2 down
within 5 link_is down
in_ns peer ip link set ve2 up
within 5 has 10.1.0.77/24
next relay ring
wait_line relay back
wait_line ring back
assert_eq "$(cat "$WORK/relay")" "$(cat "$WORK/kernel")" "what old sockets do in the relay plane"
assert_eq "$(cat "$WORK/ring")" "$(cat "$WORK/kernel")" "what old sockets do in the rings"
stop_engine e
end "$SERVER"

# A lease that ends, with two workers: nobody has an address, and a listener has one again.
cat >"$WORK/udhcpd.conf" <<END
start 10.1.0.60
end 10.1.0.60
interface ve2
lease_file $WORK/udhcpd.leases
pidfile $WORK/udhcpd.pid
min_lease 1
option lease 2
option subnet 255.255.255.0
END
: >"$WORK/udhcpd.leases"
udhcpd() {
	background udhcpd in_ns peer busybox udhcpd -f "$WORK/udhcpd.conf"
	SERVER=$PID
}
udhcpd
start_engine e stack "port: {driver: af_packet, iface: ve1}
workers: {cpus: [-1, -1]}
stack: {dhcp: true}"
within 10 has 10.1.0.60/24
background listener gz e python3 "$WORK/echo.py" 0.0.0.0
wait_line listener ready
# answers - as many connections as go to both workers
answers() {
	in_ns peer timeout 5 python3 -c 'import socket
for i in range(8):
    s = socket.create_connection(("10.1.0.60", 7000), 2)
    s.sendall(b"echo")
    assert s.recv(9) == b"echo"'
}
assert answers
end "$SERVER"
within 10 has ""
assert_eq "$(gz e ip -4 -o address show dev gazelle0)" "" "ip address"
assert_match "$(ctl e port)" "dhcp +selecting"
# No address, no route: a kernel's socket
says "101" python3 -c 'import socket
print(socket.socket().connect_ex(("10.1.0.1", 7000)))'
udhcpd
within 10 has 10.1.0.60/24
assert answers
stop_engine e
end "$SERVER"

# An engine that asks nobody: what is for another host's port 68 is not for it either.
start_wire_engine e
background client gz e python3 -c 'import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("", 68))
print("ready", flush=True)
print(u.recv(99), flush=True)'
wait_line client ready
in_ns peer ip neigh add 10.1.0.99 lladdr "$MAC" dev ve2
in_ns peer python3 -c 'import socket
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("10.1.0.1", 67))
u.sendto(b"wrong", ("10.1.0.99", 68))
u.sendto(b"right", ("10.1.0.2", 68))'
wait_line client "b'right'"
stop_engine e
