#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# static_musl.sh - A static musl program as echo server and as client

. "${0%/*}/common.bash"
ECHO=$T/static/echo-musl
[[ -x $ECHO ]] || skip "echo-musl is not built (make tests)"

scenario()
{
	start server sut "$ECHO" server "$SUT" 7007
	said server listening
	peer "$ECHO" client "$SUT" 7007 1 1
	peer "$ECHO" client "$SUT" 7007 20000000 1
	peer "$ECHO" client "$SUT" 7007 200000 100
	sut "$ECHO" client "$SUT" 7007 200000 20
	stop server

	start kernel peer "$ECHO" server "$PEER" 7007
	said kernel listening
	sut "$ECHO" client "$PEER" 7007 20000000 1
	sut "$ECHO" client "$PEER" 7007 200000 100
	stop kernel
}

main
