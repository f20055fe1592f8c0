#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_restarts.sh - Dispatch is killed and started again: the engines' TCP
# connections live on

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

dispatch_wire
start_dispatch e1=10.1.0.2/32
dispatch_engine e1 10.1.0.2
background server gz e1 socat TCP-LISTEN:7000,reuseaddr PIPE
wait_for 10 in_ns stack test -e "$WORK/e1.vhost"
background client in_ns peer bash -c '
	until exec 3<>/dev/tcp/10.1.0.2/7000; do sleep 0.1; done 2>/dev/null
	for ((i = 0; i < 60; i++)); do
		echo "line $i" >&3
		read -r -t 20 answer <&3 || exit 1
		[ "$answer" = "line $i" ] || exit 2
		echo "$i"
		sleep 0.05
	done'
client=$PID
for at in 5 25; do
	wait_line client $at 20
	stop_dispatch KILL
	start_dispatch e1=10.1.0.2/32
done
assert finish "$client" 40
