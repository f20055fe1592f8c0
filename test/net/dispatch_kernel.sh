#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# dispatch_kernel.sh - ssh to the host over the port that dispatch owns: before it runs,
# while it does, after it stopped and after SIGKILL; one session lives through all of it.
# Engines beside it, host and engine talk, and share an address

# shellcheck source=test/net/dispatch_common.bash
. "$(dirname "$0")/dispatch_common.bash"

command -v dnsmasq >/dev/null || skip "no dnsmasq"
busybox udhcpc --help 2>&1 | grep -q udhcpc || skip "no udhcpc"
command -v sshd >/dev/null && getent passwd sshd >/dev/null || skip "there is no sshd"
mkdir -p /run/sshd

ssh_peer() { # ADDRESS CMD...: from peer to the host
	in_ns peer ssh -F "$WORK/ssh_config" "$@"
}

# reached ADDRESS... - the host is there by ssh
reached() {
	local a
	for a in "$@"; do
		assert_eq "$(ssh_peer "$a" echo "\$SSH_CONNECTION" | cut -d' ' -f3)" "$a" "ssh to $a"
	done
}

# The session: a line goes there and back
say_and_hear() {
	local answer
	echo "$1" >&7
	read -r -t 20 answer <&8 || fail "the session is dead ($1)"
	assert_eq "$answer" "$1" "what the session says"
}

# others IFACE - neither TCP nor to an address that the host has: its DHCP client finds the peer's
# server, and frames of no protocol of ours pass both ways
others() {
	assert_match "$(in_ns stack timeout 20 busybox udhcpc -i "$1" -n -q -f -t 10 -T 1 -s /bin/true 2>&1)" \
		"lease of 10\.1\.0\.99 obtained"
	background frame-there in_ns stack python3 "$WORK/frame.py" "$1"
	wait_line frame-there ready
	background frame-back in_ns peer python3 "$WORK/frame.py" ve2 begin
	assert finish "$PID" 10
	assert_eq "$(cat "$WORK/frame-back")" "ready
answer" "what peer received"
}

host_only() { in_ns stack ip -o address show dev gzk0; }

netns stack
netns peer
veth stack ve1 10.1.0.5/24 peer ve2 10.1.0.1/24
in_ns stack ip address add fd00:1::5/64 dev ve1 nodad
in_ns peer ip address add fd00:1::1/64 dev ve2 nodad
in_ns stack ip address add 10.1.0.7/24 dev ve1
in_ns stack ip route add 10.9.0.0/24 via 10.1.0.1 metric 7
in_ns peer ip address add 10.9.0.1/24 dev lo

# frame.py IFACE [begin] - a broadcast of an experimental Ethertype (IEEE 802) and the answer to it
cat >"$WORK/frame.py" <<'PY'
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x88b5))
s.bind((sys.argv[1], 0x88b5))
s.settimeout(10)
print("ready", flush=True)
if len(sys.argv) > 2:
    s.sendto(b"question", (sys.argv[1], 0x88b5, 0, 0, b"\xff" * 6))
    print(s.recv(100).rstrip(b"\0").decode())
else:
    question, who = s.recvfrom(100)
    assert question.rstrip(b"\0") == b"question"
    s.sendto(b"answer", (sys.argv[1], 0x88b5, 0, 0, who[4]))
PY
background dnsmasq in_ns peer dnsmasq --no-daemon --conf-file=/dev/null --port=0 --user=root --bind-interfaces \
	--interface=ve2 --dhcp-range=10.1.0.99,10.1.0.99,255.255.255.0,120 --dhcp-leasefile="$WORK/leases" \
	--pid-file= --no-ping
wait_line dnsmasq "DHCP, IP range"
others ve1

ssh-keygen -q -t ed25519 -N '' -f "$WORK/host"
ssh-keygen -q -t ed25519 -N '' -f "$WORK/user"
# The default key exchange, post-quantum, would be half of what this test takes
cat >"$WORK/sshd_config" <<-EOF
	Port 22
	HostKey $WORK/host
	PidFile none
	AuthorizedKeysFile $WORK/user.pub
	PermitRootLogin yes
	StrictModes no
	UsePAM no
	UseDNS no
	KexAlgorithms curve25519-sha256
