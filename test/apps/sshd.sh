#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# sshd.sh - OpenSSH: separated privileges, its own seccomp sandbox, ssh and scp both ways

. "${0%/*}/common.bash"
need sshd ssh scp ssh-keygen
[[ $(getent passwd sshd) ]] || skip "there is no user sshd, whom sshd's children become"

# configure ADDRESS
configure()
{
	cat >"$DIR/sshd_config" <<-EOF
		ListenAddress $1:2222
		HostKey $DIR/host
		PidFile none
		AuthorizedKeysFile $DIR/user.pub
		AuthenticationMethods publickey
		PermitRootLogin yes
		StrictModes no
		UsePAM no
		UseDNS no
		Subsystem sftp internal-sftp
		LogLevel DEBUG3
	EOF
	cat >"$DIR/ssh_config" <<-EOF
		Host *
		IdentityFile $DIR/user
		IdentitiesOnly yes
		UserKnownHostsFile $DIR/known
		StrictHostKeyChecking accept-new
		Port 2222
		User root
		BatchMode yes
		ConnectTimeout 10
	EOF
	rm -f "$DIR/known"
}

# session WHERE ADDRESS - ssh and scp run by WHERE (peer or sut)
session()
{
	local where=$1 address=$2 got
	got=$("$where" ssh -F "$DIR/ssh_config" "$address" 'cat; echo "$SSH_CONNECTION"; exit 3' \
		<<<"through ssh") && fail "ssh: the exit status is 0" || [[ $? == 3 ]] ||
		fail "ssh: exit status"
	[[ $got == "through ssh"*" $address 2222" ]] || fail "ssh: $got"
	"$where" scp -q -F "$DIR/ssh_config" "$DIR/file" "$address:$DIR/up" || fail "scp up"
	"$where" scp -q -F "$DIR/ssh_config" "$address:$DIR/file" "$DIR/down" || fail "scp down"
	same "scp up" "$DIR/up" "$DIR/file"
	same "scp down" "$DIR/down" "$DIR/file"
	rm "$DIR/up" "$DIR/down"
}

scenario()
{
	mkdir -p /run/sshd
	random 5000000 "$DIR/file"
	ssh-keygen -q -t ed25519 -N '' -f "$DIR/host"
	ssh-keygen -q -t ed25519 -N '' -f "$DIR/user"

	configure $SUT
	start sshd sut "$(command -v sshd)" -D -e -f "$DIR/sshd_config"
	up sshd 2222
	session peer $SUT
	# The child that talks before anybody is known runs in the sandbox.
	grep -q "attaching seccomp filter" "$WORK/sshd.log" || fail "sshd has no seccomp sandbox"
	! grep -qiE "killed|bad system call|fatal: (mm_|privsep)" "$WORK/sshd.log" ||
		fail "sshd: $(grep -iE 'killed|fatal' "$WORK/sshd.log")"
	# A port forwarding: sshd listens and connects
	start forward peer ssh -N -F "$DIR/ssh_config" -L 10.98.0.1:7000:$SUT:2222 $SUT
	until_true 10 connects $PEER 7000 || fail "the forwarded port does not listen"
	local got
	got=$(peer timeout 5 bash -c "exec 3<>/dev/tcp/$PEER/7000; head -n 1 <&3")
	[[ $got == SSH-2.0-* ]] || fail "through the forwarded port: '$got'"
	stop forward
	stop sshd

	# The other way: the client is on the stack under test
	configure $PEER
	start sshd peer "$(command -v sshd)" -D -e -f "$DIR/sshd_config"
	until_true 10 connects $PEER 2222 || fail "the kernel's sshd does not listen"
	session sut $PEER
	stop sshd
}

main
