#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_users.sh - A client's socket must be its user's: another's is left alone

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

dispatch_wire
start_dispatch "e1=10.1.0.2/32;uid: 65534" "e2=10.1.0.3/32;uid: 0"
background foreign "$T/net/hostile_client" "$WORK/e1.vhost" 1 2
foreign=$PID
dispatch_engine e2 10.1.0.3
wait_line dispatch-1.log 'client e1: the process at'
! finish "$foreign" 10 || fail "the other user's process had rings"
assert_match "$(cat "$WORK/foreign")" "[1-9][0-9]* sessions, 0 with rings"
assert_eq "$(dispatch_counter e1_sessions)" 0 "sessions of another user's process"
assert_eq "$(grep -c 'client e1: the process at' "$WORK/dispatch-1.log")" 1 "lines about it"
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.3
stop_dispatch
