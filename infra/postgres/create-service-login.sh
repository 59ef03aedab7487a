#!/bin/sh
# Run once, by the database's image, when its volume is new: the login of the store's service. It owns nothing; the first
# migration gives it what it needs. (The store would also run as POSTGRES_USER, and warn: no tenant is kept from a superuser.)
set -eu
psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d "$POSTGRES_DB" -v name="$STORE_DB_USER" -v secret="$STORE_DB_PASSWORD" <<'SQL'
create role :"name" login password :'secret';
SQL
