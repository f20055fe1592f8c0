#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_idle.sh - With engines attached and nothing that flows dispatch takes less than 2 %
# of a processor, and wakes up for the first frame

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

# Processor time of all its threads, in ns
spent() { cat "/proc/$DISPATCH"/task/*/schedstat | awk '{ ns += $1 } END { printf "%d\n", ns }'; }

[ -r /proc/self/schedstat ] || skip "the kernel does not count (CONFIG_SCHED_INFO)"
dispatch_wire
for ns in stack peer; do # no router solicitations either
	in_ns $ns sysctl -qw net.ipv6.conf.all.disable_ipv6=1
done
for driver in af_packet af_xdp; do
	DISPATCH_PORT="port: {driver: $driver, iface: ve1}" \
		start_dispatch e1:=10.1.0.2/32 e2:=10.1.0.3/32
	attach_engine e1 10.1.0.2
	attach_engine e2 10.1.0.3
	assert in_ns peer ping -q -c 1 -W 2 10.1.0.2 >/dev/null
	sleep 1 # past what an engine says when it has a link
	before=$(spent) from=${EPOCHREALTIME/./}
	sleep 3
	ns=$(($(spent) - before)) us=$((${EPOCHREALTIME/./} - from))
	echo "$driver: $((ns / 1000)) of $us us"
	[ $((ns / 1000 * 50)) -lt $us ] || fail "$driver: $((ns / 1000)) of $us us were spent idle"
	assert in_ns peer ping -q -c 1 -W 2 10.1.0.3 >/dev/null
	stop_engine e1
	stop_engine e2
	stop_dispatch
done
