#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# attach_prefork.sh - gazelle-run --attach PID --adopt-listeners: workers that share a listener
#
# Requests come all the time, to the kernel's address: the engine's listener has a twin
# there.  None of them may fail, and afterwards each worker has to have answered on the stack.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

adopt() {
	local status=0
	said=$(in_ns stack timeout 30 "$BIN/gazelle-run" --config "$(config_of e)" \
		--attach "$2" --adopt-listeners 2>&1) || status=$?
	assert_eq "$status" "$1" "status of --adopt-listeners for $2, which says: $said"
}

# kernel_listeners PORT - how many the kernel has there that are not the engine's twins
kernel_listeners() { in_ns stack ss -Htlnp "sport = :$1" | grep -cv gazelle-engine || :; }

# The load: connections of one request each, by three threads, and connects as fast as they
# can be begun; says how many, ends with 1 if one failed or was refused.
load=$WORK/load.py
cat >"$load" <<'PYTHON'
import http.client, os, socket, sys, threading, time
host, port, until = sys.argv[1], int(sys.argv[2]), sys.argv[3]
done, failed = [0] * 3, []
def run(i):
    while not os.path.exists(until) or done[i] < 20:
        try:
            c = http.client.HTTPConnection(host, port, timeout=10)
            c.request('GET', '/')
            r = c.getresponse()
            body = r.read()
            if r.status != 200 or not body.strip().isdigit():
                failed.append(f'status {r.status}, {body!r}')
            c.close()
        except Exception as e:
            failed.append(repr(e))
        done[i] += 1
def knock():
    while not os.path.exists(until):
        s = [socket.socket() for _ in range(30)]
        for c in s:
            c.setblocking(False)
            c.connect_ex((host, port))
            time.sleep(0.0001)
        for c in s:
            if e := c.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                failed.append(os.strerror(e))
            c.close()
threads = [threading.Thread(target=run, args=(i,)) for i in range(3)]
threads.append(threading.Thread(target=knock))
for t in threads: t.start()
for t in threads: t.join()
print(sum(done), 'requests', failed[:5])
sys.exit(bool(failed) or min(done) < 20)
PYTHON

# Requests to the stack, until each worker has answered, 40 at least and for 15 s at most.
# There is a connection for each worker before the first request is sent: one that serves
# one at a time leaves the others' to them.  Who takes one otherwise is chance.
ask=$WORK/ask.py
cat >"$ask" <<'PYTHON'
import http.client, sys, time
port, workers = int(sys.argv[1]), set(sys.argv[2:])
seen, asked, end = set(), 0, time.monotonic() + 15
while asked < 40 or not workers <= seen and time.monotonic() < end:
    connections = [http.client.HTTPConnection('10.1.0.2', port, timeout=10) for _ in workers]
    for c in connections:
        c.connect()
    for c in connections:
        c.request('GET', '/')
    for c in connections:
        r = c.getresponse()
        if r.status != 200:
            sys.exit(f'status {r.status}')
        seen.add(r.read().decode().strip())
        c.close()
        asked += 1
print(*sorted(seen), sep='\n')
PYTHON

# all_answer PORT PID - all of PID's children answer on the stack, and only they
all_answer() {
	local workers answered
	workers=$(pgrep -P "$2" | sort)
	# shellcheck disable=SC2086 # one argument each
	answered=$(in_ns peer python3 "$ask" "$1" $workers) || fail "a request to the stack"
	assert_eq "$(sort <<<"$answered")" "$workers" "who answers on the stack"
}

# moves PORT PID - adopt under load; then all of PID's children answer on the stack, and only they
moves() {
	local before
	rm -f "$WORK/enough"
	background "load$1" in_ns peer python3 "$load" 10.2.0.2 "$1" "$WORK/enough"
	before=$PID
	sleep 0.5
	adopt 0 "$2"
	assert_eq "$said" "" "what is said when all went well"
	assert_eq "$(kernel_listeners "$1")" 0 "listeners that the kernel still has"
	sleep 1
	touch "$WORK/enough"
	finish "$before" || fail "requests failed: $(cat "$WORK/load$1")"
	cat "$WORK/load$1"
	all_answer "$1" "$2"
}

wire
veth stack k1 10.2.0.2/24 peer k2 10.2.0.1/24
start_wire_engine e

# --- Python: four workers that are blocked in accept(), and one that polls
cat >"$WORK/prefork.py" <<'PYTHON'
import os, select, socket, sys
l = socket.create_server(('0.0.0.0', 7800), backlog=64)
def serve(c):
    with c:
        while b'\r\n\r\n' not in (got := c.recv(4096, socket.MSG_PEEK)):
            if not got:
                return
        c.recv(4096)
        body = b'%d\n' % os.getpid()
        c.sendall(b'HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n' % len(body) + body)
for n in range(5):
    if os.fork():
        continue
    p = select.epoll()
    p.register(l.fileno(), select.EPOLLIN | select.EPOLLEXCLUSIVE)
    while True:
        if n == 4:
            p.poll()
        serve(l.accept()[0])
print('ready', flush=True)
while True:
    os.wait()
PYTHON
background prefork in_ns stack python3 "$WORK/prefork.py"
target=$PID
wait_line prefork ready
moves 7800 "$target"
# Once more: there is nothing left to be moved.
adopt 0 "$target"
pkill -P "$target"
end "$target"

# --- nginx with two workers, across a reload afterwards
if command -v nginx >/dev/null; then
	temp=''
	for part in client_body proxy fastcgi uwsgi scgi; do
		temp+="${part}_temp_path $WORK/web; "
	done
	cat >"$WORK/web.conf" <<-CONF
		daemon off; user nobody nogroup; worker_processes 2; pid $WORK/web.pid; error_log stderr;
		events { }
		http { $temp access_log off;
		server { listen 7801; return 200 "\$pid\n"; } }
	CONF
	background web in_ns stack nginx -c "$WORK/web.conf"
	server=$PID
	wait_port peer 10.2.0.2 7801
	master=$(cat "$WORK/web.pid")
	moves 7801 "$master"
	old=$(pgrep -P "$master" | sort)
	kill -HUP "$master"
	reloaded() { ! pgrep -P "$master" | grep -qxF "$old"; }
	within 10 reloaded
	all_answer 7801 "$master"
	end "$server"
fi

stop_engine e
