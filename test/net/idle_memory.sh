#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# idle_memory.sh - What an idle connection costs, and that it still works
#
# COUNT=N: so many connections.  Of the engine's memory alone; `many pairs` shows the
# kernel's part.  In both planes; in the rings those connections for which there are slots.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

COUNT=${COUNT:-3000} LIMIT=4500 # bytes
case $BUILD in
*san*) skip "a sanitizer's memory is not the engine's" ;;
esac

rss() { awk '$1 == "VmRSS:" { print $2 * 1024 }' "/proc/$(engine_pid e)/status"; }
per_connection() { echo $((($(rss) - before) / COUNT)); }
is_small() { [ "$(per_connection)" -lt $LIMIT ]; }

wire
in_ns peer ip address add 10.1.0.10/24 dev ve2
in_ns peer ip address add 10.1.0.11/24 dev ve2
in_ns peer ip address add 10.1.0.12/24 dev ve2
in_ns peer ip address add 10.1.0.13/24 dev ve2

# hold NAME COUNT - so many connections, which are idle until WORK/NAME.in has a line
hold() {
	rm -f "$WORK/$1.in"
	mkfifo "$WORK/$1.in"
	background "$1" in_ns peer "$T/net/many" hold 10.1.0.2 7000 "$2" 10.1.0.10 4 "$WORK/$1.in"
	wait_line "$1" up 300
}
idle() { sleep 2.5; } # memory of rings goes back after a second

costs_little() {
	start_wire_engine e
	background server gz e "$T/net/many" serve 7000
	wait_line server ready
	# What a worker takes once is not a connection's
	hold first $((${GZ_TEST_WORKERS:-1} * 200))
	idle
	before=$(rss)
	hold more "$COUNT"
	exec 3>"$WORK/more.in"
	echo "busy: $(per_connection) bytes a connection"
	idle
	echo "idle: $(per_connection) bytes a connection"
	assert is_small
	echo >&3
	wait_line more again 300
	within 10 is_small
	stop_engine e
}

for plane in relay ring; do
	echo "$plane:"
	GZ_RUN_ARGS=--$plane costs_little
done
