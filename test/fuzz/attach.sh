#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# attach.sh - Random requests at dispatch's control socket hurt nobody: who is attached stays
# so, its bytes go on, dispatch keeps no descriptor, and an engine attaches afterwards
#
#	GZ_FUZZ_SECONDS	how long, by default 5
#	GZ_FUZZ_SEED	by default another one each time

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/../net/dispatch_common.bash"

LONG=${GZ_FUZZ_SECONDS:-5}
SEED=${GZ_FUZZ_SEED:-$RANDOM}
echo "seed $SEED, $LONG s"

dispatch_wire
start_dispatch e1:=10.1.0.2 "e2:=10.1.0.33;shared: true" "e3:=10.1.0.33;shared: true"
attach_engine e1 10.1.0.2
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.2
sessions=$(dispatch_counter "$(client_key e1 sessions)")
descriptors() { find "/proc/$DISPATCH/fd" | wc -l; }
before=$(descriptors)
background ping in_ns peer ping -q -i 0.1 -c $((LONG * 10)) -W 2 10.1.0.2
ping=$PID
status=0
in_ns stack timeout -k 5 $((LONG + 30)) "$T/fuzz/attach" "$WORK/$GZ_TEST_ID-d.sock" "$WORK" "$LONG" \
	"$SEED" "$GZ_TEST_ID-e2" "$GZ_TEST_ID-e1" 2>&1 || status=$?
assert_eq $status 0 "the fuzzer's status"
kill -0 "$DISPATCH" || fail "dispatch died"
assert finish "$ping" 30
assert_match "$(cat "$WORK/ping")" " 0% packet loss"
assert_eq "$(dispatch_counter "$(client_key e1 sessions)")" "$sessions" "sessions of e1"
no_more() { [ "$(descriptors)" -le "$before" ]; }
within 20 no_more
attach_engine e2 10.1.0.33
attach_engine e3 10.1.0.33
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.33
stop_dispatch
