#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# nginx.sh - nginx: two workers, sendfile, keepalive, reload under load

. "${0%/*}/common.bash"
need nginx curl

PORT=8080

configure()
{
	local part temp=
	for part in client_body proxy fastcgi uwsgi scgi; do
		temp+="${part}_temp_path $DIR/tmp/$part; "
	done
	mkdir "$DIR/tmp"
	cat >"$DIR/nginx.conf" <<-EOF
		daemon off;
		user nobody nogroup;
		worker_processes 2;
		pid $DIR/nginx.pid;
		error_log $WORK/nginx-error.log notice;
		events { worker_connections 512; }
		http {
			sendfile on;
			tcp_nopush on;
			keepalive_timeout 30;
			access_log off;
			$temp
			server {
				listen $SUT:$PORT;
				root $DIR/www;
				location = /status { return 200 "pid \$pid\n"; }
			}
		}
	EOF
}

get()
{
	peer curl -sS --fail --max-time 30 "$@"
}

# load N - Requests until $DIR/enough exists; failures to $WORK/loadN.log
load()
{
	local n=$1 rounds=0 base=http://$SUT:$PORT
	until [[ -e $DIR/enough ]]; do
		get -o "$DIR/load$n.1" -o "$DIR/load$n.2" -o "$DIR/load$n.3" \
			"$base/1024" "$base/102400" "$base/1048576" >>"$WORK/load$n.log" 2>&1 ||
			echo "round $rounds: curl ended with $?" >>"$WORK/load$n.log"
		cmp "$DIR/load$n.3" "$DIR/www/1048576" >>"$WORK/load$n.log" 2>&1 || :
		rounds=$((rounds + 1))
		echo "$rounds" >"$DIR/load$n.now"
		mv "$DIR/load$n.now" "$DIR/load$n.rounds"
	done
}

rounds()
{
	cat "$DIR/load$1.rounds" 2>/dev/null || echo 0
}

# another_round - Has each load done one since $before, and begun the next?
another_round()
{
	local n
	for n in 1 2 3 4 5 6; do
		(($(rounds $n) > before[n])) || return 1
	done
}

workers()
{
	pgrep -P "$(<"$DIR/nginx.pid")" | sort | tr '\n' ' '
}

reload()
{
	local before
	before=$(workers)
	sut nginx -c "$DIR/nginx.conf" -s reload 2>>"$WORK/reload.log" || fail "nginx -s reload"
	until_true 10 replaced "$before" || fail "reload brought no new workers"
}

replaced()
{
	local now
	now=$(workers)
	[[ -n $now && " $now" != *" ${1%% *} "* ]]
}

scenario()
{
	local size n connects pids=() before=() reloads total=0
	mkdir "$DIR/www"
	for size in 0 1 1024 10240 102400 1048576 8388608 67108864; do
		random $size "$DIR/www/$size"
	done
	configure
	start nginx sut nginx -c "$DIR/nginx.conf"
	up nginx $PORT

	for size in "$DIR"/www/*; do
		get -o "$DIR/got" "http://$SUT:$PORT/${size##*/}" || fail "GET /${size##*/}"
		[[ $(sum "$DIR/got") == "$(sum "$size")" ]] || fail "/${size##*/} came damaged"
	done
	get -o "$DIR/got" -r 1000000-8000000 "http://$SUT:$PORT/8388608"
	same "a range" "$DIR/got" <(head -c 8000001 "$DIR/www/8388608" | tail -c 7000001)

	connects=$(get -w '%{num_connects} ' -o /dev/null -o /dev/null -o /dev/null \
		"http://$SUT:$PORT/1024" "http://$SUT:$PORT/10240" "http://$SUT:$PORT/1")
	[[ $connects == "1 0 0 " ]] || fail "keepalive: connections per request: $connects"
	[[ $(get "http://$SUT:$PORT/status") == "pid "* ]] || fail "an answer from memory"
	[[ $(peer curl -s -o /dev/null -w '%{http_code}' "http://$SUT:$PORT/none") == 404 ]] ||
		fail "no 404 for what is not there"
	say "files, range and keepalive"

	for n in 1 2 3 4 5 6; do
		load $n &
		pids+=($!)
	done
	for reloads in 0 1 2 3; do
		((reloads == 0)) || reload
		for n in 1 2 3 4 5 6; do
			before[n]=$(rounds $n)
		done
		until_true 30 another_round || fail "the load came to a halt"
	done
	touch "$DIR/enough"
	wait "${pids[@]}"
	for n in 1 2 3 4 5 6; do
		[[ ! -s $WORK/load$n.log ]] || fail "requests failed across reloads"
		total=$((total + $(rounds $n)))
	done
	((total >= 20)) || fail "only $total rounds: that was no load"
	say "$total rounds of 3 requests across 3 reloads"
	! grep -E '\[(emerg|alert|crit)\]' "$WORK/nginx-error.log" || fail "nginx complained"
	stop nginx
}

main
