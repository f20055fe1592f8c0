# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# lib.sh - Namespaces, engines and assertions for test/net/*.sh and test/apps/*.sh
#
# A test is a bash script that begins with
#
#	. "$(dirname "$0")/../lib.sh"
#
# and runs on its own as well as from test/run.  It passes by exit status 0,
# fails by any other, and is skipped by 77; what it prints is shown when it
# fails.  `set -eu` holds.  Everything that it makes is named after $GZ_TEST_ID,
# which is its own, and is gone when it ends, however it ends.
#
#   BUILD BIN T          build directory, its programs, its test programs
#   WORK                 a temporary directory of this test
#
#   netns NAME           make a namespace with lo up
#   in_ns NAME CMD...    run there
#   veth NS1 IF1 ADDR1 NS2 IF2 [ADDR2]
#                        a pair between two namespaces, up, offloads off; an
#                        empty or missing address: none
#   wire                 namespaces stack (ve1) and peer (ve2, 10.1.0.1), and
#   link_local NAME IFACE
#                        the link-local address of an interface there, or of the engine on it
#   start_wire_engine NAME [DRIVER]
#                        an engine in stack with 10.1.0.2, by default on af_packet
#   bad_wire [ADDR]      the same with the namespace between in the middle, where
#   forward SEED FAULTS FAULTS
#                        passes the frames of stack, and of peer, with faults as
#                        test/net/forwarder.c has them; forward again for others
#   forwarded WHO WHAT   end it; the count WHAT of the frames of stack or peer
#   start_engine NAME NS [YAML]
#                        start gazelle-engine in NS; YAML is the configuration
#                        but for name and run_dir, on standard input if missing;
#                        waits for the control socket
#   engine_pid NAME      its pid
#   stop_engine NAME     SIGTERM, and wait for its end
#   gz NAME CMD...       run CMD on the engine NAME, in its namespace
#   engine_config NAME NS YAML
#                        only write the configuration: gazelle-run starts it
#   ctl NAME ARG...      gazelle-ctl on that engine
#   counter NAME KEYS    sum of the counters whose names match, e.g. 'ip_drop|tcp_drop'
#   config_of NAME       path of its configuration, ns_of NAME its namespace
#
#   background OUT CMD.. start CMD (a function works too) with its output in the
#                        file $WORK/OUT; PID is its pid
#   program_of PID       the program that the gazelle-run of that pid runs
#   finish PID [SECONDS] wait for it; its exit status
#   end PID [SIGNAL]     send it a signal, and wait for it
#   wait_for SECONDS CMD...
#                        repeat CMD until it succeeds
#   wait_line OUT TEXT [SECONDS]
#                        wait until $WORK/OUT has a line that contains TEXT
#   lines_in OUT         how many lines $WORK/OUT has
#   goes_on OUT...       wait until each of them has more than now
#   wait_port NS ADDR PORT
#                        wait until a kernel process in NS can connect there
#
#   fail TEXT, skip TEXT end the test
#   assert_eq GOT WANT [WHAT], assert_ne, assert_match GOT REGEX [WHAT]
#   assert CMD..., refute CMD..., within SECONDS CMD...

set -eu

TEST_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
BUILD=${BUILD:-build}
case $BUILD in
/*) ;;
*) BUILD=$(dirname "$TEST_DIR")/$BUILD ;;
esac
BIN=$BUILD/bin
# shellcheck disable=SC2034 # for the tests
T=$BUILD/test

# A python3 that is a version manager's script takes longer to find the interpreter than most of
# ours to run.
read -r -N 2 start <"$(command -v python3)" 2>/dev/null || true
if [ "${start:-}" = '#!' ]; then
	PATH=$(python3 -c 'import os, sys; print(os.path.dirname(sys.executable))'):$PATH
fi
unset start

# Processes are found by the identity in their environment; test/run's, to
# which ours is appended, finds those of all its tests.
export GZ_TEST_ID=${GZ_TEST_ID:+$GZ_TEST_ID-}gzt$$
WORK=$(mktemp -d "${GZ_TEST_TMP:-/tmp}/gzt.XXXXXX")
declare -A CONFIG_OF=() NS_OF=() ENGINE_PID_OF=()
PID=
EXEC=

fail() {
	echo "FAILED: $*" >&2
	local i
	for ((i = 1; i < ${#FUNCNAME[@]}; i++)); do
		echo "  ${BASH_SOURCE[i]##*/}:${BASH_LINENO[i - 1]}: ${FUNCNAME[i]}" >&2
	done
	exit 1
}

