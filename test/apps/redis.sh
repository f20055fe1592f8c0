#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# redis.sh - redis-server: bulk load, same data as on the kernel, fork, restart, its own threads

. "${0%/*}/common.bash"
need redis-server redis-cli redis-benchmark

KEYS=200000

cli()
{
	peer redis-cli -h "$SUT" "$@"
}

answers()
{
	alive "${PIDS[redis]}" || fail "redis-server ended"
	[[ $(cli ping 2>/dev/null) == PONG ]]
}

# redis OPTION... - Start it
redis()
{
	local debug=()
	# From 7 on, DEBUG must be allowed
	if redis-server --version | grep -qE 'v=([7-9]|[1-9][0-9])'; then
		debug=(--enable-debug-command yes)
	fi
	start redis sut redis-server --bind "$SUT" --protected-mode no --save '' \
		--dir "$DIR" "${debug[@]}" "$@"
	until_true 15 answers || fail "redis-server does not answer"
}

# Keys of several types, as redis's own protocol
bulk()
{
	awk -v n=$KEYS '
	function word(s) { printf "$%d\r\n%s\r\n", length(s), s }
	BEGIN {
		for (i = 0; i < n; i++) {
			if (i % 10 == 0) {
				printf "*4\r\n"; word("HSET"); word("hash:" i % 1000); word("f" i)
			} else {
				printf "*3\r\n"; word(i % 10 == 1 ? "RPUSH" : "SET")
				word((i % 10 == 1 ? "list:" i % 500 : "key:" i))
			}
			word(sprintf("%0*d", i % 200 + 1, i))
		}
	}'
}

saved()
{
	local info
	info=$(cli info persistence)
	[[ $info == *rdb_bgsave_in_progress:0* ]] || return 1
	[[ $info == *rdb_last_bgsave_status:ok* && -s $DIR/dump.rdb ]] ||
		fail "BGSAVE: $(grep rdb_ <<<"$info" | tr -d '\r' | tr '\n' ' ')"
}

benchmark()
{
	local out
	out=$("$@" -h "$SUT" -q 2>&1) || fail "redis-benchmark: $out"
	! grep -iE 'error|refused|reset' <<<"$out" || fail "redis-benchmark: $out"
	grep -q 'requests per second' <<<"$out" || fail "redis-benchmark without a result: $out"
}

scenario()
{
	local digest reply again
	redis
	bulk >"$DIR/bulk"
	reply=$(cli --pipe <"$DIR/bulk")
	[[ $reply == *"errors: 0, replies: $KEYS"* ]] || fail "bulk load: $reply"
	digest=$(cli debug digest)
	[[ $digest =~ ^[0-9a-f]{40}$ && $digest != 0000000000* ]] || fail "DEBUG DIGEST: $digest"
	if [[ $VARIANT == kernel ]]; then
		echo "$digest" >"$KEEP/digest"
	elif [[ -e $KEEP/digest ]]; then
		[[ $digest == "$(<"$KEEP/digest")" ]] || fail "not the data that the kernel gave"
	fi

	# A forked child of a busy server, which has all its sockets; nobody notices
	benchmark peer redis-benchmark -t get -n 20000 -c 20 &
	local load=$!
	cli bgsave >/dev/null
	[[ $(cli get key:2) == 002 ]] || fail "no answer during BGSAVE"
	until_true 15 saved || fail "BGSAVE does not end"
	wait "$load" || fail "the load during BGSAVE"
	say "loaded and saved"

	# On the same port, at once: connections may linger in TIME_WAIT
	stop redis
	redis
	again=$(cli debug digest)
	[[ $again == "$digest" ]] || fail "another digest after the restart"

	benchmark peer redis-benchmark -t set,get,incr,lpush,lrange_100,mset -n 5000 -c 50
	benchmark peer redis-benchmark -t set,get -n 50000 -c 20 -P 16 -d 512
	benchmark peer redis-benchmark -t set,get -n 200 -c 10 -d 262144
	say "benchmarked from the peer"

	# Client and server on one stack
	[[ $(sut redis-cli -h "$SUT" set both ends) == OK ]] || fail "SET from the same stack"
	[[ $(sut redis-cli -h "$SUT" get both) == ends ]] || fail "GET from the same stack"
	benchmark sut redis-benchmark -t set,get -n 5000 -c 20
	answers || fail "redis-server is gone"
	stop redis

	# With threads that read and write for it, which spin: not for long
	redis --io-threads 2 --io-threads-do-reads yes
	benchmark peer redis-benchmark -t set,get -n 1000 -c 20
	stop redis
	protected
}

# Without bind and password it answers its own host only, by what getpeername() says.
protected()
{
	local host
	start redis sut redis-server --port 6390 --save '' --dir "$DIR"
	said redis "Ready to accept connections"
	for host in 127.0.0.1 ::1; do
		[[ $(sut redis-cli -h $host -p 6390 ping) == PONG ]] || fail "refused at $host"
	done
	[[ $(in_ns sut redis-cli -h 127.0.0.1 -p 6390 ping) == PONG ]] ||
		fail "a client of the host's own stack is refused"
	[[ $(peer redis-cli -h "$SUT" -p 6390 ping 2>&1) == *DENIED* ]] || fail "the peer is not refused"
	say "protected mode"
}

main
