#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# idle_whole.sh - What an idle connection costs in everything together: at most 12 KB
#
# COUNT=N: so many connections, to a program that echoes.  Their far ends are no sockets
# (far_end.py), so that all memory that they bring is this side's: of the engine, the program and
# gazelle-run, what is shared counted once (Pss of proc(5)), and the kernel's (Slab).  The latter is
# of the whole machine: nothing else should be at work, and directory entries and inodes of /proc, which
# the kernel takes back when it needs memory, are taken back first.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

COUNT=${COUNT:-3000} LIMIT=12288 # bytes
FIRST=$((${GZ_TEST_WORKERS:-1} * 200)) # what a worker takes once is not a connection's
case $BUILD in
*san*) skip "a sanitizer's memory is not the engine's" ;;
esac

# memory - bytes, of processes and of the kernel
memory() {
	local pid
	echo 2 >/proc/sys/vm/drop_caches
	for pid in "$(engine_pid e)" "$SERVER" "$PROGRAM"; do
		cat "/proc/$pid/smaps_rollup"
	done | awk '$1 == "Pss:" { n += $2 * 1024 } END { printf "%d ", n }'
	awk '$1 == "Slab:" { printf "%d\n", $2 * 1024 }' /proc/meminfo
}

# per_connection - of processes and of the kernel, since it was BEFORE
per_connection() {
	local now
	read -ra now < <(memory)
	echo $(((now[0] - BEFORE[0]) / COUNT)) $(((now[1] - BEFORE[1]) / COUNT))
}
is_small() {
	local got
	read -ra got < <(per_connection)
	[ $((got[0] + got[1])) -le $LIMIT ]
}
idle() { sleep 2; } # memory of rings goes back after a second

wire
start_wire_engine e
mac=$(in_ns stack cat /sys/class/net/ve1/address)
port=7000
for plane in relay ring; do
	port=$((port + 1))
	GZ_RUN_ARGS=--$plane background server-$plane gz e "$T/net/many" serve $port
	SERVER=$PID
	wait_line server-$plane ready
	PROGRAM=$(program_of "$SERVER")
	mkfifo "$WORK/$plane"
	background far-$plane in_ns peer python3 "$TEST_DIR/net/far_end.py" ve2 "$mac" 10.1.0.2 $port \
		10.1.0.$((port - 6900)) "$FIRST" "$WORK/$plane"
	far=$PID
	wait_line far-$plane "up $FIRST" 20
	exec 3>"$WORK/$plane"
	idle
	read -ra BEFORE < <(memory)
	echo "$COUNT" >&3
	wait_line far-$plane "up $((FIRST + COUNT))" 60
	idle
	read -r processes kernel < <(per_connection)
	echo "$plane: processes $processes, kernel $kernel, together $((processes + kernel)) bytes a connection"
	within 5 is_small
	# Each is good for 64 bytes there and back, and idle again after that
	echo >&3
	wait_line far-$plane again 60
	within 10 is_small
	exec 3>&-
	assert finish "$far"
	end "$SERVER"
done
stop_engine e
