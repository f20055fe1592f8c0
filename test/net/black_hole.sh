#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# black_hole.sh - A wire that loses what is large, and tells nobody
#
# The kernel's stack first, with tcp_mtu_probing, then the engine; over IPv4 and IPv6.  The
# peer says how many bytes came.  When the wire carries all again, segments grow again.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

cat >"$WORK/take.py" <<'PY'
import socket, threading
def take(c):
    n = 0
    while b := c.recv(65536):
        n += len(b)
    c.sendall(str(n).encode())
    c.close()
s = socket.create_server(("::", 7000), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    threading.Thread(target=take, args=[s.accept()[0]]).start()
PY
# give.py ADDRESS [FILE] - when that is there, until segments are large again
cat >"$WORK/give.py" <<'PY'
import os, socket, sys, time
s = socket.create_connection((sys.argv[1], 7000), 20)
s.settimeout(40)
mss = lambda: int.from_bytes(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[16:20], "little")
n, most = 100000, mss()
s.sendall(bytes(n))
end = time.time() + 40
while mss() == most and time.time() < end:
    time.sleep(0.05)
assert 500 <= mss() <= 1260, mss()  # the kernel may have found more than the first guess
if len(sys.argv) > 2:
    print("narrow", flush=True)
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.05)
    end = time.time() + 40
    while mss() < most and time.time() < end:
        s.sendall(bytes(20000))
        n += 20000
        time.sleep(0.1)
    assert mss() == most, mss()
s.shutdown(socket.SHUT_WR)
assert s.recv(100) == b"%d" % n
PY

# given "ADDRESS..." COMMAND... - to these at a time, with COMMAND before python3
given() {
	local to pids=() all=$1
	shift
	for to in $all; do
		background "give-$to" "$@" timeout 60 python3 "$WORK/give.py" "$to"
		pids+=("$PID")
	done
	for to in "${pids[@]}"; do
		finish "$to" || fail "a sender says: $(cat "$WORK"/give-*)"
	done
}

bad_wire 10.1.0.2/24
in_ns stack ip address add fd00:1::2/64 dev ve1 nodad || skip "the kernel has no IPv6"
in_ns peer ip address add fd00:1::1/64 dev ve2 nodad
in_ns stack sysctl -qw net.ipv4.tcp_mtu_probing=1
background take in_ns peer python3 "$WORK/take.py"
wait_line take ready
forward 1 mtu=1300,silent -
given "10.1.0.1 fd00:1::1" in_ns stack

in_ns stack ip address flush dev ve1
in_ns stack sysctl -qw net.ipv6.conf.ve1.disable_ipv6=1
start_engine e stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24], addresses6: [\"fd00:1::2/64\"]}"
forward 1 mtu=1300,silent -
wait_for 10 in_ns peer ping -6 -q -c 1 -W 1 fd00:1::2
background give gz e timeout 90 python3 "$WORK/give.py" 10.1.0.1 "$WORK/go"
give=$PID
given fd00:1::1 gz e
wait_line give narrow 60
assert [ "$(counter e path_black_holes)" -ge 2 ]
assert_eq "$(counter e path_widened)" 0 "paths that carry no more than before"
forward 1 - -
touch "$WORK/go"
finish "$give" || fail "the sender says: $(cat "$WORK/give")"
assert [ "$(counter e path_widened)" -ge 1 ]
stop_engine e
