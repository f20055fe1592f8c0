# SPDX-License-Identifier: BSD-3-Clause
#
# common.bash - What the tests of real programs share; to be sourced first
#
# A test is a script that defines scenario() and ends in "main".  main runs the
# scenario twice, each time in a process and with namespaces of its own:
#
#   kernel    `sut` runs a program on the kernel's stack: what is expected
#             holds there, or the test is wrong
#   gazelle   `sut` runs it under gazelle-run: the same must hold
#
# In both, `peer` runs a program on the kernel's stack at the other end of the
# wire.  The stack under test has the address $SUT, the peer $PEER.
#
# Results: 0 passed, 77 skipped (with a reason), anything else failed.
# VARIANTS="kernel" or "gazelle" in the environment runs only that.

set -euo pipefail

SELF=$(realpath "$0")
ROOT=$(realpath "${BASH_SOURCE[0]%/*}/../..")
BUILD=${BUILD:-build}
[[ $BUILD == /* ]] || BUILD=$ROOT/$BUILD
PATH=$PATH:/usr/sbin:/sbin

say()
{
	printf '%s\n' "${VARIANT:+$VARIANT: }$*"
}

skip()
{
	say "skipped: $*"
	exit 77
}

# fail WHAT... - Say it, show the logs of what was started, end
fail()
{
	trap - ERR
	say "FAILED: $*" >&2
	local log
	for log in "${DIR:-/nonexistent}"/*.log; do
		[[ -s $log ]] || continue
		printf -- '--- %s\n' "${log##*/}" >&2
		tail -n 25 "$log" >&2
	done
	exit 1
}

# need PROGRAM... - Skip unless all can be run
need()
{
	local p
	for p; do
		command -v "$p" >/dev/null || skip "$p is not there"
	done
}

# --- programs started -------------------------------------------------------

declare -A PIDS=()

# start NAME COMMAND... - Run in the background, output in $DIR/NAME.log
start()
{
	local name=$1
	shift
	(
		trap - ERR
		EXEC=exec # $! becomes the program's own pid, not a shell's
		"$@"
	) >"$DIR/$name.log" 2>&1 </dev/null &
	PIDS[$name]=$!
}

alive()
{
	[[ -e /proc/$1 ]] && ! grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null
}

# until_true SECONDS COMMAND... - Repeat until it succeeds
until_true()
{
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.05
	done
}

gone()
{
	! alive "$1"
}

# stop NAME - End what start began; it must heed SIGTERM
stop()
{
	local pid=${PIDS[$1]}
	unset "PIDS[$1]"
	kill "$pid" 2>/dev/null || :
	until_true 10 gone "$pid" || fail "$1 does not end on SIGTERM"
	wait "$pid" 2>/dev/null || :
}

connects()
{
	peer timeout 2 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null
}

# up NAME PORT - Wait until NAME, at the stack under test, takes connections
up()
{
	local end=$((SECONDS + 15))
	until connects "$SUT" "$2"; do
		alive "${PIDS[$1]}" || fail "$1 ended instead of listening on port $2"
		((SECONDS < end)) || fail "$1 does not listen on $SUT port $2"
		sleep 0.1
	done
}

# said NAME TEXT - Wait until NAME's output holds TEXT
said()
{
	local end=$((SECONDS + 15))
	until grep -qsF -- "$2" "$DIR/$1.log"; do
		alive "${PIDS[$1]}" || fail "$1 ended without saying \"$2\""
		((SECONDS < end)) || fail "$1 never said \"$2\""
		sleep 0.05
	done
}

# same WHAT FILE FILE - Compare, by content
same()
{
	cmp -- "$2" "$3" >&2 || fail "$1: differs"
}

sum()
{
	sha256sum <"$1" | cut -d' ' -f1
}

# random BYTES FILE - Bytes that do not compress, the same in every run
random()
{
	python3 -c '
import random, sys
n = int(sys.argv[1])
with open(sys.argv[2], "wb") as f:
	r = random.Random(n)
	while n:
		k = min(n, 1 << 20)
		f.write(r.randbytes(k))
		n -= k' "$1" "$2"
}

# --- the wire ---------------------------------------------------------------

