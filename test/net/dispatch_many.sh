#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_many.sh - 64 clients: 63 light ones and an engine register by the control
# socket, each is linked, any of them goes and comes, and the engine is reached

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

attached() { # how many clients have an address
	"$BIN/gazelle-ctl" dispatch clients "$GZ_TEST_ID-d" --json |
		python3 -c 'import json, sys; print(sum(r["address"] != "-" for r in json.load(sys.stdin)))'
}
attached_are() { [ "$(attached)" = "$1" ]; }

dispatch_wire
clients=(e:=10.1.0.2)
for ((i = 0; i < 63; i++)); do clients+=("c$i:=10.1.2.$i"); done
start_dispatch "${clients[@]}"
mkfifo "$WORK/orders"
background light in_ns stack bash -c 'exec "$@" <"$0"' "$WORK/orders" "$T/net/attach_client" \
	"$WORK/$GZ_TEST_ID-d.sock" "$WORK" 63 "$GZ_TEST_ID-c" 10.1.2.0
light=$PID
exec 5>"$WORK/orders"
wait_line light "ready 63" 30
assert_eq "$(attached)" 63 "clients that registered"
attach_engine e 10.1.0.2
assert_eq "$(attached)" 64 "clients with the engine"
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.2
descriptors=$(find "/proc/$DISPATCH/fd" | wc -l)
for i in 0 31 62 31; do
	echo "drop $i" >&5
	within 10 attached_are 63
	echo "back $i" >&5
	wait_line light "back $i: Success" 10
	assert_eq "$(attached)" 64 "clients after client $i came again"
done
within 10 test "$(find "/proc/$DISPATCH/fd" | wc -l)" = "$descriptors"
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.2
end "$light" KILL # all 63 at once
within 10 attached_are 1
within 10 in_ns peer ping -q -c 1 -W 1 10.1.0.2
stop_dispatch
