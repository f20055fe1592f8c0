#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# attach.sh - gazelle-run --attach: busy processes go on, their new sockets are the stack's

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

helper=$T/semantics/helper_transfer
busy=$T/semantics/helper_busy
echo=$T/static/echo-musl

# attach NAME PID [OPTION...] - which must say nothing
attach() {
	local name=$1 pid=$2 said
	shift 2
	said=$(in_ns "${NS_OF[$name]}" timeout 20 "$BIN/gazelle-run" --config "${CONFIG_OF[$name]}" \
		--attach "$pid" "$@" 2>&1) || fail "attach to $pid: status $?: $said"
	assert_eq "$said" "" "what gazelle-run prints"
}

# refuses PID TEXT [OPTION...] - attaching fails with 125 and says TEXT
refuses() {
	local pid=$1 text=$2 said status=0
	shift 2
	said=$(in_ns stack timeout 20 "$BIN/gazelle-run" --config "$(config_of e)" \
		--attach "$pid" "$@" 2>&1) || status=$?
	assert_eq "$status" 125 "status of attach to $pid, which says: $said"
	assert_match "$said" "$text"
}

wire
start_wire_engine e
background echo in_ns peer "$helper" echo 10.1.0.1 7000
wait_line echo ready

# The namespace has an interface of the kernel's to the same network, so that
# the server can be reached before, too.
veth stack k1 10.2.0.2/24 peer k2 10.2.0.1/24
in_ns stack ip route add 10.1.0.1 via 10.2.0.1

# A process with twenty threads, under a load of signals, clones and forks.  The
# refused second attach stops it as well.
for round in 1 2; do
	background busy in_ns stack "$busy" 10.1.0.1 7000
	target=$PID
	wait_line busy "socket: kernel"
	attach e "$target"
	wait_line busy "socket: stack"
	for _ in 1 2 3; do
		refuses "$target" "serves it already"
	done
	assert_eq "$(grep -c . "$WORK/busy")" 3 "lines of helper_busy: $(cat "$WORK/busy")"
	assert_match "$(ctl e stats)" "helper_busy" "the client's name"
	kill -TERM "$target"
	finish "$target" || fail "helper_busy, round $round: $(cat "$WORK/busy")"
done

# Static, another libc.  It keeps its kernel listener; its client goes to the stack.
background static in_ns stack "$echo" server 127.0.0.1 7001
target=$PID
wait_line static listening
attach e "$target"
in_ns stack "$echo" client 127.0.0.1 7001 100000 2
assert_eq "$(in_ns stack ss -Htln 'sport = 7001' | wc -l)" 1 "kernel listeners that stay"
end "$target"

# Children that come later are served, with --wait gazelle-run ends with it.
background shell in_ns stack bash -c "trap 'exec \"$busy\" 10.1.0.1 7000' USR1
	echo waits; while :; do sleep 0.1; done"
target=$PID
wait_line shell waits
background waiter in_ns stack "$BIN/gazelle-run" --config "$(config_of e)" --attach "$target" --wait
waiter=$PID
client() { ctl e stats --json | grep -q "\"pid\": *$target\b"; }
within 10 client
kill -USR1 "$target"
wait_line shell "socket: stack"
refute gone "$waiter"
kill -TERM "$target"
finish "$target" || fail "helper_busy after exec: $(cat "$WORK/shell")"
finish "$waiter" 5 || fail "--wait: status $?"
assert_eq "$(cat "$WORK/waiter")" "" "what --wait prints"

# A stopped process stays stopped, and is attached all the same.
background stopped in_ns stack "$busy" 10.1.0.1 7000
target=$PID
wait_line stopped "socket: kernel"
kill -STOP "$target"
attach e "$target"
sleep 0.3
assert_match "$(ps -o stat= -p "$target")" "^T" "state of a process that was stopped"
kill -CONT "$target"
wait_line stopped "socket: stack"
kill -TERM "$target"
finish "$target" || fail "helper_busy, which was stopped: $(cat "$WORK/stopped")"

# Without CAP_SYS_ADMIN the process gets no_new_privs; who attaches may be its user.
chmod a+x "$WORK" "${WORK%/*}" && chmod 666 "$WORK/$GZ_TEST_ID-e.sock"
background poor in_ns stack setpriv --reuid 65534 --regid 65534 --clear-groups \
	--bounding-set -all "$busy" 10.1.0.1 7000
target=$PID
wait_line poor "socket: kernel"
said=$(in_ns stack setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all \
	"$BIN/gazelle-run" --config "$(config_of e)" --attach "$target" 2>&1) ||
	fail "attach as the process's user: $said"
wait_line poor "socket: stack"
assert_match "$(grep NoNewPrivs "/proc/$target/status")" "1$"
kill -TERM "$target"
finish "$target" || fail "helper_busy without rights: $(cat "$WORK/poor")"

# A plain start
within 5 in_ns stack "$BIN/gazelle-run" --config "$(config_of e)" --attach -- \
	"$helper" ask 10.1.0.1 7000
assert_ne "$(counter e notifications)" 0

stop_engine e
