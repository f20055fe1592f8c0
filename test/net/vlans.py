#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
#
# vlans.py - vlans.py IFACE NAME:ID...: VLAN interfaces where the kernel has none (no
# CONFIG_VLAN_8021Q): a TAP each, whose frames have a tag (802.1Q) on IFACE
import fcntl
import select
import socket
import struct
import sys

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
SOL_PACKET, PACKET_AUXDATA, VLAN_VALID = 263, 8, 0x10

wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.bind((sys.argv[1], 3))
wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
wire.setsockopt(SOL_PACKET, 1, struct.pack("iHH8s", socket.if_nametoindex(sys.argv[1]), 1, 0, b""))
taps = {}
for arg in sys.argv[2:]:
    name, vlan = arg.split(":")
    tap = open("/dev/net/tun", "r+b", buffering=0)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    taps[int(vlan)] = tap
print("ready", flush=True)
while True:
    for fd in select.select([wire, *taps.values()], [], [])[0]:
        if fd is not wire:
            vlan = next(v for v, tap in taps.items() if tap is fd)
            frame = fd.read(65536)
            wire.send(frame[:12] + struct.pack("!HH", 0x8100, vlan) + frame[12:])
            continue
        frame, control, _, address = wire.recvmsg(65536, 64)
        if address[2] == socket.PACKET_OUTGOING:
            continue
        for level, kind, data in control:
            status, _, _, _, _, tci, _ = struct.unpack("IIIHHHH", data[:20])
            if (level, kind) == (SOL_PACKET, PACKET_AUXDATA) and status & VLAN_VALID:
                if tci & 0xFFF in taps:
                    taps[tci & 0xFFF].write(frame)
