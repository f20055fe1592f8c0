#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# attach_adopts.sh - gazelle-run --attach PID --adopt-listeners: listeners move to the stack

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

helper=$T/semantics/helper_transfer
echo=$T/static/echo-musl
listeners=$T/semantics/helper_listeners

# adopt STATUS PID - what it prints is $said
adopt() {
	local status=0
	said=$(in_ns stack timeout 20 "$BIN/gazelle-run" --config "$(config_of e)" \
		--attach "$2" --adopt-listeners 2>&1) || status=$?
	assert_eq "$status" "$1" "status of --adopt-listeners for $2, which says: $said"
}

# kernel_listeners PORT - how many the kernel has there that are not the engine's twins
kernel_listeners() { in_ns stack ss -Htlnp "sport = :$1" | grep -cv gazelle-engine || :; }

# connect PORT - to the kernel's address, and say "up"; the peer is to accept
connect() {
	# shellcheck disable=SC2016
	in_ns peer bash -c 'exec 3<>/dev/tcp/10.2.0.2/$0 && echo up && read -r <&3' "$1"
}

wire
veth stack k1 10.2.0.2/24 peer k2 10.2.0.1/24
start_wire_engine e

# --- a thread that is blocked in accept(), and a connection that is there already
background echo in_ns stack "$helper" echo 0.0.0.0 7000
target=$PID
wait_line echo ready
assert in_ns peer "$helper" ask 10.2.0.2 7000
background hold in_ns peer "$helper" hold 10.2.0.2 7000
hold=$PID
wait_line hold up
adopt 0 "$target"
assert_eq "$said" "" "what is said when all went well"
assert_eq "$(kernel_listeners 7000)" 0 "listeners that the kernel still has"
for _ in 1 2 3; do
	assert in_ns peer "$helper" ask 10.1.0.2 7000
done
assert in_ns peer "$helper" ask 10.2.0.2 7000 # the engine's twin
refute gone "$hold" # the kernel's connection
end "$target"
wait_line hold EOF

# --- a thread that is blocked in poll(); static
background static in_ns stack "$echo" server 0.0.0.0 7001
target=$PID
wait_line static listening
adopt 0 "$target"
in_ns peer "$echo" client 10.1.0.2 7001 300000 20
end "$target"

# --- epoll, several ways, duplicates, options: the helper checks what it gets
background many in_ns stack "$listeners" 7100
target=$PID
wait_line many ready
for port in 7100 7101 7102 7103; do
	assert in_ns peer "$helper" ask 10.2.0.2 $port
done
adopt 0 "$target"
assert_eq "$said" "" "what is said when all went well"
for port in 7100 7101 7102 7103; do
	assert_eq "$(kernel_listeners $port)" 0 "listeners that the kernel still has at $port"
	for _ in 1 2 3; do
		assert in_ns peer "$helper" ask 10.1.0.2 $port
	done
done
kill -TERM "$target"
finish "$target" || fail "helper_listeners: $(cat "$WORK/many")"

# --- what waits in the queue is accepted before the move: none is lost
background slow in_ns stack "$listeners" 7200 slow
target=$PID
wait_line slow ready
for i in 1 2 3 4 5 6; do
	background "queued$i" connect 7200
	wait_line "queued$i" up
done
adopt 0 "$target"
for i in 1 2 3 4 5 6; do
	wait_line slow "accepted $i"
done
assert_eq "$(kernel_listeners 7200)" 0
kill -TERM "$target"
finish "$target" || fail "helper_listeners slow: $(cat "$WORK/slow")"

# --- who does not accept: it stays, as it was
background stuck in_ns stack "$listeners" 7300 stuck
target=$PID
wait_line stuck ready
background waits connect 7300
wait_line waits up
adopt 1 "$target"
assert_eq "$said" "gazelle-run: listener 0.0.0.0:7300 stays the kernel's: the process does not \
accept what waits in its queue: 1 connections"
assert_eq "$(kernel_listeners 7300)" 1
background later connect 7300
wait_line later up # SYNs are taken again
end "$target"

