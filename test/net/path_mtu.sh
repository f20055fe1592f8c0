#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# path_mtu.sh - A narrower wire behind the first: ICMP makes the segments smaller
#
# The kernel's stack first, then the engine; over IPv4 and IPv6.  The peer reads all
# that is sent and says how many bytes came.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

MTU=1300
KB=1000

cat >"$WORK/take.py" <<'PY'
import socket
s = socket.create_server(("::", 7000), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
for _ in range(2):
    c, _ = s.accept()
    n = 0
    while b := c.recv(65536):
        n += len(b)
    c.sendall(str(n).encode())
    c.close()
PY
cat >"$WORK/give.py" <<'PY'
import socket, sys
address, kb, mtu = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
s = socket.create_connection((address, 7000), 20)
s.settimeout(20)
s.sendall(bytes(kb * 1000))
s.shutdown(socket.SHUT_WR)
assert s.recv(100) == b"%d" % (kb * 1000)
head = 60 if ":" in address else 40
info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
mss = int.from_bytes(info[16:20], "little")
assert mtu - head - 12 <= mss <= mtu - head, mss  # 12: timestamps
PY

# both COMMAND... - over either family, with COMMAND before python3
both() {
	local to
	background take in_ns peer python3 "$WORK/take.py"
	wait_line take ready
	for to in 10.1.0.1 fd00:1::1; do
		assert "$@" timeout 30 python3 "$WORK/give.py" $to $KB $MTU
	done
	assert finish "$PID"
	assert [ "$(forwarded stack too_big)" -ge 2 ]
	# Not each: those that were sent before it was known.
	assert [ "$(forwarded stack too_big)" -lt 200 ]
}

bad_wire 10.1.0.2/24
in_ns stack ip address add fd00:1::2/64 dev ve1 nodad || skip "the kernel has no IPv6"
in_ns peer ip address add fd00:1::1/64 dev ve2 nodad
forward 1 mtu=$MTU -
both in_ns stack

in_ns stack ip address flush dev ve1
in_ns stack sysctl -qw net.ipv6.conf.ve1.disable_ipv6=1
start_engine e stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24], addresses6: [\"fd00:1::2/64\"]}"
forward 1 mtu=$MTU -
wait_for 10 in_ns peer ping -6 -q -c 1 -W 1 fd00:1::2
both gz e
assert [ "$(counter e path_mtu_shrunk)" -ge 2 ]
stop_engine e
