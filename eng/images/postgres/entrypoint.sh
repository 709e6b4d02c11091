#!/bin/bash
# Starts PostgreSQL. In an empty data folder it first makes a cluster with the user, password and database of the environment
# (POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, POSTGRES_HOST_AUTH_METHOD, POSTGRES_INITDB_ARGS).
set -eu
[ "${1#-}" = "$1" ] || set -- postgres "$@"
[ "$1" = postgres ] || exec "$@"

# The server refuses to run as root.
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA"
  chown -R postgres:postgres "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --clear-groups -- "$0" "$@"
fi

initialise() {
  local user="${POSTGRES_USER:-postgres}"
  local database="${POSTGRES_DB:-$user}"
  local method="${POSTGRES_HOST_AUTH_METHOD:-}"
  if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "$method" != trust ]; then
    echo "POSTGRES_PASSWORD is not set. Set it, or POSTGRES_HOST_AUTH_METHOD=trust for a server without passwords." >&2
    exit 1
  fi
  # shellcheck disable=SC2086 # The arguments are words.
  initdb --username="$user" --pwfile=<(echo "${POSTGRES_PASSWORD:-none}") ${POSTGRES_INITDB_ARGS:-}
  printf '\nhost all all all %s\n' "${method:-$(postgres -C password_encryption)}" >> "$PGDATA/pg_hba.conf"

  # A server that only this container reaches, for the database.
  pg_ctl -w start -o "-c listen_addresses=''"
  if [ "$database" != postgres ]; then
    PGPASSWORD="${POSTGRES_PASSWORD:-}" psql --no-psqlrc -q -v ON_ERROR_STOP=1 -U "$user" -d postgres -v db="$database" <<< 'CREATE DATABASE :"db";'
  fi
  pg_ctl -w -m fast stop
}

[ -s "$PGDATA/PG_VERSION" ] || initialise
exec "$@"
