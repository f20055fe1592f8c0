#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# rsync.sh - An rsync daemon forks for each client: a tree there and back

# shellcheck source=test/apps/common.bash
. "$(dirname "$0")/common.bash"
need rsync

tree_sum()
{
	(cd "$1" && find . -type f | sort | xargs sha256sum | sha256sum)
}

scenario()
{
	local i
	mkdir -p "$DIR"/served "$DIR"/in/a/b "$DIR"/out
	for i in 1 2 3 4 5 6 7 8; do
		random $((i * 70001)) "$DIR/in/a/f$i"
		echo "small $i" >"$DIR/in/a/b/s$i"
	done
	cat >"$DIR/conf" <<-EOF
		use chroot = no
		uid = root
		gid = root
		[tree]
		path = $DIR/served
		read only = no
	EOF
	start server sut rsync --daemon --no-detach --config="$DIR/conf" --address=$SUT --port=8730
	up server 8730
	peer timeout 20 rsync -a "$DIR/in/" rsync://$SUT:8730/tree/
	assert_eq "$(tree_sum "$DIR/served")" "$(tree_sum "$DIR/in")" "the tree that was sent"
	peer timeout 20 rsync -a rsync://$SUT:8730/tree/ "$DIR/out/"
	assert_eq "$(tree_sum "$DIR/out")" "$(tree_sum "$DIR/in")" "the tree that came back"
	# Some bytes change: only they travel
	echo more >>"$DIR/in/a/f8"
	peer timeout 20 rsync -a --no-whole-file "$DIR/in/" rsync://$SUT:8730/tree/
	assert_eq "$(tree_sum "$DIR/served")" "$(tree_sum "$DIR/in")" "the tree that changed"
	stop server

	start other peer rsync --daemon --no-detach --config="$DIR/conf" --address=$PEER --port=8731
	until_true 30 peer bash -c "exec 3<>/dev/tcp/$PEER/8731" 2>/dev/null
	rm -rf "$DIR/out" && mkdir "$DIR/out"
	sut timeout 20 rsync -a rsync://$PEER:8731/tree/ "$DIR/out/"
	assert_eq "$(tree_sum "$DIR/out")" "$(tree_sum "$DIR/in")" "the tree that the client got"
	stop other
}

main
