#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# python.sh - Python: asyncio, threads, processes with one listener, sockets sent to others

# shellcheck source=test/apps/common.bash
. "$(dirname "$0")/common.bash"
need python3
PY=(python3 "$TEST_DIR/apps/python_servers.py")

# PORT of each kind, and how many processes must have answered
declare -A PORT=([asyncio]=7001 [threads]=7002 [forked]=7003 [epoll]=7004 [spawned]=7005)
declare -A LEAST=([forked]=2 [epoll]=2 [spawned]=2)

# ask SIDE ADDRESS KIND
ask()
{
	local said
	said=$("$1" timeout 40 "${PY[@]}" ask "$2" "${PORT[$3]}" "${LEAST[$3]:-1}" 2>&1) ||
		fail "$1 asked $3 at $2: $said"
	say "$3, asked by $1: $said"
}

scenario()
{
	local kind
	start outside peer "${PY[@]}" asyncio $PEER "${PORT[asyncio]}"
	for kind in "${!PORT[@]}"; do
		start "$kind" sut "${PY[@]}" "$kind" $SUT "${PORT[$kind]}"
	done
	for kind in outside "${!PORT[@]}"; do
		said "$kind" listening
	done
	for kind in "${!PORT[@]}"; do
		ask peer $SUT "$kind"
	done
	ask sut $PEER asyncio
	ask sut $SUT forked
	peer "${PY[@]}" datagrams $SUT "${PORT[asyncio]}"
	sut "${PY[@]}" datagrams $PEER "${PORT[asyncio]}"
	for kind in outside "${!PORT[@]}"; do
		stop "$kind"
	done
}

main
