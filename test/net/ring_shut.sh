#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# ring_shut.sh - In the rings, over the wire: who shuts both directions and closes with bytes unread resets

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck disable=SC2034
GZ_RUN_ARGS=--ring
wire
start_wire_engine e

cat >"$WORK/serve.py" <<'PY'
import socket, time
listener = socket.create_server(("10.1.0.1", 7001))
print("ready", flush=True)
for how in range(3):
    c = listener.accept()[0]
    c.sendall(b"abc")
    end = time.monotonic() + 5
    try:
        assert c.recv(1) == b""
        while time.monotonic() < end:
            c.getpeername() # until it is closed
            time.sleep(0.01)
        print("no reset", how, flush=True)
    except OSError:
        print("reset", how, flush=True)
PY
cat >"$WORK/close.py" <<'PY'
import select, socket
for order in (socket.SHUT_WR, socket.SHUT_RD), (socket.SHUT_RD, socket.SHUT_WR), (socket.SHUT_RDWR,):
    s = socket.create_connection(("10.1.0.1", 7001))
    p = select.poll()
    p.register(s, select.POLLIN)
    assert p.poll(20000)
    for how in order:
        s.shutdown(how)
    s.close()
PY
background serve in_ns peer python3 "$WORK/serve.py"
server=$PID
wait_line serve ready
gz e python3 "$WORK/close.py"
assert finish "$server" 20
assert_eq "$(tail -n +2 "$WORK/serve")" "reset 0
reset 1
reset 2"
