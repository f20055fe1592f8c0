#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# mqtt.sh - Mosquitto: publishers and subscribers on both sides

# shellcheck source=test/apps/common.bash
. "$(dirname "$0")/common.bash"
need mosquitto mosquitto_pub mosquitto_sub

# exchange NAME BROKER PORT SUBSCRIBER PUBLISHER - 200 messages in their order
exchange()
{
	local name=$1 broker=$2 port=$3 sub=$4 pub=$5
	start "$name" "$sub" stdbuf -oL mosquitto_sub -h "$broker" -p "$port" -t t/# -q 1 -C 200 -d
	said "$name" SUBACK
	seq 1 200 | "$pub" timeout 20 mosquitto_pub -h "$broker" -p "$port" -t t/x -q 1 -l
	until_true 15 gone "${PIDS[$name]}" || fail "$name: not all messages came"
	unset "PIDS[$name]"
	grep -E '^[0-9]+$' "$WORK/$name.log" >"$DIR/got" || :
	seq 1 200 >"$DIR/want"
	same "$name" "$DIR/want" "$DIR/got"
}

scenario()
{
	printf 'listener 1883 %s\nallow_anonymous true\n' $SUT >"$DIR/conf"
	start broker sut mosquitto -c "$DIR/conf"
	up broker 1883
	exchange both_outside $SUT 1883 peer peer
	exchange subscriber_inside $SUT 1883 sut peer
	stop broker

	printf 'listener 1884 %s\nallow_anonymous true\n' $PEER >"$DIR/conf"
	start other peer mosquitto -c "$DIR/conf"
	until_true 30 peer bash -c "exec 3<>/dev/tcp/$PEER/1884" 2>/dev/null
	exchange publisher_inside $PEER 1884 peer sut
	exchange both_inside $PEER 1884 sut sut
	stop other
}

main
