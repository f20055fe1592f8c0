#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_takeover.sh - New processes take dispatch's place, one after another, while
# redis-benchmark runs through it: no request fails, connections go on, the host's kernel
# keeps its way; what is lost of a stream of pings is bounded, and shown
#
#	GZ_TAKEOVERS	how many, by default 4

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

TIMES=${GZ_TAKEOVERS:-4}
LOST_MS=1000 # each; 50 to 150 were seen

command -v redis-server >/dev/null || skip "redis-server is missing"
command -v redis-benchmark >/dev/null || skip "redis-benchmark is missing"

take_over() {
	local before=$DISPATCH
	DISPATCH_LOGS=$((DISPATCH_LOGS + 1))
	background "dispatch-$DISPATCH_LOGS.log" in_ns stack "$BIN/gazelle-dispatch" \
		--takeover --config "$WORK/dispatch.yaml"
	DISPATCH=$PID
	wait_line "dispatch-$DISPATCH_LOGS.log" 'took over from process' 20
	assert finish "$before" 10
	grep -h 'took over' "$WORK/dispatch-$DISPATCH_LOGS.log"
}

ctl_finds_it() { dispatch_has "$1" 1 2>/dev/null; }

refused() { # TEXT USER
	assert_match "$(in_ns stack python3 -S - "$WORK/$GZ_TEST_ID-d.sock" "$2" <<-'END'
		import os, socket, struct, sys
		os.chdir(os.path.dirname(sys.argv[1])) # above it only root may search
		os.setgroups([])
		os.setuid(int(sys.argv[2]))
		s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		s.connect(os.path.basename(sys.argv[1]))
		s.send(struct.pack('IHH304x', 0x747a6741, 2, 5))
		print(s.recv(200))
	END
	)" "$1"
}

dispatch_wire
in_ns stack ip address add 10.1.0.9/24 dev ve1
DISPATCH_PORT="port: {driver: af_packet, iface: ve1}
kernel: {iface: gzk0}"
dispatch_config e1:=10.1.0.2 e2=10.1.0.3
assert_match "$(in_ns stack "$BIN/gazelle-dispatch" --takeover --config "$WORK/dispatch.yaml" 2>&1 ||
	echo "status $?")" "nobody is there.*status 1"
start_dispatch e1:=10.1.0.2 e2=10.1.0.3
chmod 755 "$WORK"
refused 'user 65534 may not take over' 65534
attach_engine e1 10.1.0.2
dispatch_engine e2 10.1.0.3
background redis gz e1 redis-server --port 6379 --bind 10.1.0.2 --protected-mode no --save ""
within 15 in_ns peer redis-cli -h 10.1.0.2 ping
background echo gz e2 socat TCP-LISTEN:7000,reuseaddr,fork PIPE
background host in_ns stack socat TCP-LISTEN:7001,reuseaddr,fork PIPE
wait_port peer 10.1.0.3 7000
wait_port peer 10.1.0.9 7001
LINES_OF=()
for to in 10.1.0.3:7000 10.1.0.9:7001; do
	talk peer "$to"
	LINES_OF+=("$PID")
done
background bench in_ns peer redis-benchmark -h 10.1.0.2 -c 8 -n 100000000 -t set
BENCH=$PID
background ping in_ns peer ping -q -i 0.01 -W 1 10.1.0.2
PING=$PID
sleep 1
same() { in_ns stack stat -c '%i %z' "$WORK/$GZ_TEST_ID-d.sock" && in_ns stack cat /sys/class/net/gzk0/ifindex; }
handed=$(same)
for ((i = 0; i < TIMES; i++)); do
	take_over
	within 10 ctl_finds_it "$(client_key e1 link)"
	within 10 ctl_finds_it e2_link
	assert_eq "$(same)" "$handed" "the control socket and gzk0"
	sleep 1
done
end "$PING" INT
cat "$WORK/ping"
lost=$(sed -nE 's/^([0-9]+) packets transmitted, ([0-9]+) received.*/\1 - \2/p' "$WORK/ping")
[ $((lost)) -le $((TIMES * LOST_MS / 10)) ] || fail "$((lost)) pings of one in 10 ms were lost"
kill -0 "$BENCH" || fail "redis-benchmark: $(cat "$WORK/bench")"
end "$BENCH" INT || :
refute grep -iE 'error|closed|refused' "$WORK/bench"
touch "$WORK/over"
for pid in "${LINES_OF[@]}"; do
	assert finish "$pid" 30
done
assert_eq "$(in_ns peer redis-cli -h 10.1.0.2 ping)" PONG
stop_dispatch
[ ! -e "$WORK/$GZ_TEST_ID-d.sock" ] || fail "the control socket was left"

# A port in a namespace of dispatch's own goes over with it
netns alone
cat >"$WORK/alone.yaml" <<END
name: $GZ_TEST_ID-v
run_dir: $WORK
port: {driver: af_packet, iface: gz0e, veth: {host: gz0, address: 10.2.0.1/24}}
clients: [{name: $GZ_TEST_ID-e3, address: 10.2.0.2}]
END
background alone-0.log in_ns alone "$BIN/gazelle-dispatch" --config "$WORK/alone.yaml"
before=$PID
wait_line alone-0.log ' serves '
start_engine e3 alone "port: {driver: dispatch, path: $WORK/$GZ_TEST_ID-v.sock}
stack: {addresses: [10.2.0.2/24]}
policy: {loopback: engine}"
within 10 in_ns alone ping -q -c 1 -W 1 10.2.0.2
for i in 1 2; do
	background "alone-$i.log" in_ns alone "$BIN/gazelle-dispatch" --takeover --config "$WORK/alone.yaml"
	wait_line "alone-$i.log" 'took over from process' 20
	assert finish "$before" 10
	before=$PID
	within 10 in_ns alone ping -q -c 1 -W 1 10.2.0.2
done
end "$before"
