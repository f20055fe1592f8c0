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
s.bind(socket.getaddrinfo(*sys.argv[1:3])[0][4])
s.listen()
print("ready", flush=True)
c, a = s.accept()
assert a[0] == sys.argv[3], a
for name in a, c.getsockname(), c.getpeername():
    assert bool(name[3]) == name[0].startswith("fe80:"), name
h = hashlib.sha256()
while b := c.recv(65536):
    h.update(b)
c.sendall(h.hexdigest().encode())
c.close()
PY
cat >"$WORK/client.py" <<'PY'
import hashlib, socket, sys
data = bytes(i * 31 % 251 for i in range(1 << 16)) * 128
c = socket.create_connection(sys.argv[1:3], 30)
for name in c.getsockname(), c.getpeername():
    assert bool(name[3]) == name[0].startswith("fe80:"), name
c.sendall(data)
c.shutdown(socket.SHUT_WR)
got = b""
while b := c.recv(100):
    got += b
assert got.decode() == hashlib.sha256(data).hexdigest(), got
mss = c.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
assert 1200 < mss <= 1440, mss
PY
# transfer SERVER ADDRESS PORT CLIENT TO FROM - of gz e or in_ns peer each; FROM: who connects
transfer() {
	background serve $1 python3 "$WORK/serve.py" "$2" "$3" "$6"
	wait_line serve ready
	[ "$2" != :: ] || [ "$1" != "gz e" ] || assert_match "$(ctl e ss)" "\[::\]:$3"
	assert $4 python3 "$WORK/client.py" "$5" "$3"
	assert finish "$PID"
}
transfer "gz e" :: 7000 "in_ns peer" $STACK $PEER
transfer "in_ns peer" :: 7001 "gz e" $PEER $STACK

# Link-local addresses, which say by their number whose link it is
stack=$(link_local stack ve1) peer=$(link_local peer ve2)
wait_for 10 in_ns peer ping -6 -q -c 1 -W 1 "$stack%ve2"
transfer "gz e" :: 7002 "in_ns peer" "$stack%ve2" "$peer"
transfer "gz e" "$stack%gazelle0" 7003 "in_ns peer" "$stack%ve2" "$peer"
transfer "gz e" "$stack%gazelle0" 7004 "gz e" "$stack%gazelle0" "$stack"
transfer "in_ns peer" :: 7005 "gz e" "$peer%gazelle0" "$stack"
assert_match "$(gz e python3 "$WORK/client.py" "$peer%gazelle0" 7009 2>&1)" 'Connection refused'

# Refused by a RST, and by ICMPv6.
assert_match "$(gz e python3 "$WORK/client.py" $PEER 7009 2>&1)" 'Connection refused'
assert_match "$(in_ns peer python3 "$WORK/client.py" $STACK 7009 2>&1)" 'Connection refused'
stop_engine e
