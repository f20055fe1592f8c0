#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ctl_basic.sh - gazelle-ctl: its exit statuses, then a live engine's figures

. "${0%/*}/common.bash"
need python3
# shellcheck disable=SC2034 # for gz
GZ_RUN_ARGS=--relay # in the rings accept() is no call of the engine's
ECHO=$T/static/echo-musl
CTL=$BIN/gazelle-ctl
[[ -x $CTL ]] || skip "gazelle-ctl is not built"
[[ -x $ECHO ]] || skip "echo-musl is not built (make tests)"

# ends STATUS TEXT ARGUMENT... - Both outputs together hold TEXT
ends()
{
	local want=$1 text=$2 status=0 out
	shift 2
	out=$("$CTL" "$@" 2>&1) || status=$?
	[[ $status == "$want" ]] || fail "gazelle-ctl $*: ended with $status, not $want: $out"
	[[ $out == *"$text"* ]] || fail "gazelle-ctl $*: no \"$text\" in: $out"
}

# holds WHAT EXPRESSION COMMAND... - Python on j, the JSON output
holds()
{
	local what=$1 expression=$2
	shift 2
	"$@" >"$DIR/json" || fail "$what: gazelle-ctl ended with $?"
	python3 -c 'import json, sys
j = json.load(open(sys.argv[1]))
sys.exit(not eval(sys.argv[2]))' "$DIR/json" "$expression" ||
		fail "$what: not so: $expression: $(head -c 2000 "$DIR/json")"
}

without_engine()
{
	ends 0 Usage --help
	ends 0 Usage help
	ends 0 gazelle-ctl --version
	ends 0 Sockets help ss
	ends 2 sss sss
	ends 2 argument stats more
	ends 2 more help more
	ends 2 argument dispatch a b
	ends 2 name dispatch ../x
	ends 1 "not running" dispatch gz-none
	ends 2 name -e ../x stats
	ends 2 Try --no-such-option
	ends 1 "not running" -e "gz-none" stats
	ends 1 "not running" -e "gz-none" ss --json
}

scenario()
{
	local bytes=3000000
	without_engine
	start server sut "$ECHO" server "$SUT" 7007
	said server listening
	peer "$ECHO" client "$SUT" 7007 $bytes 3

	ends 0 "$SUT:7007" -e "$GZ_TEST_ID-e" ss
	holds "the listener" 'any(s["local"] == "'"$SUT"':7007" and s["peer"] == "0.0.0.0:*" and "listen" in s["state"].lower()
		for s in j)' "$CTL" -e "$GZ_TEST_ID-e" ss --json
	holds "sections" 'set(j) == {"engine", "port", "proto", "refused", "calls",
		"setsockopt", "getsockopt", "clients"}' \
		"$CTL" -e "$GZ_TEST_ID-e" --json stats
	holds "what was asked for" '(j["calls"]["listen"] == 1 and
		j["calls"].get("accept", 0) + j["calls"].get("accept4", 0) >= 3)' \
		"$CTL" -e "$GZ_TEST_ID-e" --json stats
	holds "the engine" 'j["engine"]["name"] == "'"$GZ_TEST_ID-e"'" and j["engine"]["pid"] > 1' \
		"$CTL" -e "$GZ_TEST_ID-e" --json
	holds "the port saw the traffic" \
		"min(j['port']['rx_bytes'], j['port']['tx_bytes']) >= 3 * $bytes" \
		"$CTL" -e "$GZ_TEST_ID-e" --json stats
	holds "TCP saw it" 'min(j["proto"]["tcp_rx"], j["proto"]["tcp_tx"]) > 100' \
		"$CTL" -e "$GZ_TEST_ID-e" --json stats
	holds "the client" 'any("echo" in c["program"] and c["sockets"] >= 1 for c in j["clients"])' \
		"$CTL" -e "$GZ_TEST_ID-e" --json stats
	holds "the client's bytes" \
		"any('echo' in c['program'] and min(c['rx_bytes'], c['tx_bytes']) >= 3 * $bytes
		for c in j['clients'])" \
		"$CTL" -e "$GZ_TEST_ID-e" --json stats
	ends 0 clients -e "$GZ_TEST_ID-e"
	[[ $("$CTL" -e "$GZ_TEST_ID-e" stats | grep -cE '^(engine|port|proto|refused|clients)$') == 5 ]] ||
		fail "not five tables"
	! "$CTL" -e "$GZ_TEST_ID-e" stats >/dev/full 2>/dev/null || fail "a full disk goes unnoticed"
	stop server
}

# There is no telling what the kernel's stack would answer
[[ ${VARIANTS:-gazelle} == *gazelle* ]] || skip "only for the engine"
VARIANTS=gazelle main
