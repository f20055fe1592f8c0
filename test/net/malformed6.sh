#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# malformed6.sh - Broken IPv6 frames are counted and dropped; those who talk notice nothing

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

COUNT=8000
ERRORS='rx_malformed|tcp_bad_options|[a-z0-9_]*(drop|chkerr|lenerr|proterr|opterr|rterr)[a-z0-9_]*|[a-z]*_errors'
STACK=fd00:1::2 PEER=fd00:1::1

cat >"$WORK/echo.py" <<'PY'
import socket, threading
def serve(c):
    while b := c.recv(4096):
        c.sendall(b)
s = socket.create_server(("::", 7000), family=socket.AF_INET6)
print("ready", flush=True)
while True:
    threading.Thread(target=serve, args=(s.accept()[0],), daemon=True).start()
PY
# Asks at once, and again for each line: the connection was there all the time.
cat >"$WORK/ask.py" <<'PY'
import itertools, socket, sys
c = socket.create_connection((sys.argv[1], 7000), 10)
for line in itertools.chain(["first\n"], sys.stdin):
    c.sendall(line.encode())
    assert c.recv(100) == line.encode()
    print("up", flush=True)
PY

wire
in_ns peer ip address add $PEER/64 dev ve2 nodad || skip "the kernel has no IPv6"
start_engine e stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24], addresses6: [\"$STACK/64\"]}"
wait_for 10 in_ns peer ping -6 -q -c 1 -W 1 $STACK
background echo gz e python3 "$WORK/echo.py"
wait_line echo ready
mkfifo "$WORK/more"
in_ns peer python3 "$WORK/ask.py" $STACK <"$WORK/more" >"$WORK/held" 2>&1 &
held=$!
exec 8>"$WORK/more"
wait_line held up

mac=$(in_ns stack cat /sys/class/net/ve1/address)
packets=$(counter e rx_packets)
errors=$(counter e "$ERRORS")
for seed in 1 2; do
	assert in_ns peer python3 "$TEST_DIR/net/malformed6.py" ve2 "$mac" $PEER $STACK 7000 \
		$COUNT $seed
	refute gone "$(engine_pid e)"
	assert in_ns peer python3 "$WORK/ask.py" $STACK </dev/null
done

echo again >&8
exec 8>&-
finish $held || fail "the connection that was there before: $(cat "$WORK/held")"
assert_eq "$(grep -c up "$WORK/held")" 2
assert [ "$(counter e rx_packets)" -ge $((packets + 2 * COUNT * 9 / 10)) ]
# Of the 16 kinds at least half are errors for each frame.
assert [ "$(counter e "$ERRORS")" -ge $((errors + COUNT)) ]
stop_engine e