skip() {
	echo "skipped: $*" >&2
	exit 77
}

# --- cleaning up ----------------------------------------------------------------------------

# Pids of the living processes that carry identity $1, or one made from it.
pids_of() {
	local f pid
	# A process of another user, or one that just ended, is not ours.
	for f in $(grep -lzE "^GZ_TEST_ID=$1(-|$)" /proc/[0-9]*/environ 2>/dev/null); do
		pid=${f#/proc/}
		pid=${pid%/environ}
		[ "$pid" = $$ ] || echo "$pid"
	done
}

# kill_all ID - end them: first asked, after a second not
kill_all() {
	local pid i pids
	pids=$(pids_of "$1")
	[ -n "$pids" ] || return 0
	for pid in $pids; do
		kill -CONT "$pid" 2>/dev/null || true
		kill -TERM "$pid" 2>/dev/null || true
	done
	for ((i = 0; i < 10; i++)); do
		pids=$(pids_of "$1")
		[ -n "$pids" ] || return 0
		sleep 0.1
	done
	for pid in $pids; do
		kill -KILL "$pid" 2>/dev/null || true
	done
}

# remove_all ID - its processes, namespaces, and what DPDK left behind
remove_all() {
	local ns dir
	kill_all "$1"
	ip netns list 2>/dev/null | while read -r ns _; do
		case $ns in
		"$1"-*) ip netns del "$ns" ;;
		esac
	done
	for dir in /var/run/dpdk/{gazelle-,}"$1"-*; do
		[ -d "$dir" ] && rm -rf "$dir"
	done
	return 0
}

cleanup() {
	local status=$?
	trap '' INT TERM HUP
	set +e
	if [ $status != 0 ] && [ $status != 77 ] && [ -z "${QUIET_CLEANUP:-}" ]; then
		for f in "$WORK"/*.log; do
			[ -s "$f" ] || continue
			echo "--- ${f##*/}, the last lines"
			[ -z "${GZ_KEEP_LOGS:-}" ] || cp "$f" "$GZ_KEEP_LOGS/"
			tail -n 15 "$f"
		done
	fi
	{
		remove_all "$GZ_TEST_ID"
		wait
	} 2>/dev/null
	rm -rf "$WORK"
	exit $status
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# --- namespaces -----------------------------------------------------------------------------

netns() {
	ip netns add "$GZ_TEST_ID-$1" || skip "namespaces cannot be made here"
	ip -n "$GZ_TEST_ID-$1" link set lo up
}

in_ns() {
	local ns=$1
	shift
	$EXEC ip netns exec "$GZ_TEST_ID-$ns" "$@"
}

# Complete checksums and frames no larger than the MTU: what the driver on the
# other end can take, see docs/design.md.
offloads_off() {
	in_ns "$1" ethtool -K "$2" tx off tso off gso off gro off >/dev/null
}

veth() {
	local a=$GZ_TEST_ID-$1 b=$GZ_TEST_ID-$4
	ip -n "$a" link add "$2" type veth peer name "$5" netns "$b"
	[ -z "$3" ] || ip -n "$a" address add "$3" dev "$2"
	[ -z "${6:-}" ] || ip -n "$b" address add "$6" dev "$5"
	offloads_off "$1" "$2"
	offloads_off "$4" "$5"
	ip -n "$a" link set "$2" up
	ip -n "$b" link set "$5" up
}

# The wire that most tests want: ve1 in namespace "stack", without an address,
# for an engine with 10.1.0.2; ve2 in "peer", the kernel's, with 10.1.0.1.
wire() {
	netns stack
	netns peer
	veth stack ve1 "" peer ve2 10.1.0.1/24
	# No link-local address of the kernel's: the engine's is the same.
	in_ns stack sysctl -qw net.ipv6.conf.ve1.disable_ipv6=1 2>/dev/null || true
}

