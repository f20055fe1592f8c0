#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# offloads_hostile.sh - A peer of the shared-memory link whose headers of virtio are random, for
# GZ_FUZZ_SECONDS (by default 4): the engine lives, and takes an honest peer's bytes after it

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

engine() {
	start_engine "$1" "$1" "port: {driver: $2, path: $WORK/link}
stack: {addresses: [10.1.0.$3/24]}
policy: {loopback: engine}"
}

netns left
netns right
engine right vhost 2
background hostile "$T/net/hostile_client" "$WORK/link" "${GZ_SEED:-1}" "${GZ_FUZZ_SECONDS:-4}" headers
assert finish "$PID" $((${GZ_FUZZ_SECONDS:-4} + 10))
cat "$WORK/hostile"
kill -0 "$(engine_pid right)" || fail "the engine died"
taken=$(counter right rx_packets)
[ "$taken" -gt 1000 ] || fail "the engine took $taken frames"
[ "$(counter right rx_malformed)" -gt 0 ] || fail "nothing malformed was counted"
[ "$(counter right mbufs_free)" -gt 4000 ] || fail "$(counter right mbufs_free) mbufs are left"

engine left virtio_user 1
background server gz right python3 "$TEST_DIR/net/receive_window.py" serve 10.1.0.2 7000
wait_line server ready
within 20 gz left python3 "$TEST_DIR/net/receive_window.py" send 10.1.0.2 7000 4 0
[ "$(counter left tso)" -gt 0 ] || fail "left sent no large segment"
