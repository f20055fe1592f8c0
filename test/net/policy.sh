#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# policy.sh - Rules by network, port, user, program, direction, protocol; gazelle-ctl why
#
# The host has two ways to 10.1.0.1: the engine's wire, and one of the kernel's.
# Servers there answer with the address that they see: 10.1.0.2 or 10.2.0.2.

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"
command -v socat >/dev/null || skip "socat is not there"
command -v ncat >/dev/null || skip "ncat is not there"

wire
veth stack ve3 10.2.0.2/24 peer ve4 10.2.0.1/24
ip -n "$GZ_TEST_ID-stack" route add 10.1.0.1/32 via 10.2.0.1
for port in 8000 8001 8003; do
	# shellcheck disable=SC2016
	background "server$port" in_ns peer socat "TCP-LISTEN:$port,fork,reuseaddr" \
		'SYSTEM:echo $SOCAT_PEERADDR'
	wait_port peer 127.0.0.1 $port
done

ask()
{
	local engine=$1
	shift
	gz "$engine" "$@" </dev/null 2>/dev/null | tr -d '\r\n'
}

yaml="port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24]}
policy:
  rules:
    - {action: kernel, direction: connect, net: 10.1.0.0/24, ports: 8001-8002}
    - {action: kernel, direction: connect, protocol: udp, ports: 8003}
    - {action: kernel, direction: bind, ports: 9001}
    - {action: engine, net: 203.0.113.0/24}
    - {action: kernel, direction: connect, uid: 65534, net: 10.1.0.1}
    - {action: kernel, direction: connect, program: ncat}
    - {action: kernel, net: 10.1.0.128/25}
    - {action: engine, net: \"::/0\"}"
start_engine rules stack "$yaml"

assert_eq "$(ask rules socat -u TCP:10.1.0.1:8000 -)" 10.1.0.2 "no rule"
assert_eq "$(ask rules socat -u TCP:10.1.0.1:8001 -)" 10.2.0.2 "by port"
assert_eq "$(ask rules socat -u TCP:10.1.0.1:8003 -)" 10.1.0.2 "a rule for UDP"
assert_eq "$(ask rules ncat --recv-only 10.1.0.1 8000)" 10.2.0.2 "by program"
assert_eq "$(ask rules setpriv --reuid 65534 --clear-groups socat -u TCP:10.1.0.1:8000 -)" \
	10.2.0.2 "by user"
# A rule may take what the default leaves to the kernel, which has no way there either.
assert_match "$(gz rules socat -u TCP:203.0.113.1:80 - 2>&1)" "unreachable"
assert_eq "$(counter rules kernel_swaps)" 3
# A route is asked for without a port: by the rules of networks alone.
assert_match "$(gz rules ip route get 10.1.0.100)" "dev gazelle0"
[[ $(gz rules ip route get 10.1.0.200 2>&1) != *gazelle0* ]] || fail "the route is the stack's"

# bind(): the kernel's listener on 9001 is seen from the kernel, the engine's is not there.
background bound gz rules socat -u TCP-LISTEN:9001,bind=10.2.0.2,reuseaddr,fork SYSTEM:cat
bound=$(program_of "$PID")
wait_port stack 10.2.0.2 9001
background kept gz rules socat TCP-LISTEN:9002,bind=10.1.0.2,reuseaddr,fork PIPE
kept=$(program_of "$PID")
wait_port peer 10.1.0.2 9002

why()
{
	ctl rules why "$@" | sed 's/  */ /g'
}
assert_match "$(why "$bound")" "kernel bind 10.2.0.2:9001 tcp rule 3 \(line [0-9]+\)"
assert_match "$(why "$kept")" "engine bind 10.1.0.2:9002 tcp default: bound in the stack"
line=$(grep -n 'ports: 9001' "$(config_of rules)" | cut -d: -f1)
assert_match "$(ctl rules why "$bound" --json)" "\"why\": *\"rule 3 \(line $line\)\""
fd=$(why "$bound" | awk '$2 == "kernel" { print $1; exit }')
assert_match "$(why "$bound" "$fd")" "^fd .*[[:space:]]$fd kernel bind"
# connect(), by each kind of rule, of programs that stay
hold='import socket, sys, time
s = socket.socket(type=getattr(socket, "SOCK_" + sys.argv[1]))
s.connect((sys.argv[2], int(sys.argv[3])))
time.sleep(100)'
background silent in_ns peer socat TCP-LISTEN:8010,fork,reuseaddr EXEC:'sleep 100'
wait_port peer 127.0.0.1 8010
ip -n "$GZ_TEST_ID-stack" route add 10.1.0.200/32 via 10.2.0.1

# decided WANT PROGRAM... - what decided about the socket of that program
decided()
{
	local want=$1
	shift
	background held gz rules "$@"
	within 5 connected "$(program_of "$PID")"
	assert_match "$(why "$(program_of "$PID")")" "$want"
	end "$PID"
}
connected() { why "$1" | grep -q connect; }
decided "engine connect 10.1.0.1:8010 tcp default" python3 -c "$hold" STREAM 10.1.0.1 8010
decided "kernel connect 10.1.0.1:8001 tcp rule 1 " python3 -c "$hold" STREAM 10.1.0.1 8001
decided "kernel connect 10.1.0.1:8003 udp rule 2 " python3 -c "$hold" DGRAM 10.1.0.1 8003
decided "kernel connect 10.1.0.1:8010 tcp rule 5 " \
	setpriv --reuid 65534 --clear-groups python3 -c "$hold" STREAM 10.1.0.1 8010
decided "kernel connect 10.1.0.1:8010 tcp rule 6 " ncat --recv-only 10.1.0.1 8010
decided "kernel connect 10.1.0.200:53 udp rule 7 " python3 -c "$hold" DGRAM 10.1.0.200 53
# An address of the kernel's is the kernel's without a rule, nobody's is nobody's.
background default gz rules socat -u TCP-LISTEN:9004,bind=10.2.0.2,reuseaddr,fork SYSTEM:cat
default=$(program_of "$PID")
wait_port stack 10.2.0.2 9004
assert_match "$(why "$default")" "kernel bind 10.2.0.2:9004 tcp default"
assert_match "$(gz rules socat -u TCP-LISTEN:9005,bind=10.2.0.9 SYSTEM:cat 2>&1)" "assign requested"
refute ctl rules why "$bound" 999
refute ctl rules why 0
# Numbers of processes are smaller (PID_MAX_LIMIT).
refute ctl rules why 99999999
assert_eq "$(ctl rules why 99999999 2>&1)" "gazelle-ctl: process 99999999: no such process"
# Whom no engine serves
background plain in_ns stack python3 -c 'import socket, time
held = [socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_RAW, proto=1)]
print("ready", flush=True)
time.sleep(100)'
wait_line plain ready
assert_match "$(why "$PID")" "kernel the kernel's from the start:.* kernel the kernel's from socket\(\) on:"
end "$PID"
stop_engine rules

# Only the named program is the stack's, the rest is the kernel's.
start_engine only stack "port: {driver: af_packet, iface: ve1}
stack: {addresses: [10.1.0.2/24]}
policy:
  rules:
    - {action: default, program: socat}
    - {action: kernel}"
assert_eq "$(ask only socat -u TCP:10.1.0.1:8000 -)" 10.1.0.2 "the named program"
assert_eq "$(ask only ncat --recv-only 10.1.0.1 8000)" 10.2.0.2 "another"
stop_engine only

# A mistake: where it is and what was expected.
engine_config bad stack "policy: {rules: [{action: kernel, net: 10.1.0.1/24}]}"
out=$("$BIN/gazelle-engine" --check "$(config_of bad)" 2>&1) && fail "accepted"
assert_match "$out" "bad.yaml:3:40: key 'policy.rules\[0\].net': '10.1.0.1/24' is not a network"
