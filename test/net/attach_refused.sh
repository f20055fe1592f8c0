#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# attach_refused.sh - What cannot be attached to: the reason is said, nobody is harmed

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

busy=$T/semantics/helper_busy
helper=$T/semantics/helper_seccomp

# attach ARG... - its output goes to $said, its exit status to $status
attach() {
	status=0
	said=$(in_ns stack timeout 30 "$BIN/gazelle-run" --config "$(config_of e)" "$@" 2>&1 </dev/null) ||
		status=$?
}

# refuses TEXT ARG...
refuses() {
	local text=$1
	shift
	attach "$@"
	assert_eq "$status" 125 "status of $*, which says: $said"
	assert_match "$said" "$text" "what $* says"
}

# still_well NAME PID - helper_busy checked itself all the time
still_well() {
	refute gone "$2"
	kill -TERM "$2"
	finish "$2" || fail "helper_busy was harmed: $(cat "$WORK/$1")"
}

# begin NAME WHAT CMD... - start CMD, which says WHAT; its pid is $PID
begin() {
	background "$1" in_ns stack "${@:3}"
	wait_line "$1" "$2"
}

not() { ! "$@"; }

wire
start_wire_engine e

# --- the option
refuses "'x' is not a process id" --attach x
refuses "'' is not a process id" --attach=
refuses "'0' is not a process id" -p 0
refuses "'-5' is not a process id" --attach -5
refuses "'12x' is not a process id" --attach=12x
refuses "'99999999999999999999' is not a process id" --attach 99999999999999999999
refuses "requires an argument" --attach
refuses "either, not both" --attach 1 true
refuses "either, not both" --attach 1 -- true
refuses "--wait is for --attach" --wait true
refuses "--wait is for --attach" --wait --attach -- true
refuses "no program given" --attach --
attach --attach -- sh -c 'exit 7'
assert_eq "$status:$said" "7:" "a plain start"
attach -p -- sh -c 'echo "$@"' -- --attach 5
assert_eq "$status:$said" "0:--attach 5" "a plain start, whose arguments are its own"
attach --help
assert_match "$said" "--attach PID" "the help"
attach -q --attach x
assert_eq "$status:$said" "125:" "a quiet refusal"

# --- who is not there, or no process
refuses "no such process" --attach 4194303
refuses "thread of the kernel" --attach 2
refuses "engine .* itself" --attach "$(engine_pid e)"
background zombie in_ns stack sh -c 'sleep 0.3 & exec sleep 60'
parent=$PID
zombie() { pgrep -P "$parent" -r Z; }
within 10 zombie
refuses "has ended" --attach "$(zombie)"
end "$parent" KILL

# --- who is traced, and threads
begin busy ready "$busy"
target=$PID
thread=$(find "/proc/$target/task" -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null | sort -n | tail -n +5 | head -n 1)
refuses "thread of process $target" --attach "$thread"
still_well busy "$target"
# Not helper_busy: strace's stops show in its epoll_wait().
begin calm ready "$helper" full
target=$PID
traced() { grep -q '^TracerPid:.[1-9]' "/proc/$target/status"; }
if command -v strace >/dev/null; then
	background strace strace -f -o /dev/null -p "$target"
	tracer=$PID
	within 10 traced
	refuses "traced by process $tracer \(strace\)" --attach "$target"
	end "$tracer" INT
	within 10 not traced
fi
if command -v gdb >/dev/null; then
	background gdb gdb -q -nx -batch -p "$target" -ex 'shell sleep 3'
	tracer=$PID
	within 10 traced
	refuses "traced by process $tracer \(gdb\)" --attach "$target"
	end "$tracer" KILL
fi
refute gone "$target"
end "$target"

# --- who is another user's
chmod a+x "$WORK" "${WORK%/*}" && chmod 666 "$WORK/$GZ_TEST_ID-e.sock"
begin busy ready "$busy"
target=$PID
status=0
said=$(in_ns stack setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all \
	"$BIN/gazelle-run" --config "$(config_of e)" --attach "$target" 2>&1) || status=$?
