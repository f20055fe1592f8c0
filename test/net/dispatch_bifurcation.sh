#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_bifurcation.sh - kernel.bifurcate: drivers that refuse are said and counted, and the
# host is reached as without it; where the driver takes it there is a rule for each client that
# is there, and the host's traffic does not pass dispatch.  The latter by failsafe, which takes
# rules for a card that is still to come: what is outside of it is not in this test

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

shown() { "$BIN/gazelle-ctl" dispatch show "$GZ_TEST_ID-d"; }
own_routes() { { in_ns stack ip route show proto 213 && in_ns stack ip -6 route show proto 213; } |
	sed 's/ dev gzk0.*//' | paste -sd' '; }
routes_are() { [ "$(own_routes)" = "$1" ]; }

# answers NETNS ADDRESS - an echo over TCP
answers() { assert_eq "$(echo hello | in_ns "$1" timeout 10 socat -t 5 - "TCP:$2:7000")" hello "$2"; }

dispatch_wire
in_ns stack ip address add 10.1.0.5/24 dev ve1
background host in_ns stack socat TCP-LISTEN:7000,reuseaddr,fork PIPE
wait_port peer 10.1.0.5 7000

# Refused at once.  The host is behind gzk0, as without
for driver in af_packet af_xdp; do
	DISPATCH_PORT="port: {driver: $driver, iface: ve1}
kernel: {iface: gzk0, bifurcate: ve1}" start_dispatch e1=10.1.0.2
	assert grep -q "rte_flow_isolate: .*: all that comes is taken, and what is the kernel's goes by gzk0" \
		"$WORK/dispatch-$DISPATCH_LOGS.log"
	assert_match "$(shown)" "bifurcation why: rte_flow_isolate: Function not implemented"
	assert_eq "$(dispatch_counter bifurcation_used bifurcation_rules bifurcation_refused)" "0 0 0" "of $driver"
	answers peer 10.1.0.5
	[ "$(dispatch_counter kernel_tx)" -gt 3 ] || fail "$driver: the kernel was handed nothing"
	within 5 eval "own_routes | grep -q 10.1.0.0/24"
	stop_dispatch
done

# Taken, but no rule, where the kernel has no such filter
DISPATCH_PORT="port: {driver: vdev, device: 'net_tap0,iface=gzt0'}
kernel: {iface: gzk0, bifurcate: ve1}" start_dispatch e1=10.2.0.2
if ! dispatch_has bifurcation_used 1; then
	assert_match "$(shown)" "bifurcation why: rte_flow_create: "
	in_ns stack ip address add 10.2.0.1/24 dev gzt0
	in_ns stack ip link set gzt0 address 02:00:00:00:00:77 up # the port has its own
	dispatch_engine e1 10.2.0.2
	within 10 in_ns stack ping -q -c 1 -W 1 10.2.0.2
	stop_engine e1
fi
stop_dispatch

# Taken
DISPATCH_PORT="port: {driver: vdev, device: 'net_failsafe0,mac=02:00:00:00:00:99,exec(false)'}
kernel: {iface: gzk0, bifurcate: ve1}" start_dispatch e1=10.1.0.2,fd00:1::2 a1:=10.1.0.16/28 a2:=10.1.0.4
assert_match "$(shown)" "bifurcation used 1"
refute grep -q "bifurcation why" <<<"$(shown)"
within 5 dispatch_has bifurcation_rules 1
within 5 routes_are "10.1.0.2 fd00:1::2"
dispatch_engine e1 10.1.0.2 fd00:1::2
attach_engine a1 10.1.0.17
within 5 routes_are "10.1.0.2 10.1.0.17 fd00:1::2"
within 5 dispatch_has bifurcation_rules 3
# Host and engine, and engines
background echo gz e1 socat TCP-LISTEN:7000,reuseaddr,fork PIPE
wait_port stack 10.1.0.2 7000
assert_eq "$(echo hello | gz a1 timeout 10 socat -t 5 - TCP:10.1.0.2:7000)" hello "from engine to engine"
assert_eq "$(echo hello | gz a1 timeout 10 socat -t 5 - TCP:10.1.0.5:7000)" hello "from engine to host"
# What is the kernel's is at its own interface, both ways
background by_dispatch in_ns stack tcpdump -n -l -i gzk0 'host 10.1.0.1 or host 10.1.0.2'
wait_line by_dispatch 'listening on'
answers peer 10.1.0.5
assert in_ns stack ping -q -c 1 -W 2 10.1.0.1
answers stack 10.1.0.2 # what is the engine's goes by dispatch
wait_line by_dispatch '10.1.0.2.7000'
refute grep '10\.1\.0\.1\b' "$WORK/by_dispatch"
end "$PID"
# They go, and come
stop_engine a1
within 5 routes_are "10.1.0.2 fd00:1::2"
within 5 dispatch_has bifurcation_rules 2
kill -KILL "$(engine_pid e1)"
within 5 dispatch_has bifurcation_rules 1
dispatch_engine e1 10.1.0.2 fd00:1::2
attach_engine a2 10.1.0.4
within 5 dispatch_has bifurcation_rules 3
within 5 routes_are "10.1.0.2 10.1.0.4 fd00:1::2"
assert in_ns stack ping -q -c 1 -W 2 10.1.0.4
assert_match "$("$BIN/gazelle-ctl" dispatch set policy '{ports: 22}' "$GZ_TEST_ID-d" 2>&1 || :)" "not with kernel.bifurcate"
stop_dispatch
assert_eq "$(own_routes)" "" "routes after the end"
answers peer 10.1.0.5
