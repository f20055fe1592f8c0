#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# curl.sh - curl on the stack: download, upload, parallel, ranges, and its errors

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

# ranges SIDE ADDRESS - what curl there gets of /file in parts, and goes on with after a cut
ranges()
{
	local side=$1 url="http://$2:8090/file?n=3000000" part parts=()
	for part in 0-0 1-999999 1000000-1999999 2000000-; do
		"$side" curl -sS --fail --max-time 20 -r "$part" -o "$DIR/part" "$url"
		cat "$DIR/part"
	done >"$DIR/joined"
	same "parts" "$DIR/joined" "$DIR/file"
	head -c 1234567 "$DIR/file" >"$DIR/resumed"
	"$side" curl -sS --fail --max-time 20 -C - -o "$DIR/resumed" "$url"
	same "a download that goes on" "$DIR/resumed" "$DIR/file"
	# Four at once, each into its place
	for part in 0 1 2 3; do
		"$side" curl -sS --fail --max-time 20 -r "$((part * 750000))-$((part * 750000 + 749999))" \
			-o "$DIR/at$part" "$url" &
		parts+=($!)
	done
	for part in "${parts[@]}"; do
		wait "$part" || fail "a part of four"
	done
	cat "$DIR"/at[0-3] >"$DIR/joined"
	same "four parts at once" "$DIR/joined" "$DIR/file"
	[[ $("$side" curl -sS --max-time 20 -o /dev/null -w '%{http_code}' -r 3000000- "$url") == 416 ]] ||
		fail "a range beyond the end"
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

	peer curl -sS -o "$DIR/file" "http://$PEER:8090/data?n=3000000"
	ranges sut "$PEER"
	start own sut "$GOSERVER" server "$SUT:8090"
	said own listening
	ranges peer "$SUT"
	stop own

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
