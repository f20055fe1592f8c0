#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# syn_flood.sh - A listener under 100,000 SYNs a second serves all real clients

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

PACE=100000 CLIENTS=60

wire
start_engine e stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24], gateway: 10.1.0.1, addresses6: [\"fd00:1::2/64\"], gateway6: \"fd00:1::1\"}"
in_ns peer ip address add fd00:1::1/64 dev ve2 nodad
background server gz e python3 "$TEST_DIR/net/echo.py" serve 7000 16
wait_line server ready
wait_for 10 in_ns peer ping -6 -q -c 1 -W 1 fd00:1::2
mac=$(in_ns stack cat /sys/class/net/ve1/address)

cookies_past() { [ "$(counter e syncookies_sent)" -gt "$1" ]; }

# flooded ADDRESS - the clients of ADDRESS are served while SYNs come
flooded() {
	local sent flood pace
	sent=$(counter e syncookies_sent)
	background flood in_ns peer "$T/net/flood" ve2 "$mac" "$1" 7000 S $PACE 100000000
	flood=$PID
	within 10 cookies_past "$sent"
	assert in_ns peer python3 "$TEST_DIR/net/echo.py" ask "$1" 7000 $CLIENTS 20000 20
	end "$flood"
	cat "$WORK/flood"
	pace=$(awk '{ print $3 }' "$WORK/flood")
	[ "$pace" -ge $((PACE * 9 / 10)) ]
}

slow=
for address in 10.1.0.2 fd00:1::2; do
	flooded $address || flooded $address || slow=1
done
[ "$(counter e syncookies_received)" -ge $CLIENTS ] || fail "the clients needed no cookies"

# ACKs of nothing find no connection, and make none.
accepted=$(counter e accepted)
assert in_ns peer "$T/net/flood" ve2 "$mac" 10.1.0.2 7000 A $((PACE / 4)) 20000
failed() { [ "$(counter e syncookies_failed)" -ge 10000 ]; }
within 5 failed
assert_eq "$(counter e accepted)" "$accepted" accepted
ctl e stats | grep syncookies
stop_engine e
# One that is busy with something else.
[ -z "$slow" ] || skip "this machine does not send $PACE SYNs a second"
