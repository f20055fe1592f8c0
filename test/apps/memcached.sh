#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# memcached.sh - memcached: four threads, 1000 values up to 500 KB by 8 clients

. "${0%/*}/common.bash"
need memcached python3

PORT=11211

client()
{
	"$@" python3 "$TEST_DIR/apps/memcached_client.py" "$SUT" $PORT
}

scenario()
{
	local out
	start memcached sut memcached -u nobody -t 4 -m 128 -U 0 -l "$SUT" -p $PORT
	up memcached $PORT
	out=$(client peer) || fail "$out"
	out=$(client sut) || fail "from the same stack: $out"
	stop memcached
}

main