# link_local NAME IFACE - by its MAC address (RFC 4291 appendix A)
link_local() {
	local b
	IFS=: read -ra b < <(in_ns "$1" cat "/sys/class/net/$2/address")
	printf 'fe80::%x:%xff:fe%s:%x' $(((0x${b[0]} ^ 2) << 8 | 0x${b[1]})) "0x${b[2]}" "${b[3]}" \
		$((0x${b[4]} << 8 | 0x${b[5]}))
}

# bad_wire [ADDR] - stack (ve1, by default without an address) and peer as above, apart
bad_wire() {
	netns stack
	netns between
	netns peer
	in_ns between sysctl -qw net.ipv6.conf.default.disable_ipv6=1
	veth stack ve1 "${1:-}" between m1
	veth between m2 "" peer ve2 10.1.0.1/24
}

# forward SEED FAULTS-OF-STACK FAULTS-OF-PEER
FORWARDER=
forward() {
	[ -z "$FORWARDER" ] || end "$FORWARDER"
	background forwarder.out in_ns between "$T/net/forwarder" "$1" m1 m2 "$2" "$3"
	FORWARDER=$PID
	wait_line forwarder.out ready
}

# forwarded stack|peer COUNT - end the forwarder, and print a count of it
forwarded() {
	local iface=m1
	[ "$1" = stack ] || iface=m2
	end "$FORWARDER"
	tr ' ' '\n' <"$WORK/forwarder.out" | awk -v i=$iface -v w="$2" \
		'/^m[12]$/ { at = $0 } last == w && at == i { print } { last = $0 }'
}

# start_wire_engine NAME [DRIVER] - the engine of that wire
start_wire_engine() {
	start_engine "$1" stack "port: {driver: ${2:-af_packet}, iface: ve1}
stack: {addresses: [10.1.0.2/24]}"
}

# --- processes ------------------------------------------------------------------------------

background() {
	local out=$WORK/$1
	shift
	: >"$out"
	(
		# shellcheck disable=SC2209
		EXEC=exec # a signal to PID is to hit the program, not a shell
		"$@"
	) >"$out" 2>&1 </dev/null &
	PID=$!
}

program_of() {
	within 5 pgrep -P "$1"
	pgrep -P "$1" | head -n 1
}

finish() {
	local pid=$1 limit=${2:-60} end=$((SECONDS + ${2:-60}))
	while kill -0 "$pid" 2>/dev/null; do
		[ $SECONDS -le $end ] || fail "process $pid did not end within $limit s"
		sleep 0.02
	done
	wait "$pid"
}

end() {
	kill -"${2:-TERM}" "$1" 2>/dev/null || true
	{ finish "$1" 10 || true; } 2>/dev/null
}

# In microseconds: SECONDS ticks, and a second of it may be a moment.
wait_for() {
	local end=$((${EPOCHREALTIME/./} + $1 * 1000000))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "${EPOCHREALTIME/./}" -lt $end ] || return 1
		sleep 0.02
	done
}

wait_line() {
	wait_for "${3:-10}" grep -qF -- "$2" "$WORK/$1" ||
		fail "no '$2' in $1, which says: $(cat "$WORK/$1")"
}

lines_in() { wc -l <"$WORK/$1"; }
more_than() { [ "$(lines_in "$1")" -gt "$2" ]; }
goes_on() {
	local f n
	for f; do
		n=$(lines_in "$f")
		wait_for 30 more_than "$f" "$n" || fail "$f stopped after $n: $(tail -n 3 "$WORK/$f")"
	done
}

wait_port() {
	# shellcheck disable=SC2016
	wait_for 10 in_ns "$1" timeout 1 bash -c 'exec 3<>/dev/tcp/$0/$1' "$2" "$3" ||
		fail "nothing listens at $2:$3, seen from $1"
}

# --- engines --------------------------------------------------------------------------------

config_of() { echo "${CONFIG_OF[$1]}"; }
ns_of() { echo "${NS_OF[$1]}"; }
engine_pid() { echo "${ENGINE_PID_OF[$1]}"; }

# in_memory YAML - what a configuration says of its memory, unless it does so itself; see
# "huge" in test/run
in_memory() {
	[[ $1 =~ (^|$'\n')memory: ]] || echo "memory: {hugepages: ${GZ_TEST_HUGEPAGES:-never}}"
}

