#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# wire_kernel_peer.sh - Linux at the other end of the wire: 64 MB each way, either end serving

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

helper=$T/semantics/helper_transfer
MB=64
wire

for driver in af_packet af_xdp; do
	echo "driver $driver"
	start_wire_engine "$driver" "$driver"

	each_serves "$driver" peer $MB

	# Short connections: what set-up and tear-down cost is not hidden by bulk.
	background serve gz "$driver" "$helper" serve 10.1.0.2 7002 0 200
	wait_line serve ready
	assert in_ns peer "$helper" client 10.1.0.2 7002 0 200
	assert finish "$PID"

	# Nobody listens: refused at once, both ways.
	assert_match "$(in_ns peer "$helper" ask 10.1.0.2 7009 2>&1)" ECONNREFUSED
	assert_match "$(gz "$driver" "$helper" ask 10.1.0.1 7009 2>&1)" ECONNREFUSED
	stop_engine "$driver"
done
