#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
#
# postgresql.sh - PostgreSQL as its own user: a process a connection, pgbench, COPY, cancel, backup
#
# The server is a client too, of the one at the other end: postgres_fdw.

# shellcheck source=test/apps/common.bash
. "$(dirname "$0")/common.bash"
PG=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
[[ -x $PG/postgres ]] || skip "PostgreSQL's server is not there"
need setpriv
PORT=5433

# user COMMAND... - In place of the shell, as postgres
user()
{
	cd "$DIR"
	exec env HOME="$DIR" setpriv --reuid postgres --regid postgres --clear-groups "$@"
}

# new DATA - An empty cluster; the first run makes it, the second copies
new()
{
	install -d -o postgres -g postgres -m 700 "$1"
	if [[ ! -e $KEEP/cluster.tar ]]; then
		(user "$PG/initdb" -D "$1" -A trust --no-sync --no-locale -E UTF8 --wal-segsize=1) \
			>"$WORK/initdb.log" 2>&1 || fail "initdb: $(cat "$WORK/initdb.log")"
		tar -C "$1" -cf "$KEEP/cluster.tar" .
	else
		tar -C "$1" -xf "$KEEP/cluster.tar"
	fi
	cat >>"$1/postgresql.conf" <<-CONF
		fsync = off
		full_page_writes = off
		max_connections = 60
		wal_level = replica
		unix_socket_directories = ''
		port = $PORT
		log_checkpoints = off
	CONF
	echo "host all,replication all 10.98.0.0/24 trust" >>"$1/pg_hba.conf"
}

# serve NAME SIDE ADDRESS
serve()
{
	new "$DIR/$1"
	start "$1" "$2" setpriv --reuid postgres --regid postgres --clear-groups \
		"$PG/postgres" -D "$DIR/$1" -h "$3"
	until_true 20 peer "$PG/pg_isready" -q -U postgres -h "$3" -p $PORT || fail "$1 does not answer"
}

# sql SIDE ADDRESS STATEMENT... - What they give
sql()
{
	local side=$1 address=$2 c args=()
	shift 2
	for c; do
		args+=(-c "$c")
	done
	"$side" timeout 30 "$PG/psql" -XqAt -v ON_ERROR_STOP=1 -h "$address" -p $PORT -U postgres \
		"${args[@]}" postgres
}

bench()
{
	local side=$1 out
	shift
	out=$("$side" "$PG/pgbench" -h $SUT -p $PORT -U postgres "$@" postgres 2>&1) ||
		fail "pgbench $*: $out"
	[[ $out == *"number of failed transactions: 0 "* ]] || fail "pgbench $*: $out"
}

# What pgbench's transactions leave: each adds the same in four tables
books()
{
	sql peer $SUT "SELECT (SELECT sum(abalance) FROM pgbench_accounts)
		= (SELECT sum(delta) FROM pgbench_history) AND (SELECT sum(tbalance)
		FROM pgbench_tellers) = (SELECT sum(bbalance) FROM pgbench_branches),
		count(*) FROM pgbench_history"
}

scenario()
{
	serve server sut $SUT
	serve other peer $PEER

	peer "$PG/pgbench" -q -i -I dtGp -s 1 -h $SUT -p $PORT -U postgres postgres \
		2>"$WORK/init.log" || fail "pgbench -i: $(cat "$WORK/init.log")"
	bench peer -n -c 10 -j 2 -t 40 -M prepared
	bench peer -n -c 4 -t 5 -C # a connection, thus a process, a transaction
	bench sut -n -c 4 -t 20
	[[ $(books) == "t|500" ]] || fail "the books do not balance: $(books)"
	say "500 transactions"

	# in and out again, by clients of both stacks
	seq 1 30000 | awk '{ printf "%d\t%0*d\n", $1, $1 % 150 + 1, $1 }' >"$DIR/rows"
	sql peer $SUT "CREATE TABLE t (n int, x text)" "\\copy t FROM '$DIR/rows'"
	sql peer $SUT "\\copy (SELECT * FROM t ORDER BY n) TO STDOUT" >"$DIR/got"
	same "COPY to the peer" "$DIR/got" "$DIR/rows"
	sql sut $SUT "\\copy (SELECT * FROM t ORDER BY n) TO STDOUT" >"$DIR/got"
	same "COPY on the same stack" "$DIR/got" "$DIR/rows"

	# The backend that serves us is a client of the other server.
	sql sut $PEER "CREATE TABLE far (n int, x text)"
	sql peer $SUT "CREATE EXTENSION postgres_fdw" \
		"CREATE SERVER o FOREIGN DATA WRAPPER postgres_fdw
			OPTIONS (host '$PEER', port '$PORT', dbname 'postgres')" \
		"CREATE USER MAPPING FOR postgres SERVER o OPTIONS (user 'postgres')" \
		"CREATE FOREIGN TABLE far (n int, x text) SERVER o" \
		"INSERT INTO far SELECT * FROM t WHERE n % 10 = 0"
	sql sut $PEER "\\copy (SELECT * FROM far ORDER BY n) TO STDOUT" >"$DIR/got"
	same "by way of a foreign table" "$DIR/got" <(awk '$1 % 10 == 0' "$DIR/rows")
	say "rows"

	# psql's handler of SIGINT connects once more; the postmaster signals the backend.
	start sleeper sut "$PG/psql" -X -h $SUT -p $PORT -U postgres -c "SELECT pg_sleep(50)" postgres
	until_true 10 sleeping 1 || fail "the query does not run"
	kill -INT "$(program sleeper)"
	until_true 10 gone "${PIDS[sleeper]}" || fail "psql does not end by SIGINT"
	said sleeper "canceling statement due to user request"
	unset "PIDS[sleeper]"

	# A client that is killed: its backend ends when it looks.
	start killed sut "$PG/psql" -X -h $SUT -p $PORT -U postgres \
		-c "SET client_connection_check_interval = 100" -c "SELECT pg_sleep(50)" postgres
	until_true 10 sleeping 1 || fail "the query does not run"
	kill -KILL "$(program killed)"
	until_true 10 sleeping 0 || fail "the backend did not notice that its client is gone"
	wait "${PIDS[killed]}" || :
	unset "PIDS[killed]"

	# Twenty megabytes, by two connections at once
	peer "$PG/pg_basebackup" -h $SUT -p $PORT -U postgres -X stream -c fast --no-sync \
		-D "$DIR/backup" 2>"$WORK/backup.log" || fail "backup: $(cat "$WORK/backup.log")"
	"$PG/pg_verifybackup" -q "$DIR/backup" || fail "the backup is damaged"

	grep -q 'FATAL:  connection to client lost' "$WORK/server.log" || fail "nor did it say so"
	! grep -E 'PANIC|FATAL|terminated by signal' "$WORK/server.log" |
		grep -vE 'to client lost|is starting up' ||
		fail "the server complained"
	stop server
	stop other
}

sleeping()
{
	[[ $(sql peer $SUT "SELECT count(*) FROM pg_stat_activity
		WHERE state = 'active' AND wait_event = 'PgSleep'") == "$1" ]]
}

main
