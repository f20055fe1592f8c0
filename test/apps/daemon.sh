#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# daemon.sh - A server that forks into the background goes on being served

. "${0%/*}/common.bash"
need redis-server redis-cli

cli()
{
	peer timeout 5 redis-cli -h "$SUT" "$@"
}

answers()
{
	[[ $(cli ping 2>/dev/null) == PONG ]]
}

scenario()
{
	local pid status=0
	# The command returns although its grandchild lives
	sut timeout 15 redis-server --bind "$SUT" --protected-mode no --save '' --dir "$DIR" \
		--daemonize yes --pidfile "$DIR/redis.pid" --logfile "$WORK/redis.log" || status=$?
	[[ $status == 0 ]] || fail "redis-server --daemonize yes ended with $status"
	until_true 15 answers || fail "the daemon does not answer"
	pid=$(<"$DIR/redis.pid")
	alive "$pid" || fail "there is no process $pid"
	[[ $(cut -d' ' -f6 "/proc/$pid/stat") == "$pid" ]] || fail "not a session of its own"
	[[ $(cli set key value) == OK && $(cli get key) == value ]] || fail "SET, GET"
	cli shutdown nosave || :
	until_true 10 gone "$pid" || fail "SHUTDOWN does not end it"
	! answers || fail "ended, and still answers"
}

main
