#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# static_go.sh - A static Go program as web server and as client

. "${0%/*}/common.bash"
need curl
GOSERVER=$T/static/goserver-go
[[ -x $GOSERVER ]] || skip "goserver-go is not built (make tests)"

scenario()
{
	local from
	start server sut "$GOSERVER" server "$SUT:8090"
	said server listening
	peer "$GOSERVER" client "$SUT:8090"
	sut "$GOSERVER" client "$SUT:8090"
	from=$(peer curl -sS --fail "http://$SUT:8090/peer")
	[[ $from == "$PEER":* ]] || fail "the server sees the client as $from"
	stop server

	start kernel peer "$GOSERVER" server "$PEER:8090"
	said kernel listening
	sut "$GOSERVER" client "$PEER:8090"
	stop kernel
}

main
