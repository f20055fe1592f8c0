#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# udp_wire.sh - UDP with a kernel peer: sizes up to 65507, refusals, groups, ping

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

py=$TEST_DIR/net/udp_wire.py
wire
# Over af_packet datagrams of this size were seen to be lost on a loaded machine.
start_wire_engine e af_xdp

background serve gz e python3 "$py" echo 10.1.0.2
wait_line serve ready
assert_match "$(ctl e ss)" 'udp +UNCONN .* 10\.1\.0\.2:7000'
assert in_ns peer python3 "$py" ask 10.1.0.2
assert finish "$PID"

background serve in_ns peer python3 "$py" echo 10.1.0.1
wait_line serve ready
assert gz e python3 "$py" ask 10.1.0.1
assert finish "$PID"

# Each joins a group of its own; the peer speaks first, the stack answers.
background member gz e python3 "$py" group 10.1.0.2 239.1.2.3 ''
wait_line member ready
assert in_ns peer python3 "$py" group 10.1.0.1 239.1.2.4 239.1.2.3
assert finish "$PID"

assert in_ns peer ping -c 1 -W 2 -s 65507 10.1.0.2
stop_engine e
