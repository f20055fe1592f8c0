#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# lwip.sh - Unpack the pinned lwIP sources into a folder
#
# Usage: .ci/lwip.sh [TREE [DOWNLOADS]]     (default: build/lwip build/dl)
#
# lwIP 2.2.1 is compiled from source, because Debian's binary cannot be
# configured.  The tarball is the .orig of Debian's source package; it comes
# from a mirror that this machine's apt already uses, and whatever a mirror
# sends counts only if its sha256 is the one below.  LWIP_TARBALL=/path/to/it
# takes a local copy instead (no network).
#
# Safe to run twice, and at once from two builds: both the tarball and the tree
# are made aside and renamed into place.

set -eu

NAME=lwip_2.2.1+dfsg1.orig.tar.xz
SHA256=83729c274c499d3348e9fbbe043a3113f3fa8953e7efddc7c21c7fcbb1f2b7b1

tree=${1:-build/lwip}
downloads=${2:-build/dl}
tarball=$downloads/$NAME
marker=src/include/lwip/init.h
tried=
temp=

die()
{
	echo "lwip.sh: $*" >&2
	exit 1
}

cleanup()
{
	[ -z "$temp" ] || rm -rf "$temp"
}

good()
{
	echo "$SHA256  $1" | sha256sum --check --status - 2>/dev/null
}

# Repositories of this machine's apt: Debian's first, because others (a
# distribution derived from it, a vendor) may not carry the package.  Before
# the first apt-get update apt names them only when asked not to look at what
# it downloaded, and without their origin: hence the look at the path.
repositories()
{
	command -v apt-get >/dev/null || return 0
	for option in '' --no-release-info; do
		apt-get indextargets $option --format '$(ORIGIN) $(REPO_URI)' \
			'Created-By: Packages' 2>/dev/null || :
	done |
	awk '{
		uri = $NF
		sub("/*$", "/", uri)
		rank = 3
		if ($0 ~ /^Debian / || uri ~ /\/debian\/$/)
			rank = uri ~ /security/ ? 2 : 1
		if (!seen[uri]++)
			print rank, uri
	}' | sort -s -n -k 1,1 | cut -d ' ' -f 2-
}

# apt's own downloader comes first: it knows the proxy, the certificates and
# the credentials with which this machine reaches its mirrors.
download()
{
	helper=/usr/lib/apt/apt-helper
	if [ -x $helper ]; then
		$helper -o Acquire::Retries=2 download-file "$1" "$2" >/dev/null 2>&1 &&
			good "$2" && return 0
		rm -f "$2"
	fi
	if command -v curl >/dev/null; then
		curl -fsSL --retry 2 --connect-timeout 15 -o "$2" "$1" 2>/dev/null || rm -f "$2"
	elif command -v wget >/dev/null; then
		wget -q -t 2 -T 15 -O "$2" "$1" || rm -f "$2"
	fi
	[ -f "$2" ] && good "$2" && return 0
	rm -f "$2"
	return 1
}

# fetch() - Leave the verified tarball at $tarball, or return 1
fetch()
{
	temp=$(mktemp -d "$downloads/fetch.XXXXXX")
	chmod 755 "$temp"	# apt's downloader runs as its own user
	for uri in $(repositories); do
		for area in main universe; do
			url=${uri}pool/$area/l/lwip/$NAME
			tried="$tried
  $url"
			if download "$url" "$temp/$NAME"; then
				mv "$temp/$NAME" "$tarball"
				rm -rf "$temp"
				temp=
				return 0
			fi
		done
	done
	rm -rf "$temp"
	temp=
	return 1
}

[ ! -f "$tree/$marker" ] || exit 0

trap cleanup EXIT
trap 'exit 1' HUP INT TERM

command -v xz >/dev/null || die "Couldn't find xz to unpack lwIP with; 'make deps' installs it"
mkdir -p "$downloads" "$(dirname "$tree")"

if [ -n "${LWIP_TARBALL:-}" ]; then
	[ -r "$LWIP_TARBALL" ] || die "Couldn't read LWIP_TARBALL=$LWIP_TARBALL"
	good "$LWIP_TARBALL" || die "LWIP_TARBALL=$LWIP_TARBALL is not $NAME (sha256 differs)"
	tarball=$LWIP_TARBALL
elif ! good "$tarball"; then
	rm -f "$tarball"
	fetch || die "Couldn't download $NAME.
Tried, from this machine's apt configuration:${tried:-
  nothing: apt has no repository configured}
Get the file elsewhere (sha256 $SHA256)
and say  make LWIP_TARBALL=/path/to/$NAME"
fi

temp=$(mktemp -d "$tree.XXXXXX")
chmod 755 "$temp"
tar --extract --touch --no-same-owner --strip-components=1 --file "$tarball" -C "$temp" ||
	die "Couldn't unpack $tarball"
[ -f "$temp/$marker" ] || die "$tarball holds no $marker"

# Lost the race against another build?  Its tree is as good as ours.
if mv -T "$temp" "$tree" 2>/dev/null; then
	temp=
elif [ ! -f "$tree/$marker" ]; then
	die "Couldn't move the unpacked sources to $tree; remove it and try again"
fi
