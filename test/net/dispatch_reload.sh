#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_reload.sh - Dispatch reads its configuration again under traffic, without losing a
# packet: clients come and go, limits and the log level change; what is wrong, or cannot
# change, is said with its line, and nothing changes

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

names() {
	"$BIN/gazelle-ctl" dispatch clients "$GZ_TEST_ID-d" --json |
		python3 -c 'import json, sys; print(*sorted(r["name"].split("-")[-1] for r in json.load(sys.stdin)))'
}
names_are() { [ "$(names)" = "$1" ]; }
reload() { "$BIN/gazelle-ctl" dispatch reload "$GZ_TEST_ID-d" 2>&1; }

dispatch_wire
start_dispatch e1:=10.1.0.2 gone:=10.1.0.4 old=10.1.0.5
attach_engine e1 10.1.0.2
attach_engine gone 10.1.0.4
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.2
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.4
sessions=$(dispatch_counter "$(client_key e1 sessions)")
background ping in_ns peer ping -i 0.01 10.1.0.2
ping=$PID

# One goes, one comes, by the order and by the signal
dispatch_config e1:=10.1.0.2 e2:=10.1.0.3 old=10.1.0.5
assert reload
assert_eq "$(names)" "e1 e2 old" "clients"
within 10 grep -q 'gone: detached' "$WORK/dispatch-1.log"
! in_ns peer ping -q -c 1 -W 1 10.1.0.4 >/dev/null || fail "who is no client any more answers"
attach_engine e2 10.1.0.3
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.3
dispatch_config e1:=10.1.0.2 e2:=10.1.0.3 old=10.1.0.5 new:=10.1.0.6
kill -HUP "$DISPATCH"
within 10 names_are "e1 e2 new old"

# Limits: e2 gets 50 packets a second now, and later all again
dispatch_config e1:=10.1.0.2 "e2:=10.1.0.3;receive_packets: 50" old=10.1.0.5
assert reload
in_ns peer ping -q -f -c 400 -W 1 10.1.0.3 >/dev/null || :
limited=$(dispatch_counter "$(client_key e2 limited)")
[ "$limited" -gt 0 ] || fail "nothing of e2's was limited"
dispatch_config e1:=10.1.0.2 e2:=10.1.0.3 old=10.1.0.5
assert reload
in_ns peer ping -q -f -c 200 -W 1 10.1.0.3 >/dev/null || :
assert_eq "$(dispatch_counter "$(client_key e2 limited)")" "$limited" "limited, without limits"

# What cannot be, and what is wrong: all stays, e3 with it
said="$(DISPATCH_PORT='port: {driver: af_packet, iface: ve1, mtu: 1400}' dispatch_config e1:=10.1.0.2 e3:=10.1.0.7
	reload || echo "status $?")"
assert_match "$said" "dispatch.yaml:3:[0-9]+: key 'port.mtu': cannot be changed.*status 1" "another MTU"
said="$(dispatch_config e1:=10.1.0.2 e3:=10.1.0.2
	reload || echo "status $?")"
line=$(grep -n 'e3,' "$WORK/dispatch.yaml" | cut -d: -f1)
assert_match "$said" "dispatch.yaml:$line:[0-9]+: key 'clients\[1\].address': overlaps.*status 1" "an overlap"
assert_eq "$(names)" "e1 e2 old" "clients after what was refused"
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.3

# The log level
dispatch_config e1:=10.1.0.2 e2:=10.1.0.3
sed -i '1i log: debug' "$WORK/dispatch.yaml"
refute grep -q 'link is' "$WORK/dispatch-1.log"
assert reload
assert_eq "$(names)" "e1 e2" "clients"
stop_engine e2
within 10 grep -q 'e2: link is' "$WORK/dispatch-1.log"
for i in 1 2 3 4 5; do
	dispatch_config e1:=10.1.0.2 "n$i:=10.1.0.9" old=10.1.0.5
	sed -i '1i log: info' "$WORK/dispatch.yaml"
	assert reload
done
end "$ping" INT
none_lost "$WORK/ping"
assert_eq "$(dispatch_counter "$(client_key e1 sessions)")" "$sessions" "sessions of e1"
stop_dispatch
