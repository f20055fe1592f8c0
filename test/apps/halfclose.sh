#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# halfclose.sh - socat, ncat: a file goes, FIN, then its digest comes back

. "${0%/*}/common.bash"
need socat ncat sha256sum

# FIN ends the input of sha256sum; only then has it anything to say
digest()
{
	local what=$1 got
	shift
	got=$("$@" <"$DIR/file") || fail "$what: no answer"
	[[ ${got%% *} == "$(sum "$DIR/file")" ]] || fail "$what: digest \"$got\""
	say "$what"
}

scenario()
{
	random 20000000 "$DIR/file"
	random 5000000 "$DIR/answer"

	start socat sut socat -t 20 "TCP-LISTEN:7000,bind=$SUT,reuseaddr,fork" EXEC:sha256sum
	up socat 7000
	digest "socat to socat on the stack" peer socat -t 20 - "TCP:$SUT:7000"
	digest "ncat to socat on the stack" peer ncat "$SUT" 7000
	digest "socat within the stack" sut socat -t 20 - "TCP:$SUT:7000"
	stop socat

	# ncat takes one connection and ends after both sides' FIN
	start ncat sut bash -c 'exec ncat -v -l "$1" 7001 <"$2/answer" >"$2/got"' - "$SUT" "$DIR"
	said ncat Listening
	peer socat -t 20 - "TCP:$SUT:7001" <"$DIR/file" >"$DIR/answered"
	until_true 10 gone "${PIDS[ncat]}" || fail "ncat does not end after both FINs"
	same "socat to ncat on the stack" "$DIR/got" "$DIR/file"
	same "ncat on the stack to socat" "$DIR/answered" "$DIR/answer"
	say "a file each way through ncat"

	start kernel peer socat -t 20 "TCP-LISTEN:7002,bind=$PEER,reuseaddr,fork" EXEC:sha256sum
	until_true 10 connects "$PEER" 7002 || fail "the kernel's socat does not listen"
	digest "socat on the stack to socat" sut socat -t 20 - "TCP:$PEER:7002"
	digest "ncat on the stack to socat" sut ncat "$PEER" 7002
	stop kernel
}

main
