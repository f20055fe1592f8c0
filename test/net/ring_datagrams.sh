#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ring_datagrams.sh - UDP goes through the rings: without notifications, and by whichever way one waits
#
# Between two clients of one engine, and over the wire with the kernel at the other end.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"
GZ_RUN_ARGS=--ring
wire
start_wire_engine e
datagrams=$BUILD/test/net/datagrams count=1000

# few COUNTER MOST CMD... - it counts no more than that while CMD runs
few() {
	local counter=$1 most=$2 before
	shift 2
	before=$(counter e "$counter")
	"$@" || fail "$*"
	assert [ $(($(counter e "$counter") - before)) -le "$most" ]
}

# calls FROM ADDRESS PORT WAYS - all ways to wait, by sockets of FROM (gz e, or the peer)
calls() {
	local to=$1 port=$2 rx tx how which
	for how in ${3:-recv poll epoll spin}; do
		for which in connected unconnected; do
			rx=$(counter e ring_to_app_datagrams) tx=$(counter e ring_from_app_datagrams)
			few notifications 200 gz e "$datagrams" call "$to" "$port" $how $which $count
			rx=$(($(counter e ring_to_app_datagrams) - rx))
			tx=$(($(counter e ring_from_app_datagrams) - tx))
			echo "$to, $how, $which: $rx to and $tx from the programs by rings"
			assert [ "$rx" -ge $count ]
			assert [ "$tx" -ge $((count - 10)) ]
		done
	done
}

background server gz e "$datagrams" serve 10.1.0.2 7001
wait_line server listens
calls 10.1.0.2 7001

background peer in_ns peer "$datagrams" serve 10.1.0.1 7002
wait_line peer listens
calls 10.1.0.1 7002

# Several at once, with the address that they came to
background many gz e "$datagrams" serve 0.0.0.0 7003 many
wait_line many listens
calls 10.1.0.2 7003 many
few notifications 200 in_ns peer "$datagrams" call 10.1.0.2 7003 many connected $count

# The kernel asks, the stack answers.
few notifications 200 in_ns peer "$datagrams" call 10.1.0.2 7001 recv connected $count

# dnsmasq has IP_PKTINFO and its kin, dig sends by sendmmsg(): no socket leaves.
if command -v dnsmasq >/dev/null && command -v dig >/dev/null; then
	background dns gz e dnsmasq --keep-in-foreground --log-facility=- --user=root --pid-file \
		--conf-file=/dev/null --no-resolv --no-hosts --host-record=one.test,192.0.2.7
	wait_line dns started
	tx=$(counter e ring_from_app_datagrams)
	for by in "gz e" "in_ns peer"; do
		# shellcheck disable=SC2086
		assert_eq "$($by dig @10.1.0.2 +tries=3 +timeout=3 +short one.test)" 192.0.2.7
	done
	assert [ $(($(counter e ring_from_app_datagrams) - tx)) -ge 2 ]
fi
assert_eq "$(counter e ring_broken)" 0
assert_eq "$(counter e ring_left)" 0
stop_engine e
