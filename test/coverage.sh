#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# coverage.sh - Fail if a row of the tables of calls or options has no test
#
#	coverage.sh			rows that no program of test/semantics names, outside of
#					comments and of what it only includes
#	coverage.sh STATS STAGE		rows that these programs did not ask for: STATS is what
#					`gazelle-ctl stats --json` says of their engine after all
#					of them; of STAGE ring, calls that only trap with rings,
#					but for those that the agent answers without the engine

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

if [ $# -gt 0 ]; then
	# shellcheck disable=SC2086
	python3 - "$1" "$2" $options <<-PYTHON
		import json, sys
		stats = json.load(open(sys.argv[1]))
		text = open('launcher/calls.c').read()
		rows = text[text.index('gz_calls[] = {'):].split('{CALL(')[1:]
		ring = sys.argv[2] == 'ring'
		calls = {r.split(', ')[1].split(')')[0] for r in rows
		         if 'GZ_ACT_ENOSYS' not in r and ring == ('.plane = GZ_CALL_RING' in r) and not (ring and '.agent' in r)}
		missing = ['call ' + c for c in sorted(calls - stats['calls'].keys())]
		for how in () if ring else ('setsockopt', 'getsockopt'):
		    missing += [how + ' of ' + o for o in sys.argv[3:] if o not in stats[how]]
		print(len(calls), 'calls' + ('' if ring else ', each option set and read'))
		for m in missing:
		    print('not asked for:', m)
		sys.exit(bool(missing))
	PYTHON
	exit
fi

missing=$(printf '%s\n%s\n' "$calls" "$options" | sort -u | comm -23 - <(echo "$words"))
echo "$ncalls calls, $noptions options"
[ -z "$missing" ] || {
	printf 'no test: %s\n' $missing >&2
	exit 1
}
