#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# inetd.sh - A child per connection that has it as stdin and stdout

. "${0%/*}/common.bash"
need socat
ECHO=$T/static/echo-musl
[[ -x $ECHO ]] || skip "echo-musl is not built (make tests)"

scenario()
{
	# socat copies between the connection and its child
	start socat sut socat -t 20 "TCP-LISTEN:7010,bind=$SUT,reuseaddr,fork,backlog=64" EXEC:cat
	up socat 7010
	peer "$ECHO" client "$SUT" 7010 200000 30
	stop socat

	# the child has the connection itself, across exec
	start nofork sut socat "TCP-LISTEN:7011,bind=$SUT,reuseaddr,fork,backlog=64" EXEC:cat,nofork
	up nofork 7011
	peer "$ECHO" client "$SUT" 7011 200000 30
	stop nofork
}

main
