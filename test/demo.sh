#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# demo.sh - redis-server on the user-space stack, measured from the kernel's
#
# Run by `sudo make demo`.  No configuration: gazelle-run starts the embedded
# engine, which makes a veth pair.  The kernel keeps gz0, 10.213.0.1; the
# engine answers at 10.213.0.2.  Whatever happens, ^C too, what was started is
# ended: redis, then by itself the engine, which takes gz0 away.

set -euo pipefail

ROOT=$(realpath "${BASH_SOURCE[0]%/*}/..")
BUILD=${BUILD:-build}
[[ $BUILD == /* ]] || BUILD=$ROOT/$BUILD
BIN=$BUILD/bin
IFACE=gz0
ADDRESS=10.213.0.2
PORT=6379

DIR=
RUN_PID=	# gazelle-run
ENGINE_PID=

say()
{
	printf '\n==> %s\n' "$*"
}

fail()
{
	printf '\ndemo: FAILED: %s\n' "$*" >&2
	local log
	# the engine's is beside its control socket; an older one says nothing of us
	for log in "$DIR/redis.log" ${RUN_PID:+/run/gazelle/default.log}; do
		[[ -s $log ]] || continue
		printf -- '--- %s, the last lines\n' "${log##*/}" >&2
		tail -n 30 "$log" >&2
	done
	exit 1
}

alive()
{
	[[ -n $1 && -e /proc/$1 ]] && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null
}

gone()
{
	! alive "$1"
}

iface_gone()
{
	! ip link show "$IFACE" >/dev/null 2>&1
}

# until_true SECONDS COMMAND... - Repeat until it succeeds
until_true()
{
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.1
	done
}

answers()
{
	[[ $(timeout 2 redis-cli -h $ADDRESS -p $PORT ping 2>/dev/null) == PONG ]]
}

answers_or_ended()
{
	answers || gone "$RUN_PID"
}

# The engine tells its pid: the "pid" line of the engine's table
engine_pid()
{
	"$BIN/gazelle-ctl" stats 2>/dev/null |
		awk '/^[a-z]/ { part = $1 } part == "engine" && $1 == "pid" { print $2; exit }' || :
}

find_engine()
{
	ENGINE_PID=$(engine_pid)
	[[ -n $ENGINE_PID ]]
}

# end PID WHAT - SIGTERM, and SIGKILL for who does not heed it
end()
{
	alive "$1" || return 0
	kill "$1" 2>/dev/null || :
	until_true 5 gone "$1" && return
	printf 'demo: %s (pid %s) does not end: killed\n' "$2" "$1" >&2
	kill -KILL "$1" 2>/dev/null || :
	return 1
}

cleanup()
{
	local status=$? redis=
	trap - EXIT
	trap '' INT TERM HUP
	set +e
	if [[ -n $RUN_PID ]]; then
		say "Ending redis-server; the engine follows its last program"
		[[ -n $ENGINE_PID ]] || find_engine
		[[ -s $DIR/redis.pid ]] && redis=$(<"$DIR/redis.pid")
		end "$redis" redis-server || status=1
		until_true 5 gone "$RUN_PID" || end "$RUN_PID" gazelle-run || status=1
		if [[ -n $ENGINE_PID ]] && ! until_true 10 gone "$ENGINE_PID"; then
			printf 'demo: the engine outlives its last program\n' >&2
			end "$ENGINE_PID" gazelle-engine
			status=1
		fi
		if ! until_true 10 iface_gone; then
			printf 'demo: %s was left behind: removed\n' "$IFACE" >&2
			ip link del "$IFACE"
			status=1
		fi
	fi
	[[ -z $DIR ]] || rm -rf "$DIR"
	if ((status == 0)); then
		say "Nothing is left: no process, no $IFACE.  That was all."
	elif ((status > 128)); then
		printf '\ndemo: interrupted\n' >&2
	else
		printf '\ndemo: did not work (status %d)\n' "$status" >&2
	fi
	exit "$status"
}

check()
{
	local p
	[[ $(id -u) == 0 ]] || fail "needs root, to make a network interface: sudo make demo"
	for p in run engine ctl; do
		[[ -x $BIN/gazelle-$p ]] || fail "$BIN/gazelle-$p is not there: run make"
	done
	for p in ip redis-server redis-cli redis-benchmark; do
		command -v "$p" >/dev/null || fail "$p is not there: run make deps"
	done
	iface_gone || fail "there is an interface $IFACE already: is another demo running?"
	[[ -z $(engine_pid) ]] || fail "an engine named \"default\" is running already"
}

measure()
{
	local line lines=0
	timeout 40 redis-benchmark -h $ADDRESS -p $PORT -t set,get -n 100000 -c 50 -q \
		>"$DIR/benchmark" 2>&1 || fail "redis-benchmark: $(tr '\r' '\n' <"$DIR/benchmark" | tail -n 3)"
	while read -r line; do
		[[ $line == *"requests per second"* ]] || continue
		printf '  %s\n' "$line"
		lines=$((lines + 1))
	done < <(tr '\r' '\n' <"$DIR/benchmark")
	((lines == 2)) || fail "redis-benchmark gave $lines results, not 2: $(<"$DIR/benchmark")"
	! grep -qi error "$DIR/benchmark" || fail "redis-benchmark: $(grep -i error "$DIR/benchmark")"
}

trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

check
DIR=$(mktemp -d "${TMPDIR:-/tmp}/gazelle-demo.XXXXXX")

say "Starting an unmodified redis-server under gazelle-run
    Its socket calls are served by gazelle-engine, a TCP/IP stack in user space.
    There is no configuration: the engine makes a veth pair, of which the kernel
    has $IFACE (10.213.0.1) and the engine the other end ($ADDRESS)."
"$BIN/gazelle-run" redis-server --bind $ADDRESS --port $PORT --protected-mode no --save '' \
	--dir "$DIR" --pidfile "$DIR/redis.pid" >"$DIR/redis.log" 2>&1 </dev/null &
RUN_PID=$!
until_true 20 answers_or_ended || fail "no answer from $ADDRESS port $PORT in 20 s"
alive "$RUN_PID" || fail "gazelle-run ended"
until_true 5 find_engine || fail "gazelle-ctl cannot reach the engine"

say "It answers.  The engine's sockets (gazelle-ctl ss):"
"$BIN/gazelle-ctl" ss || fail "gazelle-ctl ss"

say "Measuring with the kernel's redis-benchmark (50 connections, 100,000 requests each)"
measure

say "What the engine counted (gazelle-ctl stats):"
"$BIN/gazelle-ctl" stats || fail "gazelle-ctl stats"
