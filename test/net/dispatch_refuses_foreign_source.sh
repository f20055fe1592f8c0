#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_refuses_foreign_source.sh - An engine that uses an address which is not
# its own is heard by nobody, and counted

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

dispatch_wire
start_dispatch e1=10.1.0.2/32 e2=10.1.0.3/32
dispatch_engine e1 10.1.0.2
dispatch_engine e2 10.1.0.9
background seen in_ns peer tcpdump -n -l -i ve2 host 10.1.0.9
wait_line seen 'listening on'
refute gz e2 timeout 3 socat -u OPEN:/dev/null TCP:10.1.0.1:7000,connect-timeout=2
refute in_ns peer ping -q -c 1 -W 1 10.1.0.9
spoofed=$(dispatch_counter e2_spoofed)
[ "$spoofed" -gt 0 ] || fail "nothing was counted as spoofed"
refute grep -q '10\.1\.0\.9 >\|tell 10\.1\.0\.9\|10\.1\.0\.9 is-at' "$WORK/seen"
assert in_ns peer ping -q -c 3 -i 0.2 -W 1 10.1.0.2
