#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# python_http.sh - python3 -m http.server: a tree is downloaded, four at a time

. "${0%/*}/common.bash"
need python3 curl

PORT=8000

scenario()
{
	local d f
	for d in a a/b a/b/c d; do
		mkdir -p "$DIR/tree/$d"
		for f in 0 1 100 65536 300001; do
			random $f "$DIR/tree/$d/$f"
		done
	done
	random 20000000 "$DIR/tree/large"

	start http sut python3 -u -m http.server --bind "$SUT" --directory "$DIR/tree" $PORT
	up http $PORT
	[[ $(peer curl -sS --fail "http://$SUT:$PORT/a/") == *300001* ]] || fail "no listing of /a/"
	(cd "$DIR/tree" && find . -type f -printf '%P\n') |
		peer xargs -P 4 -I '{}' curl -sS --fail --create-dirs --max-time 20 \
			-o "$DIR/copy/{}" "http://$SUT:$PORT/{}" || fail "a download failed"
	diff -r "$DIR/tree" "$DIR/copy" || fail "the copy differs"
	sut curl -sS --fail -o "$DIR/within" "http://$SUT:$PORT/large"
	same "within the stack" "$DIR/within" "$DIR/tree/large"
	stop http
}

main
