#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_shares_a_port.sh - Two engines behind one port reach the outside, and
# each other, and the outside reaches both

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

echo_server() { # NAME: on the engine, what comes goes back
	background "server-$1" gz "$1" socat TCP-LISTEN:7000,reuseaddr,fork PIPE
}

said() { # CMD...: through it to the echo server and back
	echo hello | "$@" 2>&1
}

dispatch_wire
start_dispatch e1=10.1.0.2/32 e2=10.1.0.3/32
dispatch_engine e1 10.1.0.2
dispatch_engine e2 10.1.0.3
echo_server e1
echo_server e2
background server-peer in_ns peer socat TCP-LISTEN:7000,reuseaddr,fork PIPE
wait_port peer 10.1.0.2 7000
wait_port peer 10.1.0.3 7000

for to in 10.1.0.2 10.1.0.3; do
	assert_eq "$(said in_ns peer timeout 15 socat -t 10 - TCP:$to:7000)" hello "from outside to $to"
done
for from in e1 e2; do
	assert_eq "$(said gz $from timeout 15 socat -t 10 - TCP:10.1.0.1:7000)" hello "from $from to outside"
done
out=$(dispatch_counter port_tx)
assert_eq "$(said gz e1 timeout 15 socat -t 10 - TCP:10.1.0.3:7000)" hello "from e1 to e2"
assert_eq "$(said gz e2 timeout 15 socat -t 10 - TCP:10.1.0.2:7000)" hello "from e2 to e1"
assert_eq "$(dispatch_counter port_tx)" "$out" "frames that left for traffic between engines"

for key in e1_spoofed e1_malformed e2_spoofed e2_malformed port_spoofed port_malformed; do
	assert_eq "$(dispatch_counter $key)" 0 $key
done

# gazelle-ctl shows the same
shown=$("$BIN/gazelle-ctl" dispatch "$GZ_TEST_ID-d")
for name in port e1 e2; do
	assert_match "$shown" "(^|
) *$name " "gazelle-ctl dispatch"
done
assert_eq "$("$BIN/gazelle-ctl" dispatch "$GZ_TEST_ID-d" --json | python3 -c 'import json, sys
rows = {r["name"]: r for r in json.load(sys.stdin)}
print(rows["port"]["rx"] > 5, rows["e1"]["tx"] > 5, rows["e2"]["link"], rows["e2"]["spoofed"])')" \
	"True True 1 0" "gazelle-ctl dispatch --json"
assert_match "$("$BIN/gazelle-ctl" dispatch "$GZ_TEST_ID-e1" 2>&1 || echo "status $?")" \
	"no gazelle-dispatch.*status 1" "an engine that is asked"
assert_match "$("$BIN/gazelle-ctl" dispatch none 2>&1 || echo "status $?")" \
	"not running.*status 1" "nobody who is asked"

rows=$("$BIN/gazelle-ctl" dispatch clients "$GZ_TEST_ID-d" --json | python3 -c 'import json, sys
print(*[(r["name"], r["link"], r["address"], r["mac"].count(":"), r["tx"] > 5) for r in json.load(sys.stdin)])')
assert_eq "$rows" "('e1', 1, '10.1.0.2/32', 5, True) ('e2', 1, '10.1.0.3/32', 5, True)" "dispatch clients"
background ping in_ns peer ping -q -i 0.05 -w 3 10.1.0.2
rate=$("$BIN/gazelle-ctl" dispatch rate "$GZ_TEST_ID-d" --json | python3 -c 'import json, sys
print(*[r["tx"] for r in json.load(sys.stdin) if r["name"] == "e1"])')
[ "$rate" -ge 10 ] && [ "$rate" -le 40 ] || fail "dispatch rate: e1 got $rate frames of 20 a second"
end "$PID"
assert_match "$("$BIN/gazelle-ctl" dispatch set loglevel loud "$GZ_TEST_ID-d" 2>&1 || echo "status $?")" \
	"refused.*status 1" "a log level that is none"
assert_match "$("$BIN/gazelle-ctl" dispatch set colour red "$GZ_TEST_ID-d" 2>&1 || echo "status $?")" \
	"cannot be set.*status 2" "what cannot be set"
refute grep -q 'link is' "$WORK/dispatch-1.log"
assert "$BIN/gazelle-ctl" dispatch set loglevel debug "$GZ_TEST_ID-d"
stop_engine e2
within 5 grep -q 'client e2: link is' "$WORK/dispatch-1.log"

assert "$BIN/gazelle-ctl" dispatch quit "$GZ_TEST_ID-d"
assert finish "$DISPATCH" 10
assert [ ! -e "/var/run/dpdk/gazelle-$GZ_TEST_ID-d" ]
