#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# profile.sh - In which system calls, and where outside of them, a redis run spends its time
#
#	test/bench/profile.sh [kernel|--relay|--ring]	by default --ring
#
# GETs by 50 connections; perf(1) samples server, client and engine for 1.5 s.  Prints the
# rate, each process's share of all samples, and its shares by the system call that it was
# in or, outside of the kernel, by function (addresses of the agent's begin with 2f).

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"
command -v perf >/dev/null || skip "perf is not there"
plane=${1:---ring} address=10.213.0.2
[ "$plane" != kernel ] || address=127.0.0.1
GZ_RUN_ARGS=$plane

program() {
	if [ "$plane" = kernel ]; then in_ns host "$@"; else gz e "$@"; fi
}

netns host
start_engine e host 'port: {veth: {host: gz0, address: 10.213.0.1/24}, iface: gz0e}
stack: {addresses: [10.213.0.2/24]}'
background server program redis-server --bind $address --protected-mode no --save ''
within 10 program redis-cli -h $address ping
server=$(pgrep -f "redis-server $address:6379" | head -n 1)
background client program redis-benchmark -h $address -t get -n 2000000 -c 50 --csv
within 10 pgrep -f "^redis-benchmark -h $address"
client=$(pgrep -f "^redis-benchmark -h $address" | head -n 1)
requests() {
	program redis-cli -h $address info stats | tr -d '\r' |
		sed -n 's/^instantaneous_ops_per_sec:/GETs a second: /p'
}
sleep 1
perf record -q -g -e cpu-clock -F 2000 -o "$WORK/perf.data" \
	-p "$(engine_pid e),$server,$client" -- sleep 1.5 >"$WORK/perf.log" 2>&1 ||
	fail "perf record: $(tail -n 1 "$WORK/perf.log")"
requests
perf script -i "$WORK/perf.data" -F comm,ip,sym 2>/dev/null | awk '
	function flush(    i, what) {
		if (who == "")
			return
		what = entered ? "entry" : "user: " top
		for (i = 1; i <= n; i++)
			if (stack[i] ~ /^__x64_sys_/)
				what = substr(stack[i], 11)
		total++
		of[who]++
		inside[who] += entered
		at[who " " what]++
	}
	NF == 0 { flush(); who = ""; next }
	/^[^ \t]/ || who == "" { who = $0; gsub(/^ +| +$/, "", who); n = entered = 0; top = ""; next }
	{
		stack[++n] = $2 == "[unknown]" || $2 == "" ? $1 : $2
		if (n == 1)
			top = stack[n]
		if ($2 ~ /^(do_syscall_64|entry_SYSCALL)/)
			entered = 1
	}
	END {
		flush()
		for (w in of)
			printf "%5.1f%% %s, %.1f%% in system calls\n", 100 * of[w] / total, w,
				100 * inside[w] / total
		for (w in at)
			if (at[w] > total / 200)
				printf "  %5.1f%% %s\n", 100 * at[w] / total, w
	}' | sort -k1.1,1.2 -rn
