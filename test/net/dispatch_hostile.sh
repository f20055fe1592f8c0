#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_hostile.sh - A client whose rings, memory and messages are random, then one whose
# offloads are, for GZ_FUZZ_SECONDS (by default 4) in all: dispatch lives, the other client's bytes are whole, and
# an honest client that comes in its place is served

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

dispatch_wire
start_dispatch e1=10.1.0.2/32 e2=10.1.0.3/32
dispatch_engine e2 10.1.0.3
bulk_begins 10.1.0.3
seconds=$((${GZ_FUZZ_SECONDS:-4} / 2))
for what in "" headers; do
	# shellcheck disable=SC2086
	background "hostile$what" "$T/net/hostile_client" "$WORK/e1.vhost" "${GZ_SEED:-1}" $seconds $what
	assert finish "$PID" $((seconds + 10))
	kill -0 "$DISPATCH" || fail "dispatch died: $(cat "$WORK/hostile$what")"
	cat "$WORK/hostile$what"
done
bulk_is_whole
[ "$(dispatch_counter e1_malformed)" -gt 0 ] || fail "nothing malformed was counted"
[ "$(dispatch_counter mbufs_free)" -gt 7000 ] || fail "$(dispatch_counter mbufs_free) mbufs are left"
[ "$(dispatch_counter frames_large)" -gt 0 ] || fail "no large segment of the hostile client was one"
start_engine e1 stack "port: {driver: virtio_user, path: $WORK/e1.vhost}
stack: {addresses: [10.1.0.2/24]}
policy: {loopback: engine}"
within 20 in_ns peer ping -q -c 1 -W 1 10.1.0.2
stop_dispatch
