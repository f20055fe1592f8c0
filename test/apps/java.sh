#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# java.sh - Java: selectors, threads, asynchronous channels, HTTP; close() under who waits
#
# Its sockets are IPv6 ones with mapped addresses, but for one client.

# shellcheck source=test/apps/common.bash
. "$(dirname "$0")/common.bash"
need java javac
JAVA=(java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx128m)

# ask SIDE ADDRESS OPTION...
ask()
{
	local said
	said=$("$1" timeout 40 "${JAVA[@]}" "${@:3}" -cp "$KEEP/classes" Nio ask "$2" 7000 2>&1) ||
		fail "$1 at $2: $said"
	[[ $said == "all answers came" ]] || fail "$1 at $2: $said"
	say "$1 at $2: $said"
}

scenario()
{
	[[ -d $KEEP/classes ]] || javac -d "$KEEP/classes" "$TEST_DIR/apps/Nio.java"
	start server sut "${JAVA[@]}" -cp "$KEEP/classes" Nio server $SUT 7000
	start other peer "${JAVA[@]}" -cp "$KEEP/classes" Nio server $PEER 7000
	said server listening
	said other listening
	ask peer $SUT
	ask sut $PEER -Djava.net.preferIPv4Stack=true
	ask sut $SUT
	stop server
	stop other
}

main
