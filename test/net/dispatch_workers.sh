#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_workers.sh - Two workers, each with a queue of the port and clients of its own:
# both have work, datagrams of a flow stay in their order on every way, bytes of TCP are
# whole, and one that is killed under traffic is nobody's loss

GZ_DISPATCH_WORKERS="-1, -1"
# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

cat >"$WORK/order.py" <<'END'
import socket, struct, sys, time
FLOWS, EACH, RUN = 16, 2000, 50
def receive(address):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    s.bind((address, 7000))
    s.settimeout(20)
    print('ready', flush=True)
    last, got, wrong = {}, 0, 0
    while True:
        data, who = s.recvfrom(2000)
        flow, number = struct.unpack_from('II', data)
        if flow == FLOWS:
            break
        got += 1
        wrong += number <= last.get((who, flow), -1)
        last[who, flow] = number
    print('got', got, 'of', len(last), 'flows', wrong, 'wrong', flush=True)
def send(address):
    out = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(FLOWS)]
    for start in range(0, EACH, RUN): # close behind each other, or nothing could overtake
        for flow, s in enumerate(out):
            for data in [struct.pack('II', flow, start + i).ljust(200) for i in range(RUN)]:
                s.sendto(data, (address, 7000))
            time.sleep(0.001)
    time.sleep(0.3)
    for _ in range(20):
        out[0].sendto(struct.pack('II', FLOWS, 0), (address, 7000))
        time.sleep(0.01)
{'receive': receive, 'send': send}[sys.argv[1]](sys.argv[2])
END

# in_order FROM TO ADDRESS - commands, and where the second one is
in_order() {
	local receiver got flows wrong
	background receiver $2 python3 "$WORK/order.py" receive "$3"
	receiver=$PID
	wait_line receiver ready
	assert $1 python3 "$WORK/order.py" send "$3"
	assert finish "$receiver" 20
	read -r _ got _ flows _ wrong _ < <(tail -1 "$WORK/receiver")
	echo "$1 to $3: $got datagrams of $flows flows"
	[ "$got" -gt 16000 ] || fail "$1 to $3: only $got of 32000 datagrams came"
	assert_eq "$flows" 16 "flows from $1 to $3"
	assert_eq "$wrong" 0 "datagrams out of order from $1 to $3"
}

# carried FROM TO ADDRESS - 4 MB, and their digest
carried() {
	background sink $2 socat -u "TCP-LISTEN:7001,reuseaddr,bind=$3" SYSTEM:sha256sum
	within 10 eval "$1 socat -u 'FILE:$WORK/data' TCP:$3:7001"
	assert finish "$PID" 20
	assert_eq "$(cut -c1-64 "$WORK/sink")" "$(sha256sum <"$WORK/data" | cut -c1-64)" "$1 to $3"
}

dispatch_wire
head -c 4M /dev/urandom >"$WORK/data"
start_dispatch e1=10.1.0.2 e2=10.1.0.3 e3=10.1.0.4
for e in "e1 10.1.0.2" "e2 10.1.0.3" "e3 10.1.0.4"; do
	# shellcheck disable=SC2086
	dispatch_engine $e
done
for a in 2 3 4; do within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.$a; done
before=("$(dispatch_counter worker_0_rx)" "$(dispatch_counter worker_1_rx)")
in_order "in_ns peer" "gz e1" 10.1.0.2
for w in 0 1; do
	n=$(($(dispatch_counter worker_${w}_rx) - before[w]))
	echo "worker $w took $n frames"
	[ $n -gt 1000 ] || fail "worker $w took $n frames of the port"
done
in_order "gz e2" "in_ns peer" 10.1.0.1
in_order "gz e1" "gz e2" 10.1.0.3

# e1 and e3 are the first worker's, e2 is the other's
background flood in_ns peer ping -q -f -s 1000 -w 20 10.1.0.3
carried "in_ns peer" "gz e2" 10.1.0.3
carried "gz e2" "in_ns peer" 10.1.0.1
carried "gz e1" "gz e2" 10.1.0.3
for round in 1 2 3; do
	kill -KILL "$(engine_pid e3)"
	carried "gz e2" "gz e1" 10.1.0.2
	within 10 dispatch_has e3_link 0
	dispatch_engine e3 10.1.0.4
	within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.4
done
for key in e1_spoofed e2_spoofed e1_malformed e2_malformed port_malformed; do
	assert_eq "$(dispatch_counter $key)" 0 $key
done
[ "$(dispatch_counter mbufs_free)" -gt 15000 ] || fail "$(dispatch_counter mbufs_free) mbufs are left"
stop_dispatch
