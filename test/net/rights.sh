#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# rights.sh - Who may not start an engine is told what is missing; who may not join one, too

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"
command -v setpriv >/dev/null || skip "setpriv is not there"

netns stack
ran=$WORK/ran
# Others are to come as far as the configuration and the socket.
for dir in "$WORK" "${GZ_TEST_TMP:-$WORK}"; do
	[ "$dir" = /tmp ] || chmod 711 "$dir"
done
engine_config e stack "linger: 1s"
chmod 644 "$(config_of e)"

# run CAPS - without these capabilities, otherwise root
run() {
	in_ns stack setpriv --bounding-set "$1" --inh-caps "$1" \
		"$BIN/gazelle-run" --config "$(config_of e)" touch "$ran" 2>&1
}

for cap in net_admin net_raw sys_admin sys_ptrace; do
	said=$(run -$cap) && fail "started without $cap"
	assert_eq $? 125 "exit status"
	assert_match "$said" "starting one takes rights that you lack: CAP_${cap^^};"
done
said=$(run -net_admin,-net_raw,-sys_admin,-sys_ptrace) && fail "started without any"
assert_match "$said" "lack: CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN, CAP_SYS_PTRACE;"
[ ! -e "$ran" ] || fail "the program ran all the same"

# The engine of another user: its socket says no, and a group's may be let in.
wire_config="port: {veth: {host: gz0, address: 10.213.0.1/24}, iface: gz0e}
stack: {addresses: [10.213.0.2/24]}"
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all)
start_engine other stack "$wire_config"
"${nobody[@]}" test -x "$BIN/gazelle-run" || skip "the build is not for others to see"
sock=$(sed -n 's/.*ready at //p' "$WORK"/*-other.log)
join() {
	in_ns stack "${nobody[@]}" "$BIN/gazelle-run" --config "$(config_of other)" true 2>&1
}
chmod 644 "$(config_of other)"
said=$(join) && fail "nobody joined root's engine"
assert_match "$said" "$sock.*ermission|ermission.*$sock"
chgrp 65534 "$sock"
chmod g+w "$sock"
said=$(join) || fail "the group may not join: $said"
stop_engine other
