#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# haproxy.sh - HAProxy: TCP and HTTP, servers on both stacks, checks, reload under load
#
# A reload executes the master anew, whose new worker gets the listeners from
# the old one by SCM_RIGHTS.

# shellcheck source=test/apps/common.bash
. "$(dirname "$0")/common.bash"
need haproxy nginx curl socat

# web NAME SIDE ADDRESS PORT - A server there that says NAME in a header
web()
{
	local part temp=
	mkdir "$DIR/$1"
	for part in client_body proxy fastcgi uwsgi scgi; do
		temp+="${part}_temp_path $DIR/$1/$part; "
	done
	cat >"$DIR/$1/conf" <<-CONF
		daemon off;
		master_process off;
		pid $DIR/$1/pid;
		error_log $WORK/$1-error.log;
		events { }
		http {
			access_log off;
			$temp
			server {
				listen $3:$4;
				root $DIR/www;
				add_header Served-By $1;
			}
		}
	CONF
	start "$1" "$2" nginx -c "$DIR/$1/conf"
}

configure()
{
	cat >"$DIR/haproxy.cfg" <<-CONF
		global
			stats socket $DIR/admin level admin
			log stderr local0 notice
		defaults
			timeout connect 5s
			timeout client 30s
			timeout server 30s
			option redispatch
		frontend http
			mode http
			bind $SUT:8080
			http-response set-header Proxied-By haproxy
			default_backend both
		backend both
			mode http
			balance roundrobin
			server far $PEER:8001 check inter 200
			server near $SUT:8002 check inter 200
		listen tcp
			mode tcp
			bind $SUT:8081
			server far $PEER:8001
	CONF
}

get()
{
	peer curl -sS --fail --max-time 20 "$@"
}

# served_by URL - Who answers
served_by()
{
	get -o /dev/null -D - "$1" | tr -d '\r' | sed -n 's/^Served-By: //ip'
}

# status SERVER - UP or DOWN, as HAProxy sees it
status()
{
	echo "show stat" | socat -t 5 - "UNIX-CONNECT:$DIR/admin" |
		awk -F, -v s="$1" '$1 == "both" && $2 == s { print $18 }'
}

is()
{
	[[ $(status "$1") == "$2" ]]
}

# load N - Requests until $DIR/enough exists; what failed goes to $WORK/loadN.log
load()
{
	local n=$1 rounds=0
	while [[ -d $DIR && ! -e $DIR/enough ]]; do # it is removed when the test fails
		get -o "$DIR/load$n.1" -o "$DIR/load$n.2" "http://$SUT:8080/300000" \
			"http://$SUT:8081/300000" >>"$WORK/load$n.log" 2>&1 ||
			echo "round $rounds: curl ended with $?" >>"$WORK/load$n.log"
		cmp "$DIR/load$n.1" "$DIR/www/300000" >>"$WORK/load$n.log" 2>&1 || :
		cmp "$DIR/load$n.2" "$DIR/www/300000" >>"$WORK/load$n.log" 2>&1 || :
		rounds=$((rounds + 1))
	done
	echo "$rounds" >"$DIR/load$n.rounds"
}

worker()
{
	echo "show info" | socat -t 5 - "UNIX-CONNECT:$DIR/admin" | sed -n 's/^Pid: //p'
}

# heeds PID SIGNAL - Does it have a handler for it?
heeds()
{
	local caught
	caught=$(sed -n 's/^SigCgt:\t//p' "/proc/$1/status")
	((0x$caught >> ($2 - 1) & 1))
}

# Until it has seen its new worker off, and executed itself once more, the master ignores
# the signal: the kernel drops one that comes before that.
reload()
{
	local before
	until_true 10 heeds "$(<"$DIR/pid")" 12 || fail "the master ignores SIGUSR2"
	before=$(worker)
	kill -USR2 "$(<"$DIR/pid")"
	until_true 10 replaced "$before" || fail "reload brought no new worker"
}

replaced()
{
	local now
	now=$(worker 2>/dev/null)
	[[ -n $now && $now != "$1" ]]
}

scenario()
{
	local n size pids=() rounds=0
	mkdir "$DIR/www"
	for size in 0 1000 300000 8000000; do
		random $size "$DIR/www/$size"
	done
	web far peer $PEER 8001
	web near sut $SUT 8002
	configure
	start haproxy sut haproxy -W -f "$DIR/haproxy.cfg" -p "$DIR/pid"
	up haproxy 8080
	until_true 15 is near UP || fail "near: $(status near)"
	until_true 15 is far UP || fail "far: $(status far)"

	for size in 0 1000 300000 8000000; do
		for n in 8080 8081 8080; do
			get -o "$DIR/got" "http://$SUT:$n/$size"
			same "/$size by port $n" "$DIR/got" "$DIR/www/$size"
		done
	done
	for n in 1 2 3 4; do
		served_by "http://$SUT:8080/0"
	done >"$DIR/names"
	[[ $(sort "$DIR/names" | uniq -c | tr -s ' \n' ' ') == " 2 far 2 near " ]] ||
		fail "not both in turn: $(tr '\n' ' ' <"$DIR/names")"
	sut curl -sS --fail -o "$DIR/got" "http://$SUT:8080/8000000"
	same "asked on the same stack" "$DIR/got" "$DIR/www/8000000"

	for n in 1 2 3 4; do
		load $n &
		pids+=($!)
	done
	reload
	reload
	touch "$DIR/enough"
	wait "${pids[@]}"
	for n in 1 2 3 4; do
		[[ ! -s $WORK/load$n.log ]] || fail "requests failed across reloads"
		rounds=$((rounds + $(<"$DIR/load$n.rounds")))
	done
	((rounds >= 8)) || fail "only $rounds rounds: that was no load"
	say "$rounds rounds of 2 requests across 2 reloads"

	stop near
	until_true 15 is near DOWN || fail "near ended, and is $(status near)"
	[[ $(served_by "http://$SUT:8080/0")$(served_by "http://$SUT:8080/0") == farfar ]] ||
		fail "a server that is down was asked"
	stop far
	until_true 15 is far DOWN || fail "far ended, and is $(status far)"
	[[ $(peer curl -s -o /dev/null -w '%{http_code}' "http://$SUT:8080/0") == 503 ]] ||
		fail "no 503 without servers"
	stop haproxy
}

main
