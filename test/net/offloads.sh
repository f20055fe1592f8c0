#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# offloads.sh - Checksums and segments left to the other end of a link, or not
#
# Two engines and the shared-memory link; 32 MB each way, of which the digest is checked.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

# link LEFT RIGHT [KEYS] - the engines, with these offloads at the ends
link() {
	local end port
	for end in "right vhost 2" "left virtio_user 1"; do
		# shellcheck disable=SC2086
		set -- "$1" "$2" "${3:-}" $end
		port="driver: $5, path: $WORK/link, offloads: {$([ "$4" = left ] && echo "$1" || echo "$2")}$3"
		start_engine "$4" "$4" "port: {$port}
stack: {addresses: [10.2.0.$6/24], addresses6: [\"fd00::$6/64\"]}
policy: {loopback: engine}"
	done
}

unlink() {
	local end
	for end in left right; do
		assert_eq "$(counter $end 'tcp_checksum_errors|rx_malformed')" 0 "errors at $end"
		stop_engine $end
	done
}

# transfer FROM TO ADDRESS - and its digest
transfer() {
	local out server mss
	background server gz "$2" python3 "$TEST_DIR/net/receive_window.py" serve "$3" 7000
	server=$PID
	wait_line server ready
	out=$(gz "$1" python3 "$TEST_DIR/net/receive_window.py" send "$3" 7000 32 0) ||
		fail "$1 to $3: $out"
	read -r _ _ mss _ <<<"$out"
	assert_eq "$mss" "${4:-1448}" "MSS from $1 to $3"
	end "$server"
}

both_ways() {
	transfer left right 10.2.0.2
	transfer right left 10.2.0.1
}

# shown END EXPRESSION - of p, the port's object
shown() { ctl "$1" --json port | python3 -c "import json, sys; p = json.load(sys.stdin); print($2)"; }

netns left
netns right

link "" ""
both_ways
transfer left right fd00::2 1428
transfer right left fd00::1 1428
for end in left right; do
	[ "$(counter $end tso)" -gt 100 ] || fail "$end sent $(counter $end tso) large segments"
done
assert_eq "$(shown left "sorted({'TCP_TSO', 'TCP_CKSUM'} - set(p['tx_used']))")" "[]" "used by left"
assert_eq "$(shown left "sorted({'TCP_LRO', 'TCP_CKSUM'} - set(p['rx_used']))")" "[]" "used by left"
assert_eq "$(shown left "p['offloads']")" "checksum, tso, lro" "in use by left"
assert_eq "$(shown right "p['offloads']")" "checksum, tso, lro" "in use by right"
unlink

# Each is off where one end does not want it.
for off in lro tso; do
	link "$off: false" "$off: false"
	both_ways
	for end in left right; do assert_eq "$(counter $end tso)" 0 "large segments of $end"; done
	assert_eq "$(shown left "p['offloads'].replace(', lro', '')")" checksum "in use by left"
	assert_eq "$(shown right "p['offloads']")" checksum "in use by right"
	unlink
done
link "checksum: false" ""
both_ways
for end in left right; do assert_eq "$(shown $end "p['offloads']")" none "in use by $end"; done
unlink

# What does not fit into the link's queue is lost, and sent again in small segments.
link "" "" ", queue_size: 64"
both_ways
lost=$(($(counter left tx_dropped) + $(counter right tx_dropped)))
[ $lost -gt 0 ] || fail "nothing was lost"
[ "$(counter left tso_cut)" -gt 0 ] || fail "left cut no segment, of $lost frames that were lost"
for end in left right; do [ "$(counter $end tso)" -gt 10 ] || fail "$end has no large ones"; done
unlink
