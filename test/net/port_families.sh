#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# port_families.sh - Ports without an interface of the kernel's: a memif between two engines, one
# of which is restarted; a capture replayed, with the replies in another; a ring; none; and a
# device that is named by its MAC address

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

helper=$T/semantics/helper_transfer
netns stack

# shown ENGINE KEY - of gazelle-ctl port
shown() { ctl "$1" --json port | python3 -c "import json, sys; print(json.load(sys.stdin)['$2'])"; }
has_link() { [ "$(shown "$1" link)" = up ]; }

# transfer SERVER ADDRESS CLIENT - megabytes each way, between two engines
transfer() {
	background serve gz "$1" "$helper" serve "$2" 7000 4
	wait_line serve ready
	assert gz "$3" "$helper" client "$2" 7000 4
	assert finish "$PID"
}

memif() {
	start_engine "$1" stack "port: {driver: memif, path: $WORK/memif.sock, mac: 02:00:00:00:00:0$3,
  memif: {role: $2, id: 5, secret: xyzzy}}
stack: {addresses: [10.1.0.$3/24]}"
}

memif a server 1
memif b client 2
within 10 has_link a
within 10 has_link b
assert_eq "$(shown a driver)" net_memif driver
assert_eq "$(shown a mac | tr A-F a-f)" 02:00:00:00:00:01 "MAC address"
transfer a 10.1.0.1 b
transfer b 10.1.0.2 a
stop_engine b
within 10 eval '! has_link a'
memif b client 2
within 10 has_link a
within 10 has_link b
transfer b 10.1.0.2 a
stop_engine b
stop_engine a

# Frames of 10.1.0.9, each with what is expected to be sent back
python3 - "$WORK/in.pcap" <<'EOF'
import socket, struct, sys

ours, peer = b"\2\0\0\0\3\1", b"\2\0\0\0\3\x09"
src, dst = socket.inet_aton("10.1.0.9"), socket.inet_aton("10.1.0.2")

def sum16(b):
    b += b"\0" * (len(b) % 2)
    s = sum(struct.unpack(f"!{len(b) // 2}H", b))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff

def ip(proto, body):
    h = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 1, 0, 64, proto, 0, src, dst)
    return ours + peer + b"\x08\0" + h[:10] + struct.pack("!H", sum16(h)) + h[12:] + body

def arp(op):
    return b"\xff" * 6 + peer + b"\x08\x06" + struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, op, peer,
                                                          src, bytes(6), dst)

echo = struct.pack("!BBHHH", 8, 0, 0, 77, 1) + b"replayed"
echo = echo[:2] + struct.pack("!H", sum16(echo)) + echo[4:]
tcp = struct.pack("!HHIIBBHHH", 1234, 4321, 1000, 0, 0x50, 2, 1000, 0, 0)
pseudo = src + dst + struct.pack("!BBH", 0, 6, len(tcp))
tcp = tcp[:16] + struct.pack("!H", sum16(pseudo + tcp)) + tcp[18:]
with open(sys.argv[1], "wb") as f:
    f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
    # A reply tells all workers of the sender: nobody is there to be asked.
    for frame in arp(2), arp(1), ip(1, echo), ip(6, tcp):
        f.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
EOF
start_engine replay stack "port: {driver: pcap, mac: 02:00:00:00:03:01,
  pcap: {receive: $WORK/in.pcap, send: $WORK/out.pcap}}
stack: {addresses: [10.1.0.2/24]}"
sent() { tcpdump -nn -e -r "$WORK/out.pcap" 2>/dev/null | grep -qE "$1"; }
within 10 sent '02:00:00:00:03:01 > 02:00:00:00:03:09.*Reply 10.1.0.2 is-at 02:00:00:00:03:01'
within 5 sent '10.1.0.2 > 10.1.0.9: ICMP echo reply, id 77, seq 1'
within 5 sent '10.1.0.2.4321 > 10.1.0.9.1234: Flags \[R'
assert_eq "$(shown replay rx_packets)" 4 "frames of the file"
stop_engine replay
# Again and again: the file's frames come without end.
start_engine replay stack "port: {driver: pcap, pcap: {receive: $WORK/in.pcap, repeat: true}}
stack: {addresses: [10.1.0.2/24]}"
within 10 eval '[ "$(shown replay rx_packets)" -gt 1000 ]'
stop_engine replay

# What is sent to a ring comes back, and is seen for what it is: no connection, no reply
start_engine loop stack "port: {driver: ring, mac: 02:00:00:00:04:01}
stack: {addresses: [10.1.0.2/24]}"
refute gz loop timeout 0.5 bash -c 'exec 3<>/dev/tcp/10.1.0.9/80' 2>/dev/null
sent=$(shown loop tx_packets)
[ "$sent" -gt 0 ] || fail "nothing was sent to the ring"
within 5 eval '[ "$(shown loop rx_packets)" -ge "$sent" ]'
transfer loop 10.1.0.2 loop
stop_engine loop

start_engine alone stack "port: {driver: null}
stack: {addresses: [10.1.0.2/24]}"
refute gz alone timeout 0.5 bash -c 'exec 3<>/dev/tcp/10.1.0.9/80' 2>/dev/null
[ "$(shown alone tx_packets)" -gt 0 ] || fail "nothing was sent"
assert_eq "$(shown alone rx_packets)" 0 "frames of null"
transfer alone 10.1.0.2 alone
transfer alone 127.0.0.1 alone
stop_engine alone

# A device that has RSS gets a queue for each worker, our key and our table; null takes the orders
for workers in 1 2 3; do
	start_engine alone stack "port: {driver: null}
workers: {cpus: [$(yes -- -1 | head -n $workers | paste -sd,)]}
stack: {addresses: [10.1.0.2/24]}"
	assert_eq "$(shown alone rx_queues) $(shown alone spread_by)" \
		"$([ $workers = 1 ] && echo "1 one queue" || echo "$workers RSS")" "queues of $workers workers"
	transfer alone 10.1.0.2 alone
	stop_engine alone
done

# A MAC address that the driver cannot set is no other one, but an error
engine_config vdev stack "port: {driver: vdev, device: net_ring7, mac: 02:00:00:00:06:01}
stack: {addresses: [10.1.0.2/24]}"
refute in_ns stack timeout 10 "$BIN/gazelle-engine" --config "$(config_of vdev)" 2>"$WORK/said"
grep -q 'port.mac: the driver cannot set it' "$WORK/said" || fail "$(cat "$WORK/said")"

# By MAC address: of a tap that DPDK makes at start, as it finds PCI devices
[ -c /dev/net/tun ] || exit 0
start_engine bymac stack "port: {driver: pci, device: \"02:00:00:00:05:01\"}
eal_args: [\"--vdev=net_tap0,iface=gzt0,mac=02:00:00:00:05:01\", \"--vdev=net_null5\"]
stack: {addresses: [10.2.0.2/24]}"
assert_eq "$(shown bymac device)" net_tap0 device
in_ns stack ip address add 10.2.0.1/24 dev gzt0
in_ns stack ip link set gzt0 up
within 10 in_ns stack ping -q -c 1 -W 1 10.2.0.2
stop_engine bymac
engine_config bymac stack "port: {driver: pci, device: \"02:00:00:00:05:02\"}
eal_args: [\"--vdev=net_null5\"]
stack: {addresses: [10.2.0.2/24]}"
refute in_ns stack "$BIN/gazelle-engine" --config "$(config_of bymac)" 2>"$WORK/said"
grep -q 'pci on 02:00:00:00:05:02: No such device' "$WORK/said" || fail "$(cat "$WORK/said")"