engine_config() {
	local file=$WORK/$1.yaml
	{
		echo "name: $GZ_TEST_ID-$1"
		echo "run_dir: $WORK"
		printf '%s\n' "$3"
		in_memory "$3"
		# With so many workers, wherever it is not said otherwise
		[ -z "${GZ_TEST_WORKERS:-}" ] || [[ $3 =~ (^|$'\n')workers: ]] ||
			echo "workers: {cpus: [$(seq -s, "$GZ_TEST_WORKERS" | sed 's/[0-9]\+/-1/g')]}"
	} >"$file"
	CONFIG_OF[$1]=$file
	NS_OF[$1]=$2
}

start_engine() {
	local yaml
	[ -x "$BIN/gazelle-engine" ] || skip "gazelle-engine is not built"
	if [ $# -ge 3 ]; then yaml=$3; else yaml=$(cat); fi
	engine_config "$1" "$2" "linger: 0s
$yaml"
	background "engine-$1.log" in_ns "$2" "$BIN/gazelle-engine" --config "${CONFIG_OF[$1]}"
	ENGINE_PID_OF[$1]=$PID
	wait_for 15 engine_up "$1" || fail "the engine $1 did not start"
}

engine_up() {
	kill -0 "${ENGINE_PID_OF[$1]}" && [ -S "$WORK/$GZ_TEST_ID-$1.sock" ]
}

stop_engine() {
	kill -TERM "${ENGINE_PID_OF[$1]}"
	finish "${ENGINE_PID_OF[$1]}" 10 || fail "the engine $1: SIGTERM ended it with status $?"
	# Nothing is left behind.
	[ ! -e "$WORK/$GZ_TEST_ID-$1.sock" ] || fail "the engine $1 left its control socket"
	[ ! -e "/var/run/dpdk/gazelle-$GZ_TEST_ID-$1" ] || fail "the engine $1 left DPDK's files"
}

# A process that is a zombie is gone, for whoever waits for its end.
gone() {
	! kill -0 "$1" 2>/dev/null || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null
}

gz() {
	local name=$1
	shift
	# shellcheck disable=SC2086
	in_ns "${NS_OF[$name]}" "$BIN/gazelle-run" ${GZ_RUN_ARGS:-} \
		--config "${CONFIG_OF[$name]}" -- "$@"
}

# each_serves ENGINE NETNS MB - so much each way over the wire, compared; served by the engine at
# 10.1.0.2, port 7000, then by the kernel of NETNS at 10.1.0.1, port 7001
each_serves() {
	local helper=$T/semantics/helper_transfer
	background serve gz "$1" "$helper" serve 10.1.0.2 7000 "$3"
	wait_line serve ready
	assert in_ns "$2" "$helper" client 10.1.0.2 7000 "$3"
	assert finish "$PID"
	background serve in_ns "$2" "$helper" serve 10.1.0.1 7001 "$3"
	wait_line serve ready
	assert gz "$1" "$helper" client 10.1.0.1 7001 "$3"
	assert finish "$PID"
}

ctl() {
	local name=$1
	shift
	"$BIN/gazelle-ctl" --engine "$GZ_TEST_ID-$name" "$@"
}

counter() {
	ctl "$1" stats --json | tr '{},' '\n' |
		awk -F: -v want="^[[:space:]]*\"($2)\"[[:space:]]*$" \
			'$1 ~ want { n += $2 } END { print n + 0 }'
}

# --- assertions -----------------------------------------------------------------------------

assert() {
	"$@" || fail "'$*' has status $?"
}

refute() {
	if "$@"; then fail "'$*' succeeded"; fi
}

# within SECONDS CMD... - CMD succeeds before SECONDS have passed
within() {
	wait_for "$@" || fail "not within $1 s: ${*:2}"
}

assert_eq() {
	[ "$1" = "$2" ] || fail "${3:-value} is '$1', expected '$2'"
}

assert_ne() {
	[ "$1" != "$2" ] || fail "${3:-value} is '$1', expected something else"
}

assert_match() {
	[[ $1 =~ $2 ]] || fail "${3:-value} is '$1', expected it to match '$2'"
}
