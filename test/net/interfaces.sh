#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# interfaces.sh - The stack's interface in the words of ip(8), ifconfig and libraries
#
# And what these do with the kernel's interfaces is still done, and seen by watchers.

. "$(dirname "$0")/../lib.sh"

netns stack
netns other
veth stack d0 "" other d1
start_engine e stack "port:
  veth: {host: gz0, address: 10.213.0.1/24, address6: \"fd67:617a:656c::1/64\"}
  iface: gz0e
stack:
  addresses: [10.213.0.2/24, 10.213.0.7/24]
  gateway: 10.213.0.1
  addresses6: [\"fd67:617a:656c::2/64\"]"

# says TEXT CMD... - its output has the words TEXT
says() {
	local want=$1 got
	shift
	got=$(gz e timeout 10 "$@" 2>&1) || fail "$* has status $?: $got"
	[[ $(tr -s ' \n' ' ' <<<"$got") == *"$want"* ]] || fail "$*: no '$want' in: $got"
}

# Whole lists, one interface, one family; the kernel's are there as well, and first.
all=$(gz e ip -o addr | awk '{ print $2, $3, $4 }')
assert_eq "$(grep gazelle0 <<<"$all")" "gazelle0 inet 10.213.0.2/24
gazelle0 inet 10.213.0.7/24
gazelle0 inet6 fd67:617a:656c::2/64" "ip addr"
assert_eq "$(gz e ip -o addr | grep -v gazelle0 | sed 's/ valid_lft.*//')" \
	"$(in_ns stack ip -o addr | sed 's/ valid_lft.*//')" "the kernel's addresses"
assert_eq "$(gz e ip -o link | sed '$d')" "$(in_ns stack ip -o link)" "the kernel's links"
says "gazelle0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500" ip link show dev gazelle0
says "inet 10.213.0.7/24 brd 10.213.0.255" ip -4 addr show dev gazelle0
says "inet6 fd67:617a:656c::2/64 scope global" ip -6 addr show dev gazelle0
says "inet 10.213.0.1/24" ip addr show dev gz0
refute gz e ip link show dev nothere
[[ $(gz e ip addr show dev gz0) != *gazelle0* ]] || fail "a filter is not kept"
says "gazelle0 UP 10.213.0.2/24 10.213.0.7/24 fd67:617a:656c::2/64" ip -br addr
says "inet addr:10.213.0.2 Bcast:10.213.0.255 Mask:255.255.255.0" busybox ifconfig gazelle0
says "inet 10.213.0.2/24 brd 10.213.0.255 scope global gazelle0" busybox ip addr
says "'gazelle0'), (" python3 -c 'import socket
l = socket.if_nameindex()
print(l[-1:] + l)
assert socket.if_indextoname(socket.if_nametoindex("gazelle0")) == "gazelle0"'

# Neighbours, within the second in which a worker tells of them, and what changes of them
# and of the link
background monitor gz e ip monitor link neigh
monitor=$PID
wait_for 5 in_ns stack ping -q -c 1 -W 1 10.213.0.2
wait_for 5 in_ns stack ping -q -c 1 -W 1 fd67:617a:656c::2
mac=$(in_ns stack cat /sys/class/net/gz0/address)
# neighbour TEXT ARGUMENT... - ip(8) says so with these
neighbour() {
	[[ $(gz e ip "${@:2}") == *"$1"* ]]
}
within 3 neighbour "10.213.0.1 dev gazelle0 lladdr $mac REACHABLE" neigh
within 3 neighbour "fd67:617a:656c::1 dev gazelle0 lladdr $mac" -6 neigh
within 3 neighbour "10.213.0.1 lladdr $mac" neigh show dev gazelle0
says "10.213.0.1 dev gazelle0 lladdr $mac" ip neigh get 10.213.0.1 dev gazelle0
refute gz e ip neigh get 10.213.0.9 dev gazelle0
assert_eq "$(gz e ip neigh | grep -v gazelle0 | awk '{ print $1, $3, $5 }')" \
	"$(in_ns stack ip neigh | awk '{ print $1, $3, $5 }')" "the kernel's neighbours"
[[ $(gz e ip neigh show dev gz0) != *gazelle0* ]] || fail "the device is no filter of neighbours"
wait_line monitor "10.213.0.1 dev gazelle0 lladdr $mac"
in_ns stack ip link set gz0 down
wait_line monitor "gazelle0: <NO-CARRIER,BROADCAST,MULTICAST,UP>"
in_ns stack ip link set gz0 up
wait_line monitor "gazelle0: <BROADCAST,MULTICAST,UP,LOWER_UP>"
end "$monitor"
wait_for 5 in_ns stack ping -q -c 1 -W 1 10.213.0.2

# Routes: the stack's beside the kernel's, and one by its destination.
assert_eq "$(gz e ip route | grep -v gazelle0)" "$(in_ns stack ip route)" "the kernel's routes"
assert_eq "$(gz e ip route | grep gazelle0 | tr -s ' ' | sed 's/ $//')" \
	"default via 10.213.0.1 dev gazelle0 proto static
10.213.0.0/24 dev gazelle0 proto kernel scope link src 10.213.0.2
10.213.0.0/24 dev gazelle0 proto kernel scope link src 10.213.0.7" "the stack's routes"
says "fd67:617a:656c::/64 dev gazelle0 proto kernel metric 256" ip -6 route
says "local 10.213.0.7 dev gazelle0" ip route show table local
[[ $(gz e ip route show table local) != *10.213.0.0/24* ]] || fail "the table is no filter"
[[ $(gz e ip route show dev gz0) != *gazelle0* ]] || fail "the device is no filter"
says "10.213.0.0/24 proto kernel scope link src 10.213.0.2" ip route show dev gazelle0
says "10.213.0.0/24 dev gazelle0" busybox ip route
says "10.213.0.1 dev gazelle0 src 10.213.0.2" ip route get 10.213.0.1
says "192.0.2.77 via 10.213.0.1 dev gazelle0 src 10.213.0.2" ip route get 192.0.2.77
says "local 10.213.0.2 dev lo src 10.213.0.2 cache <local>" ip route get 10.213.0.2
says "local 127.0.0.1 dev lo" ip route get 127.0.0.1
says "fd67:617a:656c::1 dev gazelle0 src fd67:617a:656c::2" ip -6 route get fd67:617a:656c::1

# Rules are the kernel's.
assert_eq "$(gz e ip rule)" "$(in_ns stack ip rule)" "ip rule"

# Changes are made, by netlink and by ioctl(), and a watcher hears of them.
background watch gz e ip monitor address
watch=$PID
tries=0
until grep -q 192.0.2.1 "$WORK/watch"; do
	[ $((tries += 1)) -lt 100 ] || fail "ip monitor says nothing of a new address"
	gz e ip addr replace 192.0.2.1/24 dev d0
done
within 10 in_ns stack ip -o addr show dev d0 to 192.0.2.1
gz e ip addr del 192.0.2.1/24 dev d0
wait_line watch "Deleted"
end "$watch"
gz e ip link set d0 mtu 1400
assert_match "$(in_ns stack ip link show d0)" "mtu 1400"
gz e busybox ifconfig d0 mtu 1450 192.0.2.9 netmask 255.255.255.0
assert_match "$(in_ns stack ip addr show d0)" "mtu 1450"
assert_match "$(in_ns stack ip addr show d0)" "inet 192.0.2.9/24"

# The stack's own is configured elsewhere: refused, and said so.
refute gz e busybox ifconfig gazelle0 mtu 1300
assert_ne "$(counter e ioctl_unsupported)" 0 "ioctl_unsupported"
refute gz e ip addr add 192.0.2.1/24 dev gazelle0
assert_ne "$(counter e netlink_dumps)" 0 "netlink_dumps"

# A socket that is bound to an interface of the kernel's is the kernel's: it has its address.
gz e python3 -c 'import socket, struct
for opt, value in ((25, b"gz0"), (62, struct.pack("i", socket.if_nametoindex("gz0")))):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, opt, value)
    s.bind(("10.213.0.1", 0))
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, 25, b"gazelle0")
s.bind(("10.213.0.7", 0))' || fail "SO_BINDTODEVICE does not lead to the kernel"

# In a network namespace of the program's own, without a configured interface.
says "inet 10.213.0.2/24" unshare --net ip addr
says "lo: <LOOPBACK>" unshare --net ip link