assert_eq "$status" 125 "status for another user's, which says: $said"
assert_match "$said" "no right to trace it.*user is 0"
still_well busy "$target"

# --- who has filters already
begin listener ready "$helper" listener
refuses "has a seccomp listener already" --attach "$PID"
refute gone "$PID"
end "$PID"
begin one ready "$helper" one
refuses "threads have different seccomp filters" --attach "$PID"
refute gone "$PID"
end "$PID"
begin strict ready "$helper" strict
sleep 0.2
refuses "strict mode" --attach "$PID"
refute gone "$PID"
end "$PID"

# A filter of its own is no obstacle: it is suspended for our calls.
begin plain "socket: kernel" "$helper" plain
attach --attach "$PID"
assert_eq "$status:$said" "0:" "a process with a plain filter"
wait_line plain "socket: stack"
end "$PID"

# --- who has no descriptor left
begin full ready "$helper" full
refuses "no descriptor left" --attach "$PID"
refute gone "$PID"
end "$PID"

# --- who is a 32-bit program: pause() for ever
python3 - "$WORK/elf32" <<-'END'
	import struct, sys
	code = bytes([0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7])
	size = 52 + 32 + len(code)
	open(sys.argv[1], "wb").write(
	    b"\x7fELF\x01\x01\x01" + bytes(9)
	    + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0x8048054, 52, 0, 0, 52, 32, 1, 0, 0, 0)
	    + struct.pack("<IIIIIIII", 1, 0, 0x8048000, 0x8048000, size, size, 5, 4096)
	    + code)
END
chmod +x "$WORK/elf32"
background elf32 "$WORK/elf32"
sleep 0.2
if gone "$PID"; then
	echo "32-bit programs do not run here"
else
	refuses "32-bit program" --attach "$PID"
	end "$PID"
fi

# --- who ends, or executes, meanwhile: in time or not, but in order
for delay in 0 0.003 0.006 0.01 0.02 0.03; do
	background short in_ns stack sleep $delay
	pid=$PID
	attach --attach "$pid"
	case $status:$said in
	0:) ;;
	125:*"has ended"* | 125:*"no such process"* | 125:*"ending, or executes"*) ;;
	*) fail "a process that ends after $delay s: status $status, $said" ;;
	esac
done

# --- engines
begin calm ready "$helper" full
target=$PID
status=0
said=$(in_ns stack "$BIN/gazelle-run" --config "$(config_of e)" --engine none --attach "$target" 2>&1) ||
	status=$?
assert_eq "$status" 125
assert_match "$said" "no engine 'none'"
stop_engine e
start_engine e stack "limits: {clients: 1}
port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24]}"
background first gz e sleep 60
first=$PID
client() { ctl e stats --json | grep -q '"clients": *1\b'; }
within 10 client
refuses "limits.clients" --attach "$target"
end "$first"
stop_engine e

# --- an engine that refuses when it is too late: a stand-in leaves all to the kernel
cat >"$WORK/liar.py" <<-'END'
	import socket, struct, sys
	s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
	s.bind(sys.argv[1])
	s.listen()
	while True:
	    c = s.accept()[0]
	    while True:
	        m = c.recv(72)
	        if not m:
	            break
	        magic, version, op = struct.unpack("<IHH", m[:8])
	        status = 11 if op == 2 else 0
	        text = b"not today" if op == 2 else b""
	        c.send(struct.pack("<IHHIB115s", magic, version, status, 0, 0, text))
END
background liar python3 "$WORK/liar.py" "$WORK/$GZ_TEST_ID-e.sock"
liar=$PID
within 10 test -S "$WORK/$GZ_TEST_ID-e.sock"
begin plain "socket: kernel" "$helper" plain
plain=$PID
refuses "not today.*stays with the kernel's stack" --attach "$plain"
standin=$(sed -n 's/.*process \([0-9]*\) answers.*/\1/p' <<<"$said")
sleep 0.3
refute gone "$plain"
assert_eq "$(cat "$WORK/plain")" "ready
socket: kernel" "sockets of a process without an engine"
refute gone "$standin"
end "$plain"
within 5 gone "$standin"
end "$liar"

refute gone "$target"
