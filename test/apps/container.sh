#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# container.sh - Programs with pid, mount, network, IPC and UTS namespaces of their own
#
# The engine is outside; all that it shares with them is its control socket,
# which is bind-mounted to where gazelle-run looks for it.

. "${0%/*}/common.bash"
need unshare mount curl python3
ECHO=$T/static/echo-musl

# contained COMMAND... - in new namespaces; on the kernel, the network stays
contained()
{
	local net=() run=()
	if [[ $VARIANT == gazelle ]]; then
		net=(--net)
		run=("$BIN/gazelle-run" --config /tmp/c/e.yaml --)
	fi
	in_ns sut unshare --pid --mount --ipc --uts --fork --mount-proc --kill-child "${net[@]}" \
		bash -c '
		set -e
		mount -t tmpfs tmpfs /mnt
		if [ "$1" = gazelle ]; then
			touch /mnt/sock && mount --bind "$2" /mnt/sock
			cp "$3" /mnt/e.yaml
			mount -t tmpfs tmpfs /tmp || exit 1
			mkdir /tmp/c
			sed "s,^run_dir:.*,run_dir: /tmp/c," /mnt/e.yaml >/tmp/c/e.yaml
			touch "/tmp/c/${2##*/}" && mount --bind /mnt/sock "/tmp/c/${2##*/}"
		else
			mount -t tmpfs tmpfs /tmp
		fi
		shift 3
		[ "$$" = 1 ]
		exec "$@"' \
		contained $VARIANT "$WORK/$GZ_TEST_ID-e.sock" "$WORK/e.yaml" "${run[@]}" "$@"
}

scenario()
{
	local want
	# Programs must not be in /tmp, which the container has of its own.
	[[ $BUILD != /tmp/* ]] || skip "the build directory is in /tmp"
	random 2000000 "$DIR/file"
	want=$(sum "$DIR/file")
	start http peer python3 -m http.server --bind $PEER --directory "$DIR" 8000
	until_true 10 connects $PEER 8000 || fail "the server does not listen"
	got=$(contained bash -c "curl -sS --fail --max-time 20 http://$PEER:8000/file | sha256sum")
	[[ ${got%% *} == "$want" ]] || fail "curl in a container: $got"

	start server contained "$ECHO" server $SUT 7007
	said server listening
	peer "$ECHO" client $SUT 7007 500000 10
	# Two containers meet in the engine; on the kernel they share a network.
	contained "$ECHO" client $SUT 7007 100000 3
	stop_container
	stop http
}

# SIGTERM to unshare does not reach the first process of a container; its end does.
stop_container()
{
	local pid=${PIDS[server]}
	unset "PIDS[server]"
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null || :
}

main
