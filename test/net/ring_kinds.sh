#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ring_kinds.sh - Programs of many kinds: their connections are on the plane of rings
#
# Each is an echo server under gazelle-run --ring.  A client of the kernel's checks
# what comes back, and keeps its connection while the engine is asked.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"
GZ_RUN_ARGS=--ring
wire
start_wire_engine e
port=7000

# speaks NAME PORT - connect, send lines and get them back; then stay
speaks() {
	background "$1.client" in_ns peer python3 -c '
import socket, sys, time
for i in range(150):
	try:
		s = socket.create_connection(("10.1.0.2", int(sys.argv[1])), 5)
		break
	except ConnectionRefusedError:
		time.sleep(0.1)
s.settimeout(10)
for n in (1, 10, 1000, 20000, 1, 1, 1):
	sent = bytes(i * 7 % 251 for i in range(n - 1)) + b"\n"
	s.sendall(sent)
	got = b""
	while len(got) < n:
		part = s.recv(65536)
		assert part, "end of file"
		got += part
	assert got == sent, "%d bytes came back otherwise" % n
print("all came back", flush=True)
s.recv(1)' "$2"
}

# kind NAME PLANE COMMAND... - COMMAND, an echo server at $port, serves on that plane
kind() {
	local name=$1 plane=$2 server client
	shift 2
	background "$name.log" gz e "$@"
	server=$PID
	speaks "$name" $port
	client=$PID
	wait_line "$name.client" "all came back" 20
	ctl e ss >"$WORK/$name.ss"
	grep -q "ESTAB.*10.1.0.2:$port .* $plane " "$WORK/$name.ss" ||
		fail "$name is not on the plane $plane: $(cat "$WORK/$name.ss")"
	end "$client"
	end "$server"
	port=$((port + 1))
}

# with PROGRAM KIND... - if there is that program
with() {
	if command -v "$1" >/dev/null; then
		shift
		kind "$@"
	else
		echo "left out: $1"
	fi
}

[ -x "$T/static/echo-glibc" ] || fail "echo-glibc is not built (make tests)"
kind glibc_static ring "$T/static/echo-glibc" server 10.1.0.2 $port
with musl-gcc musl_static ring "$T/static/echo-musl" server 10.1.0.2 $port
with go go ring "$T/static/goecho-go" server 10.1.0.2:$port
kind python ring python3 -c "
import socket
l = socket.create_server(('10.1.0.2', $port))
s, _ = l.accept()
while b := s.recv(4096): s.sendall(b)"
kind asyncio ring python3 -c "
import asyncio
async def echo(r, w):
	while b := await r.read(4096):
		w.write(b)
		await w.drain()
async def main():
	await (await asyncio.start_server(echo, '10.1.0.2', $port)).serve_forever()
asyncio.run(main())"
with busybox busybox ring busybox nc -l -p $port -e busybox tee
with perl perl ring perl -MIO::Socket::INET -e "
\$l = IO::Socket::INET->new(LocalAddr => '10.1.0.2:$port', Listen => 1); \$s = \$l->accept;
syswrite(\$s, \$b) while sysread(\$s, \$b, 4096)"
with node node ring node -e "
require('net').createServer(s => s.pipe(s)).listen($port, '10.1.0.2')"
mkdir "$WORK/java"
cat >"$WORK/java/Echo.java" <<-'END'
	import java.net.*;
	class Echo {
		public static void main(String[] a) throws Exception {
			var l = new ServerSocket(Integer.parseInt(a[0]), 5, InetAddress.getByName("10.1.0.2"));
			var s = l.accept();
			s.getInputStream().transferTo(s.getOutputStream());
		}
	}
END
JAVA="java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx64m"
# shellcheck disable=SC2086
with java java ring $JAVA "$WORK/java/Echo.java" $port

# --- a call that begins again behind a site's jump stays on the rings as well
left=$(counter e ring_left)
GZ_ADDR=10.1.0.2 gz e "$T/semantics/signals" restarts_on_a_socket ||
	fail "the call that begins again: status $?"
assert_eq "$(counter e ring_left)" "$left" "sockets that left the rings"
stop_engine e
