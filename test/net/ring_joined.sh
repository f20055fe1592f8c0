#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ring_joined.sh - Two programs of one engine: bytes go from ring to ring, not through TCP
#
# Contents are compared; test/semantics (stage ring) does what is finer.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"
GZ_RUN_ARGS=--ring
wire
start_wire_engine e

# --- many connections
background redis gz e redis-server --bind 10.1.0.2 --port 6399 --protected-mode no --save ''
redis=$PID
wait_line redis "Ready to accept"
before=$(counter e ring_joined)
gz e redis-benchmark -h 10.1.0.2 -p 6399 -t set,get -n 20000 -c 20 --csv >"$WORK/bench" ||
	fail "redis-benchmark: $(cat "$WORK/bench")"
joined=$(($(counter e ring_joined) - before))
[ "$joined" -ge 40 ] || fail "$joined of 40 connections were joined"
# A request and its answer, and nothing of them by TCP
direct=$(counter e ring_direct_bytes) tx=$(counter e ring_from_app_bytes)
[ "$direct" -ge $((20000 * 60)) ] || fail "$direct bytes went from ring to ring"
[ "$tx" -le $((direct / 20)) ] || fail "$tx bytes went through TCP, $direct did not"
end "$redis"

listens() { ctl e ss | grep -q "LISTEN.*:7001"; }

# --- bulk, which fills the rings; the last bytes arrive before the end does
head -c 40000000 /dev/urandom >"$WORK/in"
background sink gz e socat -u TCP-LISTEN:7001,bind=10.1.0.2 "CREATE:$WORK/out"
sink=$PID
wait_for 10 listens || fail "socat does not listen"
gz e socat -u "OPEN:$WORK/in" TCP:10.1.0.2:7001 || fail "the sender"
finish "$sink" || fail "the receiver"
cmp "$WORK/in" "$WORK/out" || fail "not what was sent"
[ "$(counter e ring_direct_bytes)" -gt $((direct + 39000000)) ] || fail "the bulk went by TCP"
stop_engine e