# --- another program that holds it
background shared in_ns stack python3 -c "
import signal, socket, subprocess
l = socket.create_server(('0.0.0.0', 7400))
subprocess.Popen(['sleep', '60'], pass_fds=[l.fileno()])
print('ready', flush=True)
signal.pause()"
target=$PID
wait_line shared ready
adopt 1 "$target"
assert_match "$said" "listener 0.0.0.0:7400 stays the kernel's: process [0-9]*, another program, holds it too"
pkill -P "$target"
end "$target"

# --- an address that the engine does not have
background foreign in_ns stack "$helper" echo 10.2.0.2 7500
target=$PID
wait_line foreign ready
adopt 1 "$target"
assert_match "$said" "listener 10.2.0.2:7500 stays the kernel's: "
assert in_ns peer "$helper" ask 10.2.0.2 7500
end "$target"

# --- a port that another program has there
background first gz e "$helper" echo 10.1.0.2 7600
first=$PID
wait_line first ready
background second in_ns stack "$helper" echo 0.0.0.0 7600
target=$PID
wait_line second ready
adopt 1 "$target"
assert_match "$said" "listener 0.0.0.0:7600 stays the kernel's: .*in use"
assert in_ns peer "$helper" ask 10.2.0.2 7600
end "$first"
# It is the engine's already: what stayed is tried again.
wait_for 10 in_ns stack timeout 20 "$BIN/gazelle-run" --config "$(config_of e)" \
	--attach "$target" --adopt-listeners || fail "a second time"
assert in_ns peer "$helper" ask 10.1.0.2 7600
end "$target"

# --- redis
if command -v redis-server >/dev/null; then
	background redis in_ns stack redis-server --port 6379 --bind 0.0.0.0 --protected-mode no \
		--save '' --dir "$WORK"
	target=$PID
	wait_port peer 10.2.0.2 6379
	assert_eq "$(in_ns peer redis-cli -h 10.2.0.2 set k before)" OK
	adopt 0 "$target"
	assert_eq "$(in_ns peer redis-cli -h 10.1.0.2 get k)" before
	assert_eq "$(in_ns peer redis-cli -h 10.1.0.2 set k after)" OK
	assert_eq "$(in_ns peer redis-cli -h 10.1.0.2 get k)" after
	end "$target"
fi

# --- nginx, without a request lost
if command -v nginx >/dev/null && command -v curl >/dev/null; then
	# web PORT LINES - nginx answers there with its pid
	web() {
		local part temp=''
		for part in client_body proxy fastcgi uwsgi scgi; do
			temp+="${part}_temp_path $WORK/web$1; "
		done
		cat >"$WORK/web$1.conf" <<-CONF
			daemon off; user root; pid $WORK/web$1.pid; error_log stderr; $2
			events { }
			http { $temp access_log off;
			server { listen $1; return 200 "\$pid\n"; } }
		CONF
		background "web$1" in_ns stack nginx -c "$WORK/web$1.conf"
		wait_port peer 10.2.0.2 "$1"
	}
	get() { in_ns peer curl -sS --fail --max-time 10 "http://$1/" 2>&1; }
	load() {
		local EXEC= # each is a program of its own
		until [ -e "$WORK/enough" ]; do
			get 10.2.0.2:7080 >"$WORK/answer" || cat "$WORK/answer"
			echo . >>"$WORK/rounds"
		done
	}
	rounds() { [ "$(grep -c . "$WORK/rounds")" -ge "$1" ]; }

	web 7080 "master_process off;"
	server=$PID
	background load load
	load=$PID
	within 10 rounds 3
	adopt 0 "$(cat "$WORK/web7080.pid")"
	within 10 rounds $(($(grep -c . "$WORK/rounds") + 3))
	touch "$WORK/enough"
	finish "$load"
	assert_eq "$(cat "$WORK/load")" "" "requests that failed meanwhile"
	assert_eq "$(get 10.1.0.2:7080)" "$(cat "$WORK/web7080.pid")" "answer by the stack"
	end "$server"
fi

stop_engine e
