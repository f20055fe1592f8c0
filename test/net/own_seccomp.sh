#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# own_seccomp.sh - Programs that install seccomp filters themselves

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

helper=$T/semantics/helper_seccomp
wire
start_wire_engine e

# A plain filter goes on top of ours.
background plain gz e "$helper" plain
run=$PID
wait_line plain "socket: stack"
end "$run"

# There is one listener in a chain of filters: the program is told so by the kernel.
background listener gz e "$helper" listener
finish "$PID" && fail "a second listener was possible"
assert_match "$(cat "$WORK/listener")" "EBUSY"

# Strict mode does not go with filters.
background strict gz e "$helper" strict
finish "$PID" && fail "strict mode was possible"
assert_match "$(cat "$WORK/strict")" "EINVAL"
stop_engine e
