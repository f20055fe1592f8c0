#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# idle_power.sh - An idle engine with 10,000 connections takes less than 1 % of a processor;
# gazelle-ctl set power makes it one that polls, and back
#
# COUNT=N, FOR=SECONDS: so many connections, so long.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

COUNT=${COUNT:-10000} FOR=${FOR:-10}
case $BUILD in
*san*) skip "a sanitizer's time is not the engine's" ;;
esac

# Processor time of all threads of the engine, in us: finer than utime and stime
spent() { cat "/proc/$(engine_pid e)/task"/*/schedstat | awk '{ ns += $1 } END { printf "%d\n", ns / 1000 }'; }
# load SECONDS - thousandths of a processor
load() {
	local before from
	before=$(spent) from=${EPOCHREALTIME/./}
	sleep "$1"
	echo $((($(spent) - before) * 1000 / (${EPOCHREALTIME/./} - from)))
}
# rests SECONDS
rests() {
	local got
	got=$(load "$1")
	echo "$(power): $got thousandths of a processor with $COUNT connections"
	[ "$got" -lt 10 ] || fail "$(power): $got thousandths of a processor were spent idle"
}
power() { ctl e stats --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["engine"]["power"])'; }
again() { # each connection is good for 64 bytes there and back
	echo >&3
	within 60 eval '[ "$(grep -c again "$WORK/hold")" = '"$1"' ]'
	sleep 2.5 # what is to be tidied up after a second
}

[ -r /proc/self/schedstat ] || skip "the kernel does not count (CONFIG_SCHED_INFO)"
wire
for ns in stack peer; do # no router solicitations
	in_ns $ns sysctl -qw net.ipv6.conf.all.disable_ipv6=1
done
for i in 0 1 2 3; do in_ns peer ip address add 10.1.0.1$i/24 dev ve2; done
start_wire_engine e
background server gz e "$T/net/many" serve 7000
wait_line server ready
mkfifo "$WORK/in"
background hold in_ns peer "$T/net/many" hold 10.1.0.2 7000 "$COUNT" 10.1.0.10 4 "$WORK/in"
wait_line hold up 300
exec 3>"$WORK/in"
sleep 2.5

assert_eq "$(power)" adaptive power
rests "$FOR"
again 1

assert ctl e set power interrupt
assert_eq "$(power)" interrupt power
rests 3
again 2

assert ctl e set power poll
assert_eq "$(power)" poll power
got=$(load 2)
echo "poll: $got thousandths of a processor"
[ "$got" -gt 200 ] || fail "poll: only $got thousandths of a processor"
again 3

assert ctl e set power adaptive
rests 3

refute ctl e set power much 2>"$WORK/said"
assert_match "$(cat "$WORK/said")" "power cannot be 'much': expected poll, adaptive or interrupt"
refute ctl e set size 1 2>"$WORK/said"
assert_match "$(cat "$WORK/said")" "'size' cannot be set: expected power or loglevel"
refute ctl e set power 2>/dev/null
refute grep -q 'debug:' "$WORK/engine-e.log"
assert ctl e set loglevel debug
assert gz e true
within 5 grep -q 'debug:' "$WORK/engine-e.log"
stop_engine e
