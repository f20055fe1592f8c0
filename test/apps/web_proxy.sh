#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# web_proxy.sh - lighttpd, tinyproxy before it, wget and ab as their clients
#
# tinyproxy has a thread for each connection, lighttpd runs programs with sockets beside it.

# shellcheck source=test/apps/common.bash
. "$(dirname "$0")/common.bash"
need lighttpd tinyproxy wget ab

# web NAME SIDE ADDRESS PORT - lighttpd with $DIR/www there
web()
{
	cat >"$DIR/$1.conf" <<-CONF
		server.modules = ( "mod_access", "mod_cgi" )
		server.document-root = "$DIR/www"
		server.bind = "$3"
		server.port = $4
		server.errorlog = "$WORK/$1-error.log"
		server.upload-dirs = ( "$DIR" )
		cgi.assign = ( ".sh" => "/bin/sh" )
	CONF
	start "$1" "$2" lighttpd -D -f "$DIR/$1.conf"
}

# get SIDE FILE WGET-ARGUMENT...
get()
{
	local side=$1 file=$2
	shift 2
	"$side" env -u http_proxy wget -q --tries=1 --timeout=20 -O "$file" "$@"
}

# through PROXY SIDE FILE URL
through()
{
	"$2" env http_proxy="http://$1/" wget -q --tries=1 --timeout=20 -O "$3" "$4"
}

# tested SIDE URL - ab's 200 requests by 20 connections, kept and not
tested()
{
	local keep
	for keep in -k ""; do
		# shellcheck disable=SC2086
		"$1" ab -q $keep -n 200 -c 20 "$2" >"$WORK/ab.log" 2>&1 || fail "ab $keep $2"
		grep -q '^Complete requests: *200$' "$WORK/ab.log" || fail "ab $keep $2 is not complete"
		grep -q '^Failed requests: *0$' "$WORK/ab.log" || fail "ab $keep $2: requests failed"
	done
}

scenario()
{
	local size
	mkdir "$DIR/www"
	for size in 1000 300000 8000000; do
		random $size "$DIR/www/$size"
	done
	cat >"$DIR/www/sum.sh" <<-'CGI'
		printf 'Content-Type: text/plain\n\n%s ' "$REMOTE_ADDR"
		sha256sum
	CGI
	chmod -R a+rX "$DIR/www"
	web near sut "$SUT" 8001
	web far peer "$PEER" 8002
	cat >"$DIR/proxy.conf" <<-CONF
		Port 8888
		Listen $SUT
		Timeout 30
		MaxClients 100
		LogFile "$WORK/tinyproxy.log"
	CONF
	start proxy sut tinyproxy -d -c "$DIR/proxy.conf"
	up near 8001
	up proxy 8888
	until_true 10 connects "$PEER" 8002 || fail "the other lighttpd does not listen"

	for size in 1000 300000 8000000; do
		get peer "$DIR/got" "http://$SUT:8001/$size"
		same "/$size of lighttpd" "$DIR/got" "$DIR/www/$size"
		get sut "$DIR/got" "http://$PEER:8002/$size"
		same "/$size by wget" "$DIR/got" "$DIR/www/$size"
		through "$SUT:8888" peer "$DIR/got" "http://$PEER:8002/$size"
		same "/$size by tinyproxy, from the kernel" "$DIR/got" "$DIR/www/$size"
		through "$SUT:8888" sut "$DIR/got" "http://$SUT:8001/$size"
		same "/$size by tinyproxy, all on one stack" "$DIR/got" "$DIR/www/$size"
	done
	# A download that was cut goes on, by the range that is missing
	head -c 1234567 "$DIR/www/8000000" >"$DIR/8000000"
	peer wget -q --tries=1 --timeout=20 -c -P "$DIR" "http://$SUT:8001/8000000"
	same "a download that goes on" "$DIR/8000000" "$DIR/www/8000000"
	# An upload to a program of the server's
	get peer "$DIR/got" --post-file="$DIR/www/8000000" "http://$SUT:8001/sum.sh"
	[[ $(<"$DIR/got") == "$PEER $(sum "$DIR/www/8000000")  -" ]] || fail "upload: $(<"$DIR/got")"
	get sut "$DIR/got" --post-file="$DIR/www/300000" "http://$PEER:8002/sum.sh"
	[[ $(<"$DIR/got") == "$SUT $(sum "$DIR/www/300000")  -" ]] || fail "upload: $(<"$DIR/got")"

	tested peer "http://$SUT:8001/1000"
	tested sut "http://$PEER:8002/1000"

	stop proxy
	stop near
	stop far
}

main
