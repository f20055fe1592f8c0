#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_orders.sh - gazelle-ctl dispatch: latency, limits and rules that are set while
# it runs, what it refuses of them, and each that docs/dispatch.md names, quit last

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

order() { "$BIN/gazelle-ctl" dispatch "$@" "$GZ_TEST_ID-d" 2>&1; }
refused() { # STATUS TEXT WORD...
	local status=$1 text=$2 said
	shift 2
	assert_match "$(order "$@" || echo "status $?")" "$text.*status $status" "$*"
}
latency() { # FIELD ROW
	order latency --json | python3 -c 'import json, sys
print(json.load(sys.stdin)[int(sys.argv[2])][sys.argv[1]])' "$@"
}
who() { in_ns peer timeout 10 socat -u TCP:10.1.0.7:"$1" - 2>/dev/null; }

netns stack
netns peer
veth stack ve1 10.1.0.7/24 peer ve2 10.1.0.1/24
export DISPATCH_PORT="port: {driver: af_packet, iface: ve1}
kernel: {iface: gzk0}"
start_dispatch e1:=10.1.0.2 e2:=10.1.0.7
attach_engine e1 10.1.0.2
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.2

# Latency: of what passed, and of what passed since it was asked
before=$(latency frames 0)
in_ns peer ping -q -f -c 500 10.1.0.2 >/dev/null
said=$(order latency --json)
python3 - "$before" "$said" <<-'END' || fail "latency: $said, $before frames before"
	import json, sys
	before, (all, asked) = int(sys.argv[1]), json.loads(sys.argv[2])
	assert asked["frames"] >= 1000 and all["frames"] >= before + asked["frames"], "frames"
	for row in all, asked:
	    assert 100 < row["median_ns"] <= row["p99_ns"] <= row["max_ns"] < 1e10, row
END

# A limit comes and goes
order set limit "$GZ_TEST_ID-e1" receive_packets 50
in_ns peer ping -q -f -c 400 -W 1 10.1.0.2 >/dev/null || :
limited=$(dispatch_counter "$(client_key e1 limited)")
[ "$limited" -gt 0 ] || fail "nothing of e1's was limited"
order set limit "$GZ_TEST_ID-e1" receive_packets 0
in_ns peer ping -q -f -c 200 -W 1 10.1.0.2 >/dev/null || :
assert_eq "$(dispatch_counter "$(client_key e1 limited)")" "$limited" "limited, without limits"
refused 1 "no client 'nobody'" set limit nobody receive_packets 1
refused 1 "expected send_kbits" set limit "$GZ_TEST_ID-e1" address 1
refused 1 "expected a number" set limit "$GZ_TEST_ID-e1" send_kbits 1e3
refused 1 "expected a number" set limit "$GZ_TEST_ID-e1" send_kbits 4294967296

# Rules: whose is port 7000 of an address that host and client share?
attach_engine e2 10.1.0.7
background host in_ns stack socat TCP-LISTEN:7000,reuseaddr,fork SYSTEM:'echo host'
background client gz e2 socat TCP-LISTEN:7000,reuseaddr,fork SYSTEM:'echo client'
wait_port peer 10.1.0.7 7000
assert_eq "$(who 7000)" client "port 7000 without rules"
order set policy '{protocol: tcp, ports: 22}, {protocol: tcp, ports: 7000, net: 10.1.0.7}'
assert_eq "$(who 7000)" host "port 7000 by a rule"
refused 1 "kernel.rules.*ports.*expected" set policy '{protocol: tcp, ports: 70000}'
refused 1 "protocol.*expected" set policy '{protocol: ipx}'
assert_eq "$(who 7000)" host "after what was refused"
order set policy none
assert_eq "$(who 7000)" client "port 7000 without rules again"

refused 2 "cannot be set: expected loglevel, limit or policy" set colour red
refused 2 "expected 3 more words" set limit x
refused 1 "loglevel.*refused" set loglevel loud
# As docs/dispatch.md has them, the one that ends it last
ran=0
while IFS= read -r line; do
	line=${line/engine1/$GZ_TEST_ID-e1}
	said=$(eval "\"\$BIN\"/${line%%#*} '$GZ_TEST_ID-d'" 2>&1) || fail "$line: $said"
	[ -n "$said" ] || [[ $line =~ ' '(set|reload|quit) ]] || fail "$line: nothing was said"
	ran=$((ran + 1))
done < <(sed -n 's/^    \(gazelle-ctl dispatch.*\)/\1/p' "$TEST_DIR/../docs/dispatch.md" | sed '/ quit/{H;d};${p;x;s/\n//}')
[ $ran -ge 10 ] || fail "only $ran orders in docs/dispatch.md"
within 10 eval '! kill -0 $DISPATCH 2>/dev/null'
assert_match "$(cat "$WORK/dispatch-1.log")" "ending"
