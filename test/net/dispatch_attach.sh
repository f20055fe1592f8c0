#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_attach.sh - Engines become clients by dispatch's control socket: with the
# addresses that they are allowed, as the user that is configured; they go, are killed and
# come again, and so is dispatch, while another one's bytes go on

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

refused() { # WHAT NAME ADDRESS TEXT: that engine does not start, and says why
	engine_config "$2" stack "linger: 0s
port: {driver: dispatch, path: $WORK/$GZ_TEST_ID-d.sock}
stack: {addresses: [$3/16]}"
	assert_match "$(in_ns stack timeout 20 "$BIN/gazelle-engine" --config "$(config_of "$2")" 2>&1 ||
		echo "status $?")" "$4.*status 1" "$1"
}

dispatch_wire
CLIENTS=(e1:=10.1.0.0/28,fd00::/124 "e2:=10.1.0.16/28;uid: 0" "e3:=10.1.0.32/28;uid: 65534" e4=10.1.0.48/32)
start_dispatch "${CLIENTS[@]}"
refused "an address outside" e1 10.1.0.17 "10.1.0.17 is not within"
refused "another user" e3 10.1.0.33 "no client '[^']*e3' of user 0"
refused "a name of nobody's" e9 10.1.0.2 "no client '[^']*e9'"
attach_engine e1 10.1.0.2 fd00::2
attach_engine e2 10.1.0.18
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.2
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.18
assert_eq "$("$BIN/gazelle-ctl" dispatch clients "$GZ_TEST_ID-d" --json | python3 -c 'import json, sys
print(*[(r["name"].split("-")[-1], r["address"]) for r in json.load(sys.stdin)])')" \
	"('e1', '10.1.0.2 fd00::2') ('e2', '10.1.0.18') ('e3', '-') ('e4', '10.1.0.48/32')" "dispatch clients"
# A second one of that name
refused "a second one" e1 10.1.0.3 "is there already|already running"

# Bytes to e2 while e1 is killed and comes again, and while dispatch does
background sink gz e2 socat -u TCP-LISTEN:7000,reuseaddr SYSTEM:sha256sum
head -c 300K /dev/urandom >"$WORK/data"
background source in_ns peer bash -c \
	'until exec 4<>/dev/tcp/10.1.0.18/7000; do sleep 0.1; done 2>/dev/null
	while [ ! -e "$0/over" ]; do cat "$0/data"; sleep 0.1; done |
		tee >(sha256sum >"$0/sent") >&4' "$WORK"
source=$PID
# Who asks for figures at the same time is no engine
background asker python3 -c 'import os, socket, sys, time
while not os.path.exists(sys.argv[2]):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        s.connect(sys.argv[1])
    except OSError:
        pass
    s.close()
    time.sleep(0.001)' "/var/run/dpdk/gazelle-$GZ_TEST_ID-d/dpdk_telemetry.v2" "$WORK/over"
for round in 1 2; do
	kill -KILL "$(engine_pid e1)"
	within 10 dispatch_has "$(client_key e1 link)" 0
	! in_ns peer ping -q -c 1 -W 1 10.1.0.2 >/dev/null || fail "10.1.0.2 answers in round $round"
	attach_engine e1 10.1.0.2
	within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.2
done
# What it did not register is not its own
before=$(dispatch_counter "$(client_key e1 spoofed)")
stop_dispatch KILL
start_dispatch "${CLIENTS[@]}"
within 20 dispatch_has "$(client_key e1 link)" 1
within 20 dispatch_has "$(client_key e2 link)" 1
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.2
assert_eq "$(dispatch_counter "$(client_key e1 spoofed)")" 0 "spoofed of e1"
assert_eq "$before" 0 "spoofed of e1 before"
touch "$WORK/over"
refute grep -h "left alone" "$WORK"/dispatch-*.log
assert finish "$source" 60
within 20 grep -q . "$WORK/sink"
assert_eq "$(cut -c1-64 "$WORK/sink")" "$(cut -c1-64 "$WORK/sent")" "what e2 received"
stop_engine e1
within 10 dispatch_has "$(client_key e1 link)" 0
stop_dispatch
[ ! -e "$WORK/$GZ_TEST_ID-d.sock" ] || fail "the control socket was left"
