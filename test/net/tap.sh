#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# tap.sh - An engine behind a tap device: the kernel's end in the same namespace, 16 MB each way

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

MB=16
[ -c /dev/net/tun ] || skip "no /dev/net/tun"
netns stack
start_engine tap stack "port: {driver: tap, iface: gztap}
stack: {addresses: [10.1.0.2/24]}"
assert in_ns stack ip address add 10.1.0.1/24 dev gztap
assert in_ns stack ip link set gztap up

each_serves tap stack $MB
