# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# dispatch_common.bash - A dispatcher on the wire, for test/net/dispatch_*.sh
#
#   dispatch_wire        namespaces stack and peer (10.1.0.1) with a veth pair
#   start_dispatch NAME[:]=ADDRESS[,ADDRESS6][;KEY: VALUE, ...]...
#                        gazelle-dispatch in stack, with these clients; on ve1,
#                        or as $DISPATCH_PORT has it.  With a colon it attaches, else
#                        it has a path
#   dispatch_config CLIENT...
#                        only write its configuration
#   GZ_DISPATCH_WORKERS  if it is set, workers.cpus: "-1, -1" are two that float
#   GZ_ENGINE_WORKERS    the same, of the engines
#   stop_dispatch [SIGNAL]
#   dispatch_engine NAME ADDRESS [ADDRESS6]
#                        the engine that is client NAME, in stack
#   attach_engine NAME ADDRESS [ADDRESS6]
#                        the same, of a client that attaches
#   two_engines6         all that for two of both families: e1, 10.1.0.2 and fd00:1::2, and e2,
#                        10.1.0.3 and fd00:1::3; the peer has fd00:1::1
#   of NAME KEY          of a client that attaches, in the list of clients
#   talk NETNS ADDRESS:PORT
#                        in the background: lines to who sends back what comes, and its answers
#                        compared, until $WORK/over is there; PID
#   bulk_begins ADDRESS  in the background: peer sends random bytes to a socat on the engine e2, until
#                        bulk_is_whole, which compares what was sent and received
#   echoed ADDRESS PORT CMD...
#                        how many bytes of a datagram of 9000 come back, to who runs under CMD
#   dispatch_counter KEY...
#                        e.g. port_rx, NAME_spoofed

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

[ -x "$BIN/gazelle-dispatch" ] || skip "gazelle-dispatch is not built"
DISPATCH=
DISPATCH_LOGS=0

dispatch_wire() {
	netns stack
	netns peer
	veth stack ve1 "" peer ve2 10.1.0.1/24
}

dispatch_config() {
	local client own more name
	{
		echo "name: $GZ_TEST_ID-d"
		echo "run_dir: $WORK"
		echo "${DISPATCH_PORT:-port: {driver: af_packet, iface: ve1\}}"
		in_memory "${DISPATCH_PORT:-}"
		[ -z "${GZ_DISPATCH_WORKERS:-}" ] || echo "workers: {cpus: [$GZ_DISPATCH_WORKERS]}"
		echo "clients:"
		for client in "$@"; do
			own=${client#*=}
			more=${own#*;}
			[ "$more" != "$own" ] || more=
			own=${own%%;*}
			name=${client%%=*}
			case $name in
			*:) echo "  - {name: $GZ_TEST_ID-${name%:}, address: ${own%%,*}" ;;
			*) echo "  - {name: $name, path: $WORK/$name.vhost, address: ${own%%,*}" ;;
			esac
			[ "$own" = "${own%%,*}" ] || echo "    , address6: \"${own#*,}\""
			echo "    ${more:+, $more} }"
		done
	} >"$WORK/dispatch.yaml"
}

start_dispatch() {
	dispatch_config "$@"
	DISPATCH_LOGS=$((DISPATCH_LOGS + 1))
	background "dispatch-$DISPATCH_LOGS.log" in_ns stack "$BIN/gazelle-dispatch" \
		--config "$WORK/dispatch.yaml"
	DISPATCH=$PID
	wait_line "dispatch-$DISPATCH_LOGS.log" ' serves '
}

stop_dispatch() {
	end "$DISPATCH" "${1:-TERM}"
}

dispatch_engine() {
	local six=
	[ -z "${3:-}" ] || six=", addresses6: [\"$3/64\"]"
	start_engine "$1" stack "port: {driver: virtio_user, path: $WORK/$1.vhost}
stack: {addresses: [$2/24]$six}
policy: {loopback: engine}
${GZ_ENGINE_WORKERS:+workers: {cpus: [$GZ_ENGINE_WORKERS]\}}"
	within 10 dispatch_has "$1_link" 1
}

