#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_refuses_foreign_source.sh - An engine that uses an address which is not
# its own, of IP or of Ethernet, is heard by nobody, and counted

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

dispatch_wire
start_dispatch e1=10.1.0.2/32 e2=10.1.0.3/32 f1:=10.1.0.5 f2:=10.1.0.6 "e3:=10.1.0.4;mac: 02:00:00:00:03:01"
dispatch_engine e1 10.1.0.2
dispatch_engine e2 10.1.0.9
background seen in_ns peer tcpdump -n -l -i ve2 host 10.1.0.9
wait_line seen 'listening on'
refute gz e2 timeout 3 socat -u OPEN:/dev/null TCP:10.1.0.1:7000,connect-timeout=2
refute in_ns peer ping -q -c 1 -W 1 10.1.0.9
spoofed=$(dispatch_counter e2_spoofed)
[ "$spoofed" -gt 0 ] || fail "nothing was counted as spoofed"
refute grep -q '10\.1\.0\.9 >\|tell 10\.1\.0\.9\|10\.1\.0\.9 is-at' "$WORK/seen"
assert in_ns peer ping -q -c 3 -i 0.2 -W 1 10.1.0.2

# Two with one MAC address: the second one is heard when the first one has left
for e in "f1 10.1.0.5" "f2 10.1.0.6"; do
	read -r name address <<<"$e"
	start_engine "$name" stack "port: {driver: dispatch, path: $WORK/$GZ_TEST_ID-d.sock, mac: 02:00:00:00:03:0f}
stack: {addresses: [$address/24]}
policy: {loopback: engine}"
	[ "$name" = f2 ] || within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.5
done
refute in_ns peer ping -q -c 1 -W 1 10.1.0.6
[ "$(dispatch_counter "$(client_key f2 spoofed)")" -gt 0 ] || fail "another's MAC address was not counted"
stop_engine f1
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.6

# Of its IP addresses one that is its own, but not the MAC address that it has to have
attach_engine e3 10.1.0.4
refute in_ns peer ping -q -c 1 -W 1 10.1.0.4
[ "$(dispatch_counter "$(client_key e3 spoofed)")" -gt 0 ] || fail "another MAC address was not counted"
assert_eq "$(of e3 mac)" - "MAC address of e3"
stop_engine e3
within 10 dispatch_has "$(client_key e3 link)" 0
start_engine e3 stack "port: {driver: dispatch, path: $WORK/$GZ_TEST_ID-d.sock, mac: 02:00:00:00:03:01}
stack: {addresses: [10.1.0.4/24]}
policy: {loopback: engine}"
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.4
assert_eq "$(of e3 mac)" 02:00:00:00:03:01 "MAC address of e3"

# Who has one that another client is given, when the configuration is read again, has it no more
assert in_ns peer ping -q -c 1 -W 1 10.1.0.6
dispatch_config e1=10.1.0.2/32 e2=10.1.0.3/32 f1:=10.1.0.5 f2:=10.1.0.6 "e3:=10.1.0.4;mac: 02:00:00:00:03:0f"
assert "$BIN/gazelle-ctl" dispatch reload "$GZ_TEST_ID-d"
refute in_ns peer ping -q -c 1 -W 1 10.1.0.6
refute in_ns peer ping -q -c 1 -W 1 10.1.0.4
assert_eq "$(of e3 mac) $(of f2 mac)" "- -" "MAC addresses of who has not the right one"
stop_dispatch
