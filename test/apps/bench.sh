#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# bench.sh - The benchmark measures, writes what it says it writes, and leaves nothing

# shellcheck source=test/lib.sh
. "$(dirname "$0")/../lib.sh"
export BUILD ROUNDS=1

# bench ROWS [PATH] - rows that match, into $WORK/bench.json
bench() {
	ROWS=$1 PATH=${2:-$PATH} timeout 60 "$TEST_DIR/bench/run.py" "$WORK/bench.json" 2>"$WORK/bench.log" ||
		fail "run.py: status $?: $(tail -n 3 "$WORK/bench.log")"
}

# rows EXPRESSION - of r, the rows of the JSON
rows() {
	python3 -c '
import json, sys
with open(sys.argv[1]) as f:
    whole = json.load(f)
assert set(whole) == {"rows"}, whole
r = whole["rows"]
for row in r:
    assert set(row) == {"name", "unit", "ours", "kernel", "ratio", "target"}, row
print(eval(sys.argv[2]))' "$WORK/bench.json" "$1"
}

table=$(SVG=$WORK/bench.svg bench '^send\+recv')
assert_match "$table" 'processors.*send\+recv 64 B, ready socket +[0-9]' "the table"
assert_eq "$(rows '[row["name"] for row in r]')" "['send+recv 64 B, ready socket']" "the rows"
assert_eq "$(rows 'r[0]["ours"] > 0 and r[0]["kernel"] > 0')" True "the figures"
# Less is better there.
assert_eq "$(rows 'abs(r[0]["ratio"] - r[0]["kernel"] / r[0]["ours"]) < 1e-6')" True "the ratio"
assert_eq "$(rows 'r[0]["target"]')" 8 "the target"
python3 -c 'import sys, xml.dom.minidom as x; x.parse(sys.argv[1])' "$WORK/bench.svg" ||
	fail "the picture is not XML"

# What is not there is said, and has no figures.
mkdir "$WORK/bin"
for p in ip timeout env bash; do
	ln -s "$(command -v $p)" "$WORK/bin/$p"
done
ln -s "$(python3 -c 'import sys; print(sys.executable)')" "$WORK/bin/python3"
table=$(bench '^nginx' "$WORK/bin")
assert_match "$table" 'nginx.*not run: wrk is not installed' "without wrk"
assert_eq "$(rows '[r[0][k] for k in ("ours", "kernel", "ratio", "target")]')" \
	"[None, None, None, 2]" "a row that is not run"

# A program that fails is a row that failed; the others have figures.
ln -sf "$(type -P false)" "$WORK/bin/redis-benchmark"
table=$(bench '^redis [SG]ET, 1 connection$|^send' "$WORK/bin:$PATH")
assert_match "$table" 'redis GET, 1 connection +failed: redis-benchmark: status 1' "a failure"
assert_eq "$(rows '[row["ratio"] is None for row in r]')" "[False, True, True]" "figures"

# Each has its pid in its name; another benchmark may be at work.
for ns in $(ip netns list | sed -n 's/^gzb\([0-9]*\)-.*/\1/p'); do
	assert [ -d "/proc/$ns" ]
done
