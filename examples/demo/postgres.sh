# Sourced by examples/demo/run: the demo's Postgres and its client, psql. Twin of mariadb.sh.
# shellcheck shell=bash

# The server logs every statement with the time it came.
start_postgres_shop() {
  start_postgres examples/demo/postgres.sql -c log_statement=all -c 'log_line_prefix=%m ' -c log_timezone=UTC
}

# For the story: who stands behind the names that it uses.
# shellcheck disable=SC2034  # the story uses them
postgres_side() {
  target=shop
  client=psql
  client_command=(env PGPASSWORD=alice-secret psql -X -h 127.0.0.1 -p "$proxy_port" -U alice shop)
  echo_command='\echo'
  browse='\d shop.customers'
}

# postgres_heard STATEMENT — when the server got it: UTC, as the audit writes times, to the millisecond.
postgres_heard() {
  awk -v statement="LOG:  statement: $1" 'index($0, statement) { print $1 "T" $2; exit }' "$state/postgres.log"
}
