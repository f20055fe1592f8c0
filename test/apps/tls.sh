#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# tls.sh - TLS by OpenSSL: a file each way, either end on the stack

# shellcheck source=test/apps/common.bash
. "$(dirname "$0")/common.bash"
need openssl

scenario()
{
	random 3000000 "$DIR/file"
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test \
		-keyout "$DIR/key" -out "$DIR/cert" 2>/dev/null

	# -WWW serves files of the current directory
	cd "$DIR"
	start server sut openssl s_server -accept $SUT:8443 -key key -cert cert -WWW -quiet
	up server 8443
	printf 'GET /file HTTP/1.0\r\n\r\n' >request
	for _ in 1 2 3; do
		peer timeout 20 openssl s_client -connect $SUT:8443 -CAfile cert -verify_return_error \
			-quiet <request >answer 2>client.log || :
		tail -c 3000000 answer >got
		same "file over TLS" file got
	done
	stop server

	start other peer openssl s_server -accept $PEER:8444 -key key -cert cert -WWW -quiet
	until_true 30 peer bash -c "exec 3<>/dev/tcp/$PEER/8444" 2>/dev/null
	sut timeout 20 openssl s_client -connect $PEER:8444 -CAfile cert -verify_return_error \
		-quiet <request >answer 2>client.log || :
	tail -c 3000000 answer >got
	same "file over TLS, to the client under test" file got
	stop other
}

main
