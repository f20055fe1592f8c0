#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# tracers.sh - strace -f and gdb: around gazelle-run, under it, and on a program of it

. "${0%/*}/common.bash"
need strace gdb curl python3
ECHO=$T/static/echo-musl

# fetched NAME COMMAND... - COMMAND downloads to $DIR/NAME
fetched()
{
	local name=$1
	shift
	"$@" || fail "$name: ended with $?"
	same "$name" "$DIR/$name" "$DIR/file"
}

scenario()
{
	random 1000000 "$DIR/file"
	start server peer python3 -m http.server --bind $PEER --directory "$DIR" 8000
	until_true 10 connects $PEER 8000 || fail "the server does not listen"
	local url=http://$PEER:8000/file

	# --- strace
	fetched under sut strace -f -o "$DIR/under.log" curl -sS -o "$DIR/under" "$url"
	grep -q "connect(.*sin_port=htons(8000), sin_addr=inet_addr(\"$PEER\")" "$DIR/under.log" ||
		fail "strace under it saw no connect()"
	fetched around strace -f -o "$DIR/around.log" "${SUT_CMD[@]}" curl -sS -o "$DIR/around" "$url"
	grep -q "connect(.*sin_port=htons(8000), sin_addr=inet_addr(\"$PEER\")" "$DIR/around.log" ||
		fail "strace around it saw no connect()"

	# --- a server that is traced while it serves
	start echo sut "$ECHO" server $SUT 7200
	said echo listening
	local pid
	pid=$(program echo)
	start strace strace -f -p "$pid" -o "$DIR/attached.log"
	until_true 10 grep -q '^TracerPid:.[1-9]' "/proc/$pid/status" || fail "strace does not attach"
	peer "$ECHO" client $SUT 7200 100000 5
	grep -q accept "$DIR/attached.log" || fail "strace on the server saw no accept()"
	stop strace
	peer "$ECHO" client $SUT 7200 100000 5

	# --- gdb on it: a backtrace of where it waits, and it goes on
	gdb -q -nx -batch -p "$pid" -ex 'info registers rip' -ex 'call (int)getpid()' -ex detach \
		>"$DIR/gdb.log" 2>&1 || fail "gdb on the server: $(cat "$DIR/gdb.log")"
	grep -q "^rip " "$DIR/gdb.log" || fail "gdb saw no registers: $(cat "$DIR/gdb.log")"
	peer "$ECHO" client $SUT 7200 100000 5
	stop echo

	# --- gdb around a program: a breakpoint in a call that traps
	sut gdb -q -nx -batch -ex 'set breakpoint pending on' -ex 'break connect' -ex run -ex bt \
		-ex 'delete' -ex continue --args curl -4 -sS -o "$DIR/broken" "$url" \
		>"$DIR/gdb.log" 2>&1 </dev/null || fail "gdb: $(cat "$DIR/gdb.log")"
	grep -q "Breakpoint 1, .*connect" "$DIR/gdb.log" || fail "no stop: $(cat "$DIR/gdb.log")"
	same "under gdb" "$DIR/broken" "$DIR/file"
	stop server
}

# The program itself, not gazelle-run
SUT_CMD=(ip netns exec "$GZ_TEST_ID-sut")
if [[ ${VARIANT:-} == gazelle ]]; then
	SUT_CMD+=("$BIN/gazelle-run" --config "$WORK/e.yaml" --)
fi
main
