#!/usr/bin/env bash
# Runs the integration tests on Debian's PostgreSQL 15, the oldest version that the store supports, in a throw-away
# cluster. Says so and does nothing where that server is not installed.
set -euo pipefail
cd "$(dirname "$0")/.."

binaries=/usr/lib/postgresql/15/bin
if [ ! -x "$binaries/initdb" ]; then
  echo "SKIPPED: PostgreSQL 15 is not installed here (apt-get install postgresql-15), so nothing ran on it."
  exit 0
fi

as_server() { # PostgreSQL refuses root
  if [ "$(id -u)" = 0 ]; then su postgres -s /bin/bash -c "$*"; else bash -c "$*"; fi
}

folder=$(mktemp -d /tmp/mds-pg15-XXXXXX)
trap 'as_server "$binaries/pg_ctl -D $folder/data stop -m immediate" >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT
password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
printf '%s\n' "$password" >"$folder/password"
[ "$(id -u)" != 0 ] || chown -R postgres "$folder"
as_server "$binaries/initdb -D $folder/data -U postgres -A scram-sha-256 --pwfile=$folder/password -E UTF8 --locale=C" >/dev/null
as_server "$binaries/pg_ctl -D $folder/data -l $folder/log -w start \
  -o '-c listen_addresses= -c unix_socket_directories=$folder -c fsync=off -c full_page_writes=off -c max_connections=200'" >/dev/null
chmod 755 "$folder"

export TEST_DATABASE_URL="postgres://postgres:$password@localhost:5432/postgres?host=$folder"
# Without those that use no database, or a server of their own.
elsewhere='/(doctor-cluster|embedded|event-bus|open-api|redis-outages|spool-disk-full|spool-kill|throwaway-cluster)[.]test[.]ts$'
mapfile -t files < <(find test/integration -name '*.test.ts' | grep -vE "$elsewhere" | sort)
npx vitest run "${files[@]}" "$@"
