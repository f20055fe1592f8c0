#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# mariadb.sh - MariaDB as another user: sysbench, rows in and out, KILL
#
# One server, two ways to serve: its port has a pool of threads on epoll, its
# extra port a thread for each connection.

# shellcheck source=test/apps/common.bash
. "$(dirname "$0")/common.bash"
need mariadbd mariadb mariadb-install-db sysbench
PORT=3307 EXTRA=3308
QUICK=(--innodb-log-file-size=4M --innodb-buffer-pool-size=16M --debug-no-sync
	--innodb-flush-log-at-trx-commit=0 --innodb-flush-method=nosync)

serve()
{
	# The first run makes the tables, the second copies
	if [[ ! -e $KEEP/data.tar ]]; then
		mariadb-install-db --no-defaults --datadir="$DIR/data" --user=nobody \
			--auth-root-authentication-method=normal --skip-test-db "${QUICK[@]}" \
			>"$WORK/install.log" 2>&1 || fail "mariadb-install-db"
		tar -C "$DIR" -cf "$KEEP/data.tar" data
	else
		tar -C "$DIR" -xf "$KEEP/data.tar"
	fi
	start server sut mariadbd --no-defaults --datadir="$DIR/data" --user=nobody "${QUICK[@]}" \
		--bind-address=$SUT --port=$PORT --thread-handling=pool-of-threads \
		--extra-port=$EXTRA --extra-max-connections=20 --socket="$DIR/data/s" \
		--skip-name-resolve --local-infile=1
	until_true 20 answers || fail "the server does not answer"
}

answers()
{
	alive "${PIDS[server]}" || fail "the server ended"
	mariadb --no-defaults -uroot -S "$DIR/data/s" -e "
		CREATE DATABASE IF NOT EXISTS t;
		CREATE USER IF NOT EXISTS 'u'@'10.98.0.%' IDENTIFIED BY 'secret';
		GRANT ALL ON *.* TO 'u'@'10.98.0.%'" 2>/dev/null
}

# sql SIDE PORT STATEMENTS - What they give
sql()
{
	"$1" timeout 30 mariadb --no-defaults -BN --local-infile -h $SUT -P "$2" -uu -psecret \
		-e "$3" t
}

# bench SIDE PORT ARGUMENTS... - All statements are answered
bench()
{
	local side=$1 port=$2 out
	shift 2
	out=$("$side" timeout 60 sysbench --db-driver=mysql --mysql-host=$SUT --mysql-port="$port" \
		--mysql-user=u --mysql-password=secret --mysql-db=t --tables=2 --table-size=2000 \
		"$@" 2>&1) || fail "sysbench $*: $out"
	# It repeats a transaction that met a deadlock, and counts it as an ignored error.
	[[ ${*: -1} != run || $out =~ reconnects:\ +0\  ]] || fail "sysbench $*: $out"
}

# sleepers N - Do N connections of the pool sleep in a statement, or idle?
sleepers()
{
	[[ $(sql peer $EXTRA "SELECT count(*) FROM information_schema.processlist
		WHERE user = 'u' AND (info LIKE '%sleep(50)' OR info IS NULL)") == "$1" ]]
}

# killed PORT - Who waits for a statement, and who says nothing, learn of KILL
killed()
{
	local id
	start waits sut mariadb --no-defaults -h $SUT -P "$1" -uu -psecret -e "SELECT sleep(50)" t
	start idle peer bash -c "sleep 50 | mariadb --no-defaults -h $SUT -P $1 -uu -psecret t"
	until_true 10 sleepers 2 || fail "they do not run"
	for id in $(sql peer $EXTRA "SELECT id FROM information_schema.processlist
		WHERE user = 'u' AND (info LIKE '%sleep(50)' OR info IS NULL)"); do
		sql peer $EXTRA "KILL $id"
	done
	until_true 10 gone "${PIDS[waits]}" || fail "port $1: KILL did not reach the client"
	said waits "Lost connection"
	unset "PIDS[waits]"
	until_true 10 sleepers 0 || fail "port $1: KILL did not wake the server's thread"
}

scenario()
{
	local port side
	serve
	bench peer $PORT oltp_read_write --threads=4 prepare
	bench peer $PORT oltp_read_write --threads=8 --events=150 --time=0 run
	bench peer $EXTRA oltp_read_write --threads=8 --events=150 --time=0 run
	bench sut $PORT oltp_read_write --threads=4 --events=80 --time=0 run
	say "sysbench"

	seq 1 30000 | awk '{ printf "%d\t%0*d\n", $1, $1 % 150 + 1, $1 }' >"$DIR/rows"
	sql peer $PORT "CREATE TABLE r (n int primary key, x varchar(200));
		LOAD DATA LOCAL INFILE '$DIR/rows' INTO TABLE r"
	for side in peer sut; do
		for port in $PORT $EXTRA; do
			sql $side "$port" "SELECT * FROM r ORDER BY n" >"$DIR/got"
			same "rows to $side by port $port" "$DIR/got" "$DIR/rows"
		done
	done
	[[ $(sql peer $PORT "SELECT repeat('y', 9000000)" | sum /dev/stdin) == \
		"$(head -c 9000000 /dev/zero | tr '\0' y | sed '$s/$/\n/' | sum /dev/stdin)" ]] ||
		fail "a long value"
	say "rows"

	killed $PORT
	killed $EXTRA
	say "KILL"
	stop server
}

main
