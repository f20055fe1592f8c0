#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# coverage.sh - Fail if a row of the tables of calls or options has no test
#
# A row is covered when a program of test/semantics has its name outside of
# comments and of what it only includes.

set -eu
cd "$(dirname "$0")/.."

# The programs' own words: comments are gone, includes are not followed.
words=$(for f in test/semantics/*.c; do
	sed 's/^#include.*//' "$f" | gcc -fpreprocessed -dD -E -P -x c - 2>/dev/null
done | grep -oE '[A-Za-z0-9_]+' | sed 's/^SYS_//' | sort -u)

calls=$(sed -n 's/.*{CALL([A-Z0-9_]*, \([a-z0-9_]*\)).*/\1/p' launcher/calls.c | sort -u)
options=$(sed -n 's/.*{OPT([A-Z0-9_]*, \([A-Z0-9_]*\)),.*/\1/p' engine/option_table.c | sort -u)
ncalls=$(wc -l <<<"$calls") noptions=$(wc -l <<<"$options")
if [ "$ncalls" -lt 15 ] || [ "$noptions" -lt 140 ]; then
	echo "the tables cannot be read: $ncalls calls, $noptions options" >&2
	exit 1
fi
missing=$(printf '%s\n%s\n' "$calls" "$options" | sort -u | comm -23 - <(echo "$words"))
echo "$ncalls calls, $noptions options"
[ -z "$missing" ] || {
	printf 'no test: %s\n' $missing >&2
	exit 1
}
