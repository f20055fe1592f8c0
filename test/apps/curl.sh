#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# curl.sh - curl on the stack: download, upload, parallel, and its errors

. "${0%/*}/common.bash"
need curl socat
GOSERVER=$T/static/goserver-go
[[ -x $GOSERVER ]] || skip "goserver-go is not built (make tests)"

get()
{
	sut curl -sS --fail --max-time 20 "$@"
}

# ends STATUS WHAT CURL-ARGUMENT...
ends()
{
	local want=$1 what=$2 status=0
	shift 2
	sut curl -sS -o /dev/null "$@" 2>"$WORK/curl.log" || status=$?
	[[ $status == "$want" ]] || fail "$what: curl ended with $status, expected $want"
}

scenario()
{
	local n urls=() got
	start server peer "$GOSERVER" server "$PEER:8090"
	said server listening
	start mute peer socat "TCP-LISTEN:8091,bind=$PEER,reuseaddr,fork" 'EXEC:sleep 30'
	until_true 10 connects "$PEER" 8091 || fail "socat does not listen"

	[[ $(get "http://$PEER:8090/hello") == hello ]] || fail "GET /hello"
	peer curl -sS -o "$DIR/want" "http://$PEER:8090/data?n=20000000"
	get -o "$DIR/got" "http://$PEER:8090/data?n=20000000&chunked=1"
	same "a download" "$DIR/got" "$DIR/want"
	got=$(get -T "$DIR/want" "http://$PEER:8090/sum")
	[[ $got == "$(sum "$DIR/want")" ]] || fail "an upload: digest \"$got\""
	got=$(get "http://$PEER:8090/peer")
	[[ $got == "$SUT":* ]] || fail "the server sees the client as $got"

	# 20 at once in one process
	for n in {1..20}; do
		urls+=(-o "$DIR/p$n" "http://$PEER:8090/data?n=${n}0001")
	done
	get --no-progress-meter --parallel --parallel-immediate "${urls[@]}"
	for n in {1..20}; do
		[[ $(stat -c %s "$DIR/p$n") == "${n}0001" ]] || fail "parallel download $n"
	done

	ends 7 "a closed port" "http://$PEER:9/"
	ends 28 "a mute server" --max-time 1 "http://$PEER:8091/"
	stop mute
	stop server
}

main
