#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# inherited_swap.sh - A child that cannot be reached has an old shadow while its parent's socket is
# disconnected and connected again and again
#
# It gets the last one by its next call that traps, and until then the engine keeps one descriptor
# for all of them.  What it keeps for nobody any more it closes.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"
command -v python3 >/dev/null || skip "python3 is not there"

netns stack
start_engine e stack 'port: {veth: {host: gz0, address: 10.213.0.1/24}, iface: gz0e}
stack: {addresses: [10.213.0.2/24]}'

cat >"$WORK/chain.py" <<'PY'
import ctypes, os, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
TIMES, accepted = int(sys.argv[1]), sys.argv[2] == "accepted"

def disconnect(s):
    assert libc.connect(s.fileno(), bytes(16), 16) == 0

def connect(s):
    s.connect(l.getsockname())
    other.append(l.accept()[0])

def await_file(name):
    while not os.path.exists(f"{sys.argv[3]}/{name}"):
        time.sleep(0.01)

def midway(pid):
    with open(f"/proc/{pid}/syscall") as f:
        return f.read().startswith("1 ")

l, other = socket.create_server(("10.213.0.2", 7000)), []
s = socket.socket()
connect(s)
if accepted:
    s, other[0] = other[0], s
r, w = os.pipe()
told_r, told_w = os.pipe()
pid = os.fork()
if not pid:
    os.write(w, bytes(1 << 20))  # nobody may stop who is in it
    os.write(told_w, b"%d" % s.getsockname()[1])
    await_file("end")
    os._exit(0)
while not midway(pid):
    time.sleep(0.001)
for k in range(TIMES):
    disconnect(s)
    connect(s)
    other.pop(0).close()
print("chained", flush=True)
await_file("go")
left = 1 << 20
while left:
    left -= len(os.read(r, left))
assert int(os.read(told_r, 10)) == s.getsockname()[1]
print("replaced", flush=True)
os.waitpid(pid, 0)
PY

descriptors() { find "/proc/$(engine_pid e)/fd" -mindepth 1 | wc -l; }
at_most() { [ "$(descriptors)" -le "$1" ]; }

for how in connected accepted; do
	before=$(descriptors)
	rm -f "$WORK/go" "$WORK/end"
	background chain gz e python3 "$WORK/chain.py" 40 $how "$WORK"
	chain=$PID
	wait_line chain chained
	# The client's, the sockets' that there are, and one for the child
	within 5 at_most $((before + 20))
	: >"$WORK/go"
	wait_line chain replaced
	: >"$WORK/end"
	assert finish "$chain"
	within 5 at_most $((before + 8)) # those that are made once
done
stop_engine e
