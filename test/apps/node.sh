#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# node.sh - Node.js: HTTP with kept connections, servers and clients on both sides, a cluster

# shellcheck source=test/apps/common.bash
. "$(dirname "$0")/common.bash"
need node
NODE=$TEST_DIR/apps/node_http.js

# ask SIDE ADDRESS PORT REQUESTS PARALLEL [SERVERS] - by a client there
ask()
{
	local said
	said=$("$1" timeout 20 node "$NODE" client "${@:2:4}" 2>&1) ||
		fail "a client of $1 at $2 port $3: status $?: $said"
	[[ $said == "$4 requests, ${6:-1} servers, "* ]] || fail "$1 at $2: $said"
	say "$1 at $2 port $3: $said"
}

scenario()
{
	start server sut node "$NODE" server $SUT 8001
	start other peer node "$NODE" server $PEER 8002
	start cluster sut node "$NODE" server $SUT 8003 2
	said server listening
	said other listening
	said cluster listening
	ask peer $SUT 8001 300 20
	ask sut $PEER 8002 300 20
	ask sut $SUT 8001 300 20
	# each connection goes to a worker by SCM_RIGHTS
	ask peer $SUT 8003 100 10 2
	ask sut $SUT 8003 100 10 2
	stop cluster
	stop server
	stop other
}

main