# in_ns NAME COMMAND...
in_ns()
{
	local ns=$1
	shift
	${EXEC:-} nsenter --net="/run/netns/$ns" -- "$@"
}

peer()
{
	in_ns "$NS-peer" "$@"
}

wire_kernel()
{
	SUT=10.98.0.2 PEER=10.98.0.1
	ip netns add "$NS-peer"
	ip netns add "$NS-sut"
	ip -n "$NS-peer" link add v0 type veth peer name v0 netns "$NS-sut"
	ip -n "$NS-peer" addr add "$PEER/24" dev v0
	ip -n "$NS-sut" addr add "$SUT/24" dev v0
	local side
	for side in peer sut; do
		ip -n "$NS-$side" link set lo up
		ip -n "$NS-$side" link set v0 up
	done
	sut()
	{
		in_ns "$NS-sut" "$@"
	}
}

has_address()
{
	ip -n "$NS-peer" -4 addr show | grep -qF " $1/"
}

# The embedded engine: gazelle-run starts it and its veth in the peer's
# namespace; it ends after its last program.  So the first is one that waits:
# the peer's address is there before the scenario, and stays.  A name and
# folders of its own keep the engine apart from others of this machine.
wire_gazelle()
{
	SUT=10.213.0.2 PEER=10.213.0.1
	ENGINE=$NS
	ip netns add "$NS-peer"
	ip -n "$NS-peer" link set lo up
	mkdir "$DIR/run"
	printf 'name: %s\nrun_dir: %s\n' "$ENGINE" "$DIR/run" >"$DIR/gazelle.yaml"
	export RUNTIME_DIRECTORY=$DIR/run # DPDK's and thereby telemetry's
	sut()
	{
		peer "$BUILD/bin/gazelle-run" -c "$DIR/gazelle.yaml" "$@"
	}
	start keeper sut sleep 1000
	until_true 15 has_address "$PEER" || fail "no engine: the peer got no address"
}

cleanup()
{
	local status=$? pid
	trap - EXIT ERR
	set +e
	for pid in "${PIDS[@]}"; do
		kill "$pid" 2>/dev/null
	done
	for pid in "${PIDS[@]}"; do
		until_true 5 gone "$pid" || kill -KILL "$pid" 2>/dev/null
	done
	local side
	for side in sut peer; do
		[[ -e /run/netns/$NS-$side ]] || continue
		# daemons and whatever a test lost: all in here is ours
		for pid in $(ip netns pids "$NS-$side"); do
			kill "$pid" 2>/dev/null
			until_true 5 gone "$pid" || kill -KILL "$pid" 2>/dev/null
		done
		ip netns del "$NS-$side"
	done
	rm -rf "$DIR"
	exit "$status"
}

# --- running ----------------------------------------------------------------

run_variant()
{
	NS=gz$$
	DIR=$(mktemp -d "${TMPDIR:-/tmp}/gazelle-app.XXXXXX")
	chmod 755 "$DIR" # servers that drop root read it
	trap cleanup EXIT
	trap 'exit 130' INT TERM
	"wire_$VARIANT"
	set -E
	trap 'fail "${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND"' ERR
	scenario
	say passed
}

main()
{
	[[ $(id -u) == 0 ]] || skip "needs root, for network namespaces"
	if [[ -n ${VARIANT:-} ]]; then
		run_variant
		return
	fi

	# What the kernel's run leaves here, the other may compare with
	KEEP=$(mktemp -d "${TMPDIR:-/tmp}/gazelle-keep.XXXXXX")
	export KEEP
	trap 'rm -rf "$KEEP"' EXIT
	trap 'exit 130' INT TERM
	local v status
	for v in ${VARIANTS:-kernel gazelle}; do
		if [[ $v == gazelle && ! -x $BUILD/bin/gazelle-run ]]; then
			skip "gazelle-run is not built"
		fi
		status=0
		# its own process group: the time-out reaches what it started
		VARIANT=$v timeout -k 10 "${LIMIT:-60}" bash "$SELF" || status=$?
		((status != 124)) || say "FAILED: $v: still not done after ${LIMIT:-60} s" >&2
		((status == 0)) || exit "$status"
	done
}
