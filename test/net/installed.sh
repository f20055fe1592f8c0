#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# installed.sh - make install into a folder: what is there works from there, and
# make uninstall leaves nothing

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"

SRC=$(dirname "$TEST_DIR")
DEST=$WORK/dest
ETC=$DEST/etc/gazelle
case $BUILD in
*-san) skip "make install would build it again, without the sanitizers" ;;
esac

make_it() {
	make -s -C "$SRC" BUILD="$BUILD" DESTDIR="$DEST" PREFIX=/opt/gz "$@" >"$WORK/make" 2>&1 ||
		fail "make $* failed: $(cat "$WORK/make")"
}

# reaches WHAT FILE - the private engine of configuration FILE answers; it is the
# one that was installed
reaches() {
	local server
	background server in_ns host env PATH=/usr/bin:/bin "$DEST/opt/gz/bin/gazelle-run" \
		--config "$2" -- python3 -uc '
import socket
s = socket.create_server(("10.213.0.2", 7000))
print("ready")
c = s.accept()[0]
c.sendall(b"installed")'
	server=$PID
	wait_line server ready 20
	assert_eq "$(readlink "/proc/$(pgrep -n -f "^$DEST/opt/gz/bin/gazelle-engine")/exe")" \
		"$DEST/opt/gz/bin/gazelle-engine" "$1: the engine"
	# shellcheck disable=SC2016
	assert_eq "$(in_ns host timeout 5 bash -c 'cat <>/dev/tcp/10.213.0.2/7000')" installed "$1"
	assert finish "$server" 10
}

# Other tests run what is built: to install it is not to build it again.
built() { stat -c '%n %i %.Y' "$BIN"/*; }
before=$(built)
make_it install
assert_eq "$(built)" "$before" "what is installed"
for program in run engine dispatch ctl; do
	assert [ -x "$DEST/opt/gz/bin/gazelle-$program" ]
done
assert "$DEST/opt/gz/bin/gazelle-engine" --check "$ETC/gazelle.yaml"
assert [ -s "$DEST/opt/gz/share/doc/gazelle/README.md" ]

netns host
sed "s|^name: .*|name: $GZ_TEST_ID-i|; s|^run_dir: .*|run_dir: $WORK|; s|^linger: .*|linger: 0s|" \
	"$ETC/gazelle.yaml" >"$WORK/installed.yaml"
reaches "the installed configuration" "$WORK/installed.yaml"

# A file that was edited is kept, by a second install and by uninstall.
echo "# mine" >>"$ETC/gazelle.yaml"
make_it install
assert_eq "$(tail -n 1 "$ETC/gazelle.yaml")" "# mine" "the edited file, installed over"
assert [ -e "$ETC/gazelle.yaml.new" ]
make_it uninstall
assert_eq "$(find "$DEST" -type f)" "$ETC/gazelle.yaml" "what uninstall leaves of an edited file"

rm "$ETC/gazelle.yaml"
make_it install
make_it uninstall
assert_eq "$(find "$DEST" -type f)" "" "what uninstall leaves"
refute [ -e "$ETC" ]
refute [ -e "$DEST/opt/gz/share/doc/gazelle" ]
