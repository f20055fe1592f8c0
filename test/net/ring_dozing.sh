#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ring_dozing.sh - Threads that wait for another program's bytes are woken by that program
#
# More threads than processors: most of them sleep.  Whom the worker wakes it sends a token.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"
GZ_RUN_ARGS=--ring
wire
start_wire_engine e
dozing=$BUILD/test/net/dozing count=2000 messages=$((2000 * 2 * 6))

# doze HOW PORT [PROGRAM...]: without one server and client are two clients of the engine
doze() {
	local server tokens how=$1 port=$2
	shift 2
	tokens=$(counter e ring_tokens)
	if [ $# = 0 ]; then
		background "server-$port" gz e "$dozing" serve 10.1.0.2 "$port" "$how" $count
		server=$PID
		wait_line "server-$port" listens
		gz e "$dozing" call 10.1.0.2 "$port" "$how" $count || fail "$how, the client"
		finish "$server" || fail "$how, the server"
	else
		gz e "$@" || fail "$how, in one client"
	fi
	tokens=$(($(counter e ring_tokens) - tokens))
	[ "$tokens" -lt $((messages / 5)) ] || fail "$how: $tokens tokens for $messages messages"
}

port=7100
for how in recv poll epoll; do
	doze $how $((port += 1))
	doze $how $((port += 1)) sh -c "$dozing serve 10.1.0.2 $port $how $count >$WORK/one-$port &
		until [ -s $WORK/one-$port ]; do sleep 0.01; done
		$dozing call 10.1.0.2 $port $how $count && wait \$!"
done
stop_engine e
