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
# It stands on lib.sh, whose functions the scenarios may use.
# VARIANTS="kernel" or "gazelle" in the environment runs only that.

SELF=$(realpath "$0")
OUTER_ID=${GZ_TEST_ID:-} # test/run's, before lib.sh appends ours
# shellcheck source=test/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
set -o pipefail
PATH=$PATH:/usr/sbin:/sbin

say()
{
	printf '%s\n' "${VARIANT:+$VARIANT: }$*"
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

# start NAME COMMAND... - Run in the background, output in $WORK/NAME.log
start()
{
	local name=$1
	shift
	: >"$WORK/$name.log" # of one that had this name before
	(
		trap - ERR
		EXEC=exec # $! becomes the program's own pid, not a shell's
		"$@"
	) >"$WORK/$name.log" 2>&1 </dev/null &
	PIDS[$name]=$!
}

# program NAME - The pid of what start runs under test: not that of its gazelle-run
program()
{
	if [[ $VARIANT == gazelle ]]; then
		program_of "${PIDS[$1]}"
	else
		echo "${PIDS[$1]}"
	fi
}

alive()
{
	! gone "$1"
}

# until_true SECONDS COMMAND... - Repeat until it succeeds; unlike wait_for,
# what COMMAND says is seen, so that it may call fail
until_true()
{
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.05
	done
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
	until grep -qsF -- "$2" "$WORK/$1.log"; do
		# It may have said so and ended since.
		alive "${PIDS[$1]}" || grep -qsF -- "$2" "$WORK/$1.log" ||
			fail "$1 ended without saying \"$2\""
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

SUT=10.98.0.2 PEER=10.98.0.1

# As lib.sh's, and exec'd where start asks for it
in_ns()
{
	local ns=$1
	shift
	${EXEC:-} ip netns exec "$GZ_TEST_ID-$ns" "$@"
}

peer()
{
	in_ns peer "$@"
}

sut_kernel()
{
	in_ns sut "$@"
}

sut_gazelle()
{
	gz e "$@"
}

sut()
{
	"sut_$VARIANT" "$@"
}

wire_kernel()
{
	netns peer
	netns sut
	veth peer v0 $PEER/24 sut v0 $SUT/24
}

wire_gazelle()
{
	netns peer
	netns sut
	veth peer v0 $PEER/24 sut v0
	start_engine e sut "log: ${GZ_LOG:-info}
port:
  iface: v0
stack:
  addresses: [$SUT/24]"
}

app_cleanup()
{
	local status=$? pid side
	trap '' INT TERM HUP
	trap - ERR
	set +e
	{
		for pid in "${PIDS[@]}"; do
			kill "$pid"
		done
		for pid in "${PIDS[@]}"; do
			until_true 5 gone "$pid" || kill -KILL "$pid"
		done
		# Daemons, and what a test lost: all in these namespaces is ours.  lib.sh
		# looks at environments, which nginx and redis write their titles over.
		for side in peer sut; do
			for pid in $(ip netns pids "$GZ_TEST_ID-$side"); do
				[[ $pid == "${ENGINE_PID_OF[e]:-}" ]] || kill "$pid"
			done
			for pid in $(ip netns pids "$GZ_TEST_ID-$side"); do
				[[ $pid == "${ENGINE_PID_OF[e]:-}" ]] && continue
				until_true 3 gone "$pid" || kill -KILL "$pid"
			done
		done
	} 2>/dev/null
	rm -rf "$DIR"
	(exit "$status")
	cleanup
}

# --- running ----------------------------------------------------------------

run_variant()
{
	KEEP=${KEEP:-$WORK}
	# For data, apart from $WORK: servers that drop root must reach it
	DIR=$(mktemp -d "${TMPDIR:-/tmp}/gzt.app.XXXXXX")
	chmod 755 "$DIR"
	trap app_cleanup EXIT
	"wire_$VARIANT"
	set -E
	trap 'trap - ERR; fail "${BASH_SOURCE[0]##*/}:$LINENO: $BASH_COMMAND"' ERR
	scenario
	trap - ERR
	if [[ $VARIANT == gazelle ]]; then
		alive "${ENGINE_PID_OF[e]}" || fail "the engine ended"
	fi
	say passed
}

main()
{
	[[ $(id -u) == 0 ]] || skip "needs root, for network namespaces"
	if [[ -n ${VARIANT:-} ]]; then
		run_variant
		return
	fi

	# What the kernel's run leaves in $KEEP, the other may compare with
	local v status
	for v in ${VARIANTS:-kernel gazelle}; do
		if [[ $v == gazelle && ! -x $BIN/gazelle-run ]]; then
			skip "gazelle-run is not built"
		fi
		status=0
		# its own process group: the time-out reaches what it started
		GZ_TEST_ID=$OUTER_ID KEEP=$WORK VARIANT=$v \
			timeout -k 10 "${LIMIT:-60}" bash "$SELF" || status=$?
		((status != 124)) || echo "FAILED: still not done after ${LIMIT:-60} s" >&2
		((status == 0)) || {
			echo "$v: status $status" >&2
			exit "$status"
		}
	done
}
