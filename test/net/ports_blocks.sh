#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ports_blocks.sh - One engine with two veth pairs of its making, a memif and a capture: each is
# reached and reaches, gazelle-ctl shows each, and the pairs are gone with the engine
#
# With one worker and with two.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

command -v curl >/dev/null || skip "there is no curl"

# frame.py FILE - who has 10.4.0.2? asks 10.4.0.9
cat >"$WORK/frame.py" <<'PY'
import socket, struct, sys
peer = b"\2\0\0\0\4\x09"
frame = b"\xff" * 6 + peer + b"\x08\x06" + struct.pack(
    "!HHBBH6s4s6s4s", 1, 0x800, 6, 4, 1, peer, socket.inet_aton("10.4.0.9"), bytes(6),
    socket.inet_aton("10.4.0.2"))
with open(sys.argv[1], "wb") as f:
    f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
    f.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
PY
python3 "$WORK/frame.py" "$WORK/in.pcap"

shown() {
	ctl e --json port "$1" | python3 -c "import json, sys; p = json.load(sys.stdin); print($2)"
}
has_link() { [ "$(shown "$1" "p['link']")" = up ]; }
replied() { tcpdump -nn -r "$WORK/out.pcap" 2>/dev/null | grep -q 'Reply 10.4.0.2 is-at'; }

netns stack
mkdir "$WORK/www"
echo here >"$WORK/www/name"
# served WORKERS
served() {
	local a
	start_engine e stack "port: {veth: {host: gz1, address: 10.1.0.1/24}}
ports:
  - {veth: {host: gz2, address: 10.2.0.1/24}, driver: af_packet, addresses: [10.2.0.2/24]}
  - {driver: memif, path: $WORK/memif, memif: {role: server, id: 3}, queues: $1, addresses: [10.3.0.2/24]}
  - {driver: pcap, pcap: {receive: $WORK/in.pcap, send: $WORK/out.pcap}, addresses: [10.4.0.2/24]}
stack: {addresses: [10.1.0.2/24]}
memory: {mbufs: 16383}
workers: {count: $1}"
	start_engine b stack "port: {driver: memif, path: $WORK/memif, memif: {id: 3}, queues: $1}
stack: {addresses: [10.3.0.1/24]}
workers: {count: $1}"
	within 10 has_link gazelle2
	within 5 replied
	for a in 1 2; do
		in_ns stack ip -br address show dev gz$a | grep -q "10.$a.0.1/24" || fail "gz$a has no address"
		refute in_ns stack ip link show dev gz${a}e 2>/dev/null
	done

	# Served by the engine at each, and a client of each
	background web gz e python3 -m http.server --bind 0.0.0.0 --directory "$WORK/www" 8000
	www=$PID
	wait_port stack 10.1.0.2 8000
	for a in "in_ns stack curl -sS http://10.1.0.2:8000/name" \
		"in_ns stack curl -sS http://10.2.0.2:8000/name" "gz b curl -sS http://10.3.0.2:8000/name"; do
		assert_eq "$($a)" here "$a"
	done
	end "$www"
	background web in_ns stack python3 -m http.server --bind 0.0.0.0 --directory "$WORK/www" 8001
	www=$PID
	wait_port stack 10.1.0.1 8001
	background wwwb gz b python3 -u -m http.server --bind 10.3.0.1 --directory "$WORK/www" 8001
	wwwb=$PID
	wait_line wwwb "Serving HTTP"
	for a in 1 2 3; do
		assert_eq "$(gz e curl -sS "http://10.$a.0.1:8001/name")" here "10.$a.0.1"
	done
	end "$www"
	end "$wwwb"

	assert_eq "$(for a in 0 1 2 3; do shown gazelle$a "p['driver'], p['addresses'], p['rx_queues']"; done)" \
		"net_af_xdp ['10.1.0.2/24'] $1
net_af_packet ['10.2.0.2/24'] $1
net_memif ['10.3.0.2/24'] $1
net_pcap ['10.4.0.2/24'] 1" "gazelle-ctl port"
	stop_engine b
	stop_engine e
	for a in 1 2; do refute in_ns stack ip link show dev gz$a 2>/dev/null; done
}
served 1
served 2

# The second pair cannot be made: the first is gone as well, and it is said why
in_ns stack ip link add gz2 type veth peer name other
engine_config e stack "port: {veth: {host: gz1, address: 10.1.0.1/24}}
ports: [{veth: {host: gz2, address: 10.2.0.1/24}, addresses: [10.2.0.2/24]}]
stack: {addresses: [10.1.0.2/24]}"
refute in_ns stack timeout 10 "$BIN/gazelle-engine" --config "$(config_of e)" 2>"$WORK/said"
grep -q 'interface gz2 exists already' "$WORK/said" || fail "$(cat "$WORK/said")"
refute in_ns stack ip link show dev gz1 2>/dev/null
