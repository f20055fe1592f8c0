#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# budgets.sh - An engine that does one thing a loop, packet, call, event and socket, does all
# of it: 300 connections made, used and held, and bulk data both ways

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

wire
start_engine e stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24]}
worker: {burst: 1, messages: 1, events: 1, sockets: 1}"
for args in --relay --ring; do
	export GZ_RUN_ARGS=$args
	background server gz e "$T/net/many" serve 7000
	SERVER=$PID
	wait_line server ready
	rm -f "$WORK/in"
	mkfifo "$WORK/in"
	background hold in_ns peer "$T/net/many" hold 10.1.0.2 7000 300 10.1.0.1 1 "$WORK/in"
	HOLD=$PID
	wait_line hold up 60
	exec 3>"$WORK/in"
	echo >&3
	wait_line hold again 60
	exec 3>&-
	finish "$HOLD"
	end "$SERVER"
	each_serves e peer 8
done
# Loops are counted by 64.
rx=$(counter e rx_packets) loops=$(counter e loops)
[ "$rx" -le $((loops + 64)) ] || fail "$rx packets in $loops loops"
stop_engine e
