#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# hostile.sh - A client that writes bits into its shared memory hurts itself alone
#
#	GZ_FUZZ_SECONDS	how long, by default 5
#	GZ_FUZZ_SEED	by default another one each time

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

SECONDS_LONG=${GZ_FUZZ_SECONDS:-5}
SEED=${GZ_FUZZ_SEED:-$RANDOM}
SECRET=nobody-else-may-see-this
# What one round trip of another client's may take, beside three busy threads
BOUND_MS=2000
echo "seed $SEED, $SECONDS_LONG s"

GZ_RUN_ARGS=--ring
netns stack
start_engine e stack 'port: {veth: {host: gz0, address: 10.213.0.1/24}, iface: gz0e}
stack: {addresses: [10.213.0.2/24]}'

counts() { [ "$(counter e "$1")" = "$2" ]; }
ticks() { awk '{ print $14 + $15 }' "/proc/$(engine_pid e)/stat"; }

background victim gz e python3 "$TEST_DIR/fuzz/victim.py" 10.213.0.2 7001 $SECRET
victim=$PID
wait_line victim ready

status=0
gz e timeout -k 5 $((SECONDS_LONG + 20)) "$T/fuzz/hostile" 10.213.0.2 7002 "$SECONDS_LONG" \
	"$SEED" $SECRET 7001 || status=$?
assert_eq $status 0 "the hostile program's status"
refute gone "$(engine_pid e)"

kill -TERM "$(program_of "$victim")"
assert finish "$victim" 10
cat "$WORK/victim"
read -r trips longest waited < <(tail -n 1 "$WORK/victim")
assert [ "$trips" -gt 20 ]
assert [ "$longest" -lt $BOUND_MS ]
assert [ "$waited" -lt $((BOUND_MS / 5)) ]

# It was at it at all; and all is over when it is gone.
echo "ring_broken $(counter e ring_broken)"
assert [ "$(counter e ring_broken)" -gt 0 ]
within 10 counts sockets 0
before=$(ticks)
sleep 1
assert [ $(($(ticks) - before)) -lt 30 ]
stop_engine e