# The name of an engine, and so of a client that attaches, has the test's before it
attach_engine() {
	local six=
	[ -z "${3:-}" ] || six=", addresses6: [\"$3/64\"]"
	start_engine "$1" stack "port: {driver: dispatch, path: $WORK/$GZ_TEST_ID-d.sock}
stack: {addresses: [$2/24]$six}
policy: {loopback: engine}
${GZ_ENGINE_WORKERS:+workers: {cpus: [$GZ_ENGINE_WORKERS]\}}"
	within 10 dispatch_has "$(client_key "$1" link)" 1
}

two_engines6() {
	dispatch_wire
	in_ns stack sysctl -qw net.ipv6.conf.ve1.disable_ipv6=1 || skip "the kernel has no IPv6"
	in_ns peer ip address add fd00:1::1/64 dev ve2 nodad
	start_dispatch e1=10.1.0.2,fd00:1::2 e2=10.1.0.3,fd00:1::3
	dispatch_engine e1 10.1.0.2 fd00:1::2
	dispatch_engine e2 10.1.0.3 fd00:1::3
}

# client_key NAME KEY - as dispatch_counter knows it, of a client that attaches
client_key() { echo "${GZ_TEST_ID//[-.]/_}_$1_$2"; }

of() {
	"$BIN/gazelle-ctl" dispatch clients "$GZ_TEST_ID-d" --json |
		python3 -c 'import json, sys
for r in json.load(sys.stdin):
	if r["name"] == sys.argv[1]: print(r[sys.argv[2]])' "$GZ_TEST_ID-$1" "$2"
}

talk() {
	background "lines-$2" in_ns "$1" bash -c '
		until exec 3<>"/dev/tcp/${0%:*}/${0#*:}"; do sleep 0.1; done 2>/dev/null
		for ((i = 0; ; i++)); do
			echo "line $i" >&3
			read -r -t 20 answer <&3 || exit 1
			[ "$answer" = "line $i" ] || exit 2
			[ ! -e "$1" ] || exit 0
			sleep 0.02
		done' "$2" "$WORK/over"
}

bulk_begins() {
	background sink gz e2 socat -u TCP-LISTEN:7000,reuseaddr SYSTEM:sha256sum
	wait_for 10 in_ns peer ping -q -c 1 -W 1 "$1" || fail "the engine does not answer"
	sleep 1
	head -c 1M /dev/urandom >"$WORK/data"
	background source in_ns peer bash -c \
		'while [ ! -e "$0/over" ]; do cat "$0/data"; sleep 0.1; done |
			tee >(sha256sum >"$0/sent") | socat -u - "TCP:$1:7000"' "$WORK" "$1"
	BULK=$PID
}

bulk_is_whole() {
	touch "$WORK/over"
	assert finish "$BULK" 60
	within 10 grep -q . "$WORK/sink"
	assert_eq "$(cut -c1-64 "$WORK/sink")" "$(cut -c1-64 "$WORK/sent")" "what e2 received"
}

echoed() {
	"${@:3}" python3 -S -c 'import socket, sys
to, port = sys.argv[1:]
s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.connect((to, int(port)))
s.send(b"x" * 9000)
print(s.recv(10000).count(b"x"))' "$1" "$2"
}

dispatch_counter() {
	python3 -S - "/var/run/dpdk/gazelle-$GZ_TEST_ID-d/dpdk_telemetry.v2" "$@" <<-'END'
		import json, socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		s.connect(sys.argv[1])
		s.recv(1024)
		s.send(b'/gazelle/dispatch')
		answer = json.loads(s.recv(16384))['/gazelle/dispatch']
		print(*[answer[key] for key in sys.argv[2:]])
	END
}

dispatch_has() { [ "$(dispatch_counter "$1")" = "$2" ]; }

# none_lost FILE - Of the pings in FILE, printed without -q, each but the last three has its reply: SIGINT ends
# ping(8) with replies under way, and its summary counts those as lost
none_lost() {
	assert_eq "$(awk 'match($0, /icmp_seq=[0-9]+/) {
			n = substr($0, RSTART + 9, RLENGTH - 9) + 0
			if (/bytes from/) seen[n] = 1
			if (n > last) last = n
		}
		/ packets transmitted/ { sent = $1 }
		END {
			for (n = 1; n <= sent - 3; n++) if (!(n in seen)) printf "%d ", n
			if (sent < 20 || last > sent) printf "%d sent", sent
		}' "$1")" "" "pings that were lost"
}
