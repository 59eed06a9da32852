#!/bin/sh
# The entry point of the postgres image: makes the database at the first start, then becomes Postgres.
# Environment: POSTGRES_PASSWORD (required), POSTGRES_DATA.
set -eu
data="${POSTGRES_DATA:-/var/lib/postgresql/data}"
bin=/opt/postgres/bin
if [ ! -e "$data/PG_VERSION" ]; then
  : "${POSTGRES_PASSWORD:?set POSTGRES_PASSWORD}"
  umask 077
  printf '%s\n' "$POSTGRES_PASSWORD" > /tmp/password
  "$bin/initdb" --pgdata="$data" --username=postgres --pwfile=/tmp/password \
    --auth-local=scram-sha-256 --auth-host=scram-sha-256 --encoding=UTF8 --locale=C
  : > /tmp/password
  printf 'host all all all scram-sha-256\n' >> "$data/pg_hba.conf"
fi
exec "$bin/postgres" -D "$data" -c listen_addresses='*' -c unix_socket_directories=/tmp "$@"
