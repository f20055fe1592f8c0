# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# dispatch_common.bash - A dispatcher on the wire, for test/net/dispatch_*.sh
#
#   dispatch_wire        namespaces stack and peer (10.1.0.1) with a veth pair
#   start_dispatch NAME=ADDRESS[,ADDRESS6][;KEY: VALUE, ...]...
#                        gazelle-dispatch in stack, with these clients; on ve1,
#                        or as $DISPATCH_PORT has it
#   stop_dispatch [SIGNAL]
#   dispatch_engine NAME ADDRESS [ADDRESS6]
#                        the engine that is client NAME, in stack
#   dispatch_counter KEY e.g. port_rx, NAME_spoofed

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

start_dispatch() {
	local client own more
	{
		echo "name: $GZ_TEST_ID-d"
		echo "${DISPATCH_PORT:-port: {driver: af_packet, iface: ve1\}}"
		echo "clients:"
		for client in "$@"; do
			own=${client#*=}
			more=${own#*;}
			[ "$more" != "$own" ] || more=
			own=${own%%;*}
			echo "  - {name: ${client%%=*}, path: $WORK/${client%%=*}.vhost, address: ${own%%,*}"
			[ "$own" = "${own%%,*}" ] || echo "    , address6: \"${own#*,}\""
			echo "    ${more:+, $more} }"
		done
	} >"$WORK/dispatch.yaml"
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
policy: {loopback: engine}"
	within 10 dispatch_has "$1_link" 1
}

dispatch_counter() {
	python3 - "/var/run/dpdk/gazelle-$GZ_TEST_ID-d/dpdk_telemetry.v2" "$1" <<-'END'
		import json, socket, sys
		s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		s.connect(sys.argv[1])
		s.recv(1024)
		s.send(b'/gazelle/dispatch')
		print(json.loads(s.recv(16384))['/gazelle/dispatch'][sys.argv[2]])
	END
}

dispatch_has() { [ "$(dispatch_counter "$1")" = "$2" ]; }
