#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_beside.sh - An engine whose first port is a link to dispatch, and whose second is a veth
# pair of its own: it serves and asks by both, goes on by each while the other has no link, and
# the link comes back; with an address that other engines have too it is refused

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

is_link() {
	[ "$(ctl e --json port "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["link"])')" = "$2" ]
}
BESIDE="port: {driver: dispatch, path: $WORK/$GZ_TEST_ID-d.sock}
ports: [{veth: {host: gz1, address: 10.2.0.1/24}, addresses: [10.2.0.2/24]}]
stack: {addresses: [10.1.0.2/24]}
policy: {loopback: engine}"

dispatch_wire
start_dispatch e:=10.1.0.2 f:=10.1.0.3
start_engine e stack "$BESIDE"
within 10 dispatch_has "$(client_key e link)" 1
attach_engine f 10.1.0.3
within 10 is_link gazelle0 up
within 10 is_link gazelle1 up

background served gz e "$T/net/many" serve 7000
wait_line served ready
for from in peer:10.1.0.2 stack:10.2.0.2; do
	background "in-${from%%:*}" in_ns "${from%%:*}" python3 "$TEST_DIR/net/talk.py" "${from#*:}"
done
background in-f gz f python3 "$TEST_DIR/net/talk.py" 10.1.0.2
goes_on in-peer in-stack in-f
for at in peer:10.1.0.1 stack:10.2.0.1; do
	background "serve-${at%%:*}" in_ns "${at%%:*}" "$T/net/many" serve 7000
	wait_line "serve-${at%%:*}" ready
	background "out-${at%%:*}" gz e python3 "$TEST_DIR/net/talk.py" "${at#*:}"
done
goes_on out-peer out-stack

# Without the one the other goes on, and what stood goes on afterwards
stop_dispatch KILL
within 10 is_link gazelle0 down
goes_on in-stack out-stack
start_dispatch e:=10.1.0.2 f:=10.1.0.3
within 10 is_link gazelle0 up
goes_on in-peer out-peer in-f
in_ns stack ip link set gz1 down
within 10 is_link gazelle1 down
goes_on in-peer out-peer in-f
in_ns stack ip link set gz1 up
within 10 is_link gazelle1 up
goes_on in-stack out-stack
stop_engine e
refute in_ns stack ip link show dev gz1 2>/dev/null

stop_dispatch
start_dispatch "e:=10.1.0.2;shared: true" "f:=10.1.0.2;shared: true"
engine_config e stack "$BESIDE"
refute in_ns stack timeout 10 "$BIN/gazelle-engine" --config "$(config_of e)" 2>"$WORK/said"
grep -q "the address is other engines' too" "$WORK/said" || fail "$(cat "$WORK/said")"
refute in_ns stack ip link show dev gz1 2>/dev/null
