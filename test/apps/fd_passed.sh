#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# fd_passed.sh - A connected socket goes to another program, which may be of no engine

. "${0%/*}/common.bash"
PASS=$T/semantics/helper_pass
ECHO=$T/static/echo-musl
[[ -x $PASS && -x $ECHO ]] || skip "the helpers are not built (make tests)"

plain()
{
	in_ns sut "$@"
}

# passed NAME PEER-LINE TAKER GIVER - they run helper_pass
passed()
{
	local name=$1 want=$2
	start "$name" "$3" "$PASS" take "$DIR/$name.sock"
	said "$name" ready
	"$4" "$PASS" give "$DIR/$name.sock" $PEER 7100 || fail "$name: the giver failed"
	said "$name" "done"
	grep -q "$want" "$WORK/$name.log" || fail "$name: no '$want' in: $(cat "$WORK/$name.log")"
	until_true 5 gone "${PIDS[$name]}"
	wait "${PIDS[$name]}" || fail "$name: the taker failed: $(cat "$WORK/$name.log")"
	unset "PIDS[$name]"
}

scenario()
{
	start server peer "$ECHO" server $PEER 7100
	said server listening
	passed another-client "peer $PEER:7100" sut sut
	passed kernels-to-it "peer $PEER:7100" sut peer
	# To a program that is not served: its bytes flow, its names are AF_UNIX's.
	if [[ $VARIANT == kernel ]]; then
		passed outside "peer $PEER:7100" plain sut
	else
		passed outside "peer of family 1" plain sut
		within 5 no_sockets
	fi
	stop server
}

# The last close was seen, wherever the last one was.
no_sockets()
{
	[[ $(ctl e ss | grep -c "$PEER:7100") == 0 ]]
}

main
