#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# deps.sh - Install what building and testing needs, on Debian and its kin
#
# Looks first (dpkg-query, no network) and does nothing when nothing is
# missing.  Daemons that come with test programs are not started.

set -eu

# a|b: either will do, the first that this distribution has is installed.
BUILD='gcc g++ libc6-dev make pkgconf|pkg-config xz-utils curl ca-certificates
	libdpdk-dev dpdk libseccomp-dev libyaml-dev libnuma-dev
	libzydis-dev libzycore-dev libxdp-dev libbpf-dev libpcap-dev libelf-dev
	zlib1g-dev libbsd-dev libssl-dev libjansson-dev libnl-route-3-dev libnl-3-dev
	iproute2 ethtool'
TEST='libcmocka-dev dpdk-dev redis-server redis-tools nginx-light|nginx memcached iperf3
	socat ncat netcat-openbsd python3 busybox-static golang-go musl-tools
	procps util-linux tcpdump openssh-server openssh-client strace gdb iputils-ping
	openssl rsync mosquitto mosquitto-clients nodejs haproxy postgresql mariadb-server-core
	mariadb-client-core sysbench wrk libmemcached-tools dnsmasq-base bind9-dnsutils
	openjdk-17-jdk-headless|default-jdk-headless lighttpd tinyproxy apache2-utils wget'

policy=/usr/sbin/policy-rc.d
made_policy=

installed()
{
	dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

available()
{
	apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'
}

# any() - Does predicate $1 hold for one of a|b?  Prints that one.
any()
{
	for one in $(echo "$2" | tr '|' ' '); do
		if "$1" "$one"; then
			echo "$one"
			return 0
		fi
	done
	return 1
}

missing()
{
	for want in $BUILD $TEST; do
		any installed "$want" >/dev/null || echo "$want"
	done
}

# choose() - Package names for the a|b given; 1 if one is not to be had
choose()
{
	rc=0
	for want in "$@"; do
		any available "$want" || { echo "${want%%|*}"; rc=1; }
	done
	return $rc
}

update()
{
	[ -z "${updated:-}" ] || return 0
	updated=1
	apt-get $apt_options update
}

# Debian starts a package's services when it is installed, unless this file
# says no.  One that is there already is the administrator's.
hold_services()
{
	[ ! -e $policy ] && [ ! -L $policy ] || return 0
	made_policy=1
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
}

release_services()
{
	[ -z "$made_policy" ] || rm -f $policy
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "deps.sh: this is not a Debian-like system. Install what these packages are there,"
	echo "then 'make all tests' and 'test/run':"
	echo $BUILD $TEST
	exit 1
fi >&2

wanted=$(missing)
[ -n "$wanted" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	packages=$(choose $wanted) || :
	echo "deps.sh: packages are missing and only root can install them:"
	echo "  apt-get update && apt-get install --no-install-recommends" $packages
	exit 1
fi >&2

echo "deps.sh: installing" $wanted
export DEBIAN_FRONTEND=noninteractive
# Wait for another apt rather than fail: images update themselves at boot.
apt_options='-qq -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3'
trap release_services EXIT
trap 'exit 1' HUP INT TERM
hold_services

packages=$(choose $wanted) || { update; packages=$(choose $wanted) || :; }
install()
{
	apt-get $apt_options -y -o Dpkg::Use-Pty=0 install --no-install-recommends $packages
}
# Package lists grow stale, and a mirror drops what they name: once more, fresh.
install || { update; install; }

wanted=$(missing)
if [ -n "$wanted" ]; then
	echo "deps.sh: still missing:" $wanted >&2
	exit 1
fi
