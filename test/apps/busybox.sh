#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# busybox.sh - Static busybox: httpd with CGI, wget, nc

. "${0%/*}/common.bash"
need busybox curl
BUSYBOX=$(command -v busybox)

# applets NAME... - Which are in a busybox differs between distributions
applets()
{
	local a
	for a; do
		grep -qx "$a" <<<"$(busybox --list)" || skip "this busybox has no $a"
	done
}

scenario()
{
	applets httpd wget nc
	mkdir -p "$DIR/www/cgi-bin"
	random 1000 "$DIR/www/small"
	random 30000000 "$DIR/www/large"
	cat >"$DIR/www/cgi-bin/sum" <<-'EOF'
		#!/bin/sh
		printf 'Content-Type: text/plain\r\n\r\n'
		head -c "$CONTENT_LENGTH" | sha256sum
	EOF
	chmod +x "$DIR/www/cgi-bin/sum"
	local f got

	start httpd sut "$BUSYBOX" httpd -f -p "$SUT:8080" -h "$DIR/www"
	up httpd 8080
	for f in small large; do
		peer curl -sS --fail --max-time 20 -o "$DIR/got" "http://$SUT:8080/$f"
		same "httpd on the stack, $f" "$DIR/got" "$DIR/www/$f"
	done
	got=$(peer curl -sS --fail --max-time 20 --data-binary "@$DIR/www/small" \
		"http://$SUT:8080/cgi-bin/sum")
	[[ ${got%% *} == "$(sum "$DIR/www/small")" ]] || fail "CGI answered \"$got\""
	sut "$BUSYBOX" wget -q -O "$DIR/got" "http://$SUT:8080/large"
	same "wget within the stack" "$DIR/got" "$DIR/www/large"
	stop httpd

	start kernel peer "$BUSYBOX" httpd -f -p "$PEER:8080" -h "$DIR/www"
	until_true 10 connects "$PEER" 8080 || fail "the kernel's httpd does not listen"
	for f in small large; do
		rm "$DIR/got"
		sut "$BUSYBOX" wget -q -O "$DIR/got" "http://$PEER:8080/$f"
		same "wget on the stack, $f" "$DIR/got" "$DIR/www/$f"
	done
	! sut "$BUSYBOX" wget -q -O "$DIR/got" "http://$PEER:9/" 2>"$WORK/wget.log" ||
		fail "wget of a closed port"
	grep -qi refused "$WORK/wget.log" || fail "wget of a closed port: not refused"
	stop kernel
}

main
