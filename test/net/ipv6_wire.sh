#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ipv6_wire.sh - IPv6 with Linux at the other end: discovery, ping of all sizes, TCP both ways

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

STACK=fd00:1::2 PEER=fd00:1::1

wire
in_ns peer ip address add $PEER/64 dev ve2 nodad || skip "the kernel has no IPv6"
start_engine e stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24], addresses6: [\"$STACK/64\"]}"

# Not before duplicate address detection is done; then at once.
wait_for 10 in_ns peer ping -6 -q -c 1 -W 1 $STACK
for size in 0 8 1000 1452 1453 4000 14000 40000 65000; do
	assert in_ns peer ping -6 -q -c 2 -i 0.2 -W 3 -s $size $STACK
done

cat >"$WORK/serve.py" <<'PY'
import hashlib, socket, sys
s = socket.socket(socket.AF_INET6)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], int(sys.argv[2])))
s.listen()
print("ready", flush=True)
c, a = s.accept()
assert a[0] == sys.argv[3], a
h = hashlib.sha256()
while b := c.recv(65536):
    h.update(b)
c.sendall(h.hexdigest().encode())
c.close()
PY
cat >"$WORK/client.py" <<'PY'
import hashlib, socket, sys
data = bytes(i * 31 % 251 for i in range(1 << 16)) * 128
c = socket.create_connection((sys.argv[1], int(sys.argv[2])), 30)
c.sendall(data)
c.shutdown(socket.SHUT_WR)
got = b""
while b := c.recv(100):
    got += b
assert got.decode() == hashlib.sha256(data).hexdigest(), got
mss = c.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
assert 1200 < mss <= 1440, mss
PY
background serve gz e python3 "$WORK/serve.py" :: 7000 $PEER
wait_line serve ready
assert_match "$(ctl e ss)" '\[::\]:7000'
assert in_ns peer python3 "$WORK/client.py" $STACK 7000
assert finish "$PID"

background serve in_ns peer python3 "$WORK/serve.py" :: 7001 $STACK
wait_line serve ready
assert gz e python3 "$WORK/client.py" $PEER 7001
assert finish "$PID"

# Refused by a RST, and by ICMPv6.
assert_match "$(gz e python3 "$WORK/client.py" $PEER 7009 2>&1)" 'Connection refused'
assert_match "$(in_ns peer python3 "$WORK/client.py" $STACK 7009 2>&1)" 'Connection refused'
stop_engine e
