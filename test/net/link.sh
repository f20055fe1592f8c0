#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# link.sh - The cable is pulled out and put in again: programs and gazelle-ctl see it, the
# network is told, and connections go on
#
# What programs see is compared with what the kernel says of an interface of its own.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

cat >"$WORK/flags.py" <<'PY'
import fcntl, socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
r = fcntl.ioctl(s, 0x8913, struct.pack("16sh22x", sys.argv[1].encode(), 0)) # SIOCGIFFLAGS
print("UP RUNNING" if struct.unpack("16xh22x", r)[0] & 0x41 == 0x41 else
      "UP" if struct.unpack("16xh22x", r)[0] & 1 else "")
PY

link() { ctl e --json port | python3 -c 'import json, sys; print(json.load(sys.stdin)["link"])'; }
is_link() { [ "$(link)" = "$1" ]; }
# seen IFACE CMD... - what a program that CMD runs sees of an interface's link
seen() {
	local iface=$1
	shift
	"$@" ip -br link show dev "$iface" | awk '{ print $2 }'
	"$@" ip link show dev "$iface" | grep -o '<.*>'
	"$@" python3 "$WORK/flags.py" "$iface"
}
stands() {
	local n
	n=$(lines_in "$1")
	sleep 0.5
	assert_eq "$(lines_in "$1")" "$n" "lines of $1"
}

wire
netns model
veth model km0 "" peer km1
for driver in af_packet af_xdp; do
	start_wire_engine e $driver
	background server in_ns peer "$T/net/many" serve 7000
	PEER=$PID
	wait_line server ready
	background client gz e python3 "$TEST_DIR/net/talk.py" 10.1.0.1
	CLIENT=$PID
	background server2 gz e "$T/net/many" serve 7000
	SERVER=$PID
	wait_line server2 ready
	background client2 in_ns peer python3 "$TEST_DIR/net/talk.py" 10.1.0.2
	CLIENT2=$PID
	goes_on client client2
	assert_eq "$(link)" up link
	assert_eq "$(seen gazelle0 gz e)" "$(seen km0 in_ns model)" "with a link"

	in_ns peer ip link set km1 down
	in_ns peer ip link set ve2 down
	within 5 is_link down
	assert_eq "$(seen gazelle0 gz e)" "$(seen km0 in_ns model)" "without a link"
	assert_match "$(seen gazelle0 gz e)" NO-CARRIER
	stands client
	stands client2

	# The stack's own addresses are there, with or without a link.
	background local gz e python3 "$TEST_DIR/net/talk.py" 10.1.0.2
	LOCAL=$PID
	goes_on local
	end "$LOCAL"

	in_ns peer ip link set km1 up
	# Gratuitous: sender and target are one
	background told in_ns peer tcpdump -n -l -i any 'arp[14:4] = arp[24:4]'
	WATCH=$PID
	wait_line told 'listening on'
	in_ns peer ip link set ve2 up
	within 5 is_link up
	assert_eq "$(seen gazelle0 gz e)" "$(seen km0 in_ns model)" "with a link again"
	wait_line told "10.1.0.2"
	goes_on client client2
	assert_eq "$(counter e carrier_changes)" 2 carrier_changes
	end "$WATCH"
	for pid in "$CLIENT" "$CLIENT2" "$SERVER" "$PEER"; do end "$pid"; done
	stop_engine e
done

# A peer that is another one when the link comes back: its MAC address is asked for anew.
start_wire_engine e
in_ns peer ping -q -c 1 10.1.0.2 >/dev/null
in_ns peer ip link set ve2 down
within 5 is_link down
in_ns peer ip link set ve2 address 02:00:00:00:00:99
in_ns peer ip link set ve2 up
within 5 is_link up
background server in_ns peer "$T/net/many" serve 7000
wait_line server ready
background client gz e python3 "$TEST_DIR/net/talk.py" 10.1.0.1
goes_on client
stop_engine e

# Without a link from the beginning
in_ns peer ip link set ve2 down
start_wire_engine e
assert_eq "$(link)" down link
in_ns peer ip link set ve2 up
within 5 is_link up
assert in_ns peer ping -q -c 1 -W 5 10.1.0.2
stop_engine e

# Of a tap device the driver tells.
[ -c /dev/net/tun ] || exit 0
start_engine e stack "port: {driver: tap, iface: gztap}
stack: {addresses: [10.2.0.2/24]}"
in_ns stack ip link set gztap up
within 5 is_link up
in_ns stack ip link set gztap down
within 5 is_link down
