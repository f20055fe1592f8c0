#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ring_bells.sh - The worker that sleeps is woken: once for many sockets, and for each datagram

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"
GZ_RUN_ARGS=--ring
wire

cat >"$WORK/streams.py" <<'PY'
import socket, time
socks = [socket.create_connection(("10.1.0.1", 7101)) for _ in range(50)]
for _ in range(110):
    time.sleep(0.005) # the worker sleeps
    for s in socks:
        s.send(b"x")
    for s in socks:
        assert s.recv(1) == b"x"
PY
cat >"$WORK/echo.py" <<'PY'
import selectors, socket
wait = selectors.DefaultSelector()
listener = socket.create_server(("10.1.0.1", 7101), backlog=64)
wait.register(listener, selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in wait.select():
        if key.fileobj is listener:
            wait.register(listener.accept()[0], selectors.EVENT_READ)
        elif data := key.fileobj.recv(100):
            key.fileobj.send(data)
        else:
            wait.unregister(key.fileobj)
PY
cat >"$WORK/datagrams.py" <<'PY'
import socket, time
a, b = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2))
a.bind(("10.1.0.2", 7103))
b.bind(("10.1.0.2", 7104))
a.connect(b.getsockname())
b.connect(a.getsockname())
b.settimeout(5)
slow = 0
for _ in range(400):
    time.sleep(0.006)
    start = time.monotonic()
    a.send(b"x")
    assert b.recv(10) == b"x"
    slow += time.monotonic() - start > 0.1
print("slow", slow)
PY

background echo in_ns peer python3 "$WORK/echo.py"
wait_line echo ready
for workers in '[-1]' '[-1, -1]'; do
	start_engine e stack "port: {driver: af_packet, iface: ve1}
workers: {cpus: $workers}
stack: {addresses: [10.1.0.2/24]}"
	gz e python3 "$WORK/streams.py" || fail "streams, workers $workers"
	bells=$(counter e ring_bells)
	echo "workers $workers: $bells bells for 5500 bytes"
	assert [ "$bells" -gt 0 ]
	assert [ "$bells" -le 1000 ]
	gz e python3 "$WORK/datagrams.py" >"$WORK/slow" || fail "datagrams, workers $workers"
	assert_eq "$(cat "$WORK/slow")" "slow 0" "workers $workers"
	stop_engine e
done