EOF
cat >"$WORK/ssh_config" <<-EOF
	Host *
	IdentityFile $WORK/user
	UserKnownHostsFile /dev/null
	StrictHostKeyChecking no
	LogLevel ERROR
	User root
	BatchMode yes
	KexAlgorithms curve25519-sha256
	ConnectTimeout 10
EOF
# ssh and sshd write over their environment, by which others are found
SSH=
trap 'status=$?; set +e; for pid in $SSH; do kill "$pid" 2>/dev/null; done; (exit $status); cleanup' EXIT
background sshd in_ns stack "$(command -v sshd)" -D -e -f "$WORK/sshd_config"
SSH=$PID
wait_port peer 10.1.0.5 22
reached 10.1.0.5
mkfifo "$WORK/in" "$WORK/out"
(EXEC=exec in_ns peer ssh -F "$WORK/ssh_config" 10.1.0.5 cat <"$WORK/in" >"$WORK/out") &
SSH="$SSH $!"
exec 7>"$WORK/in" 8<"$WORK/out"
say_and_hear before

for driver in af_packet af_xdp; do
	DISPATCH_PORT="port: {driver: $driver, iface: ve1}
kernel: {iface: gzk0, rules: [{protocol: tcp, ports: 22}]}" \
		start_dispatch e1=10.1.0.2/32 e2=10.1.0.7/32
	say_and_hear "$driver runs"
	reached 10.1.0.5
	reached fd00:1::5
	# It is dispatch through which they pass
	[ "$(dispatch_counter kernel_tx)" -gt 20 ] || fail "the kernel was handed nothing"
	# It hears each packet once
	in_ns peer ping -c 2 -i 0.2 -W 1 10.1.0.5 >"$WORK/ping" || fail "no answer"
	refute grep DUP "$WORK/ping"
	# A route of the host's
	assert in_ns stack ping -q -c 1 -W 2 10.9.0.1
	others gzk0
	# Changes are followed
	in_ns stack ip address add 10.1.0.6/24 dev ve1
	within 3 in_ns peer ping -q -c 1 -W 0.2 10.1.0.6
	in_ns stack ip address del 10.1.0.6/24 dev ve1
	within 3 eval '! host_only | grep -q 10.1.0.6'
	assert_match "$(host_only)" "10.1.0.5"

	# Engine and host, both ways
	dispatch_engine e1 10.1.0.2
	background echo-e1 gz e1 socat TCP-LISTEN:7000,reuseaddr,fork PIPE
	wait_port stack 10.1.0.2 7000
	assert_match "$(gz e1 timeout 10 socat - TCP:10.1.0.5:22 </dev/null)" SSH-2.0
	assert_eq "$(echo hello | in_ns stack timeout 10 socat -t 5 - TCP:10.1.0.2:7000)" hello \
		"from host to engine"
	# One address of both: port 22 is the host's, the others are the engine's
	dispatch_engine e2 10.1.0.7
	background echo-e2 gz e2 socat TCP-LISTEN:7000,reuseaddr,fork PIPE
	wait_port peer 10.1.0.7 7000
	assert_eq "$(echo hello | in_ns peer timeout 10 socat -t 5 - TCP:10.1.0.7:7000)" hello \
		"from outside to the engine that shares the host's address"
	background echo-peer in_ns peer socat TCP-LISTEN:7000,reuseaddr,fork PIPE
	wait_port stack 10.1.0.1 7000
	assert_eq "$(echo hello | gz e2 timeout 10 socat -t 5 - TCP:10.1.0.1:7000)" hello \
		"from that engine to outside"
	end "$PID"
	reached 10.1.0.5 10.1.0.7
	say_and_hear "$driver with engines"
	assert_eq "$(dispatch_counter kernel_spoofed e1_spoofed e2_spoofed)" "0 0 0" "spoofed"
	stop_engine e1
	stop_engine e2

	stop_dispatch
	say_and_hear "$driver stopped"
	reached 10.1.0.5
	refute host_only 2>/dev/null
	DISPATCH_PORT="port: {driver: $driver, iface: ve1}
kernel: {iface: gzk0}" start_dispatch e1=10.1.0.2/32
	say_and_hear "$driver runs again"
	stop_dispatch KILL
	say_and_hear "$driver killed"
	reached 10.1.0.5 fd00:1::5
	refute host_only 2>/dev/null
done
