# Sourced by examples/demo/run: what the story says otherwise on Postgres. Twin of mariadb.sh.
# shellcheck shell=bash

# shellcheck disable=SC2034  # the story uses them
postgres_side() {
  target=shop
  with=psql
  browse='\d shop.customers'
}

# postgres_heard STATEMENT — when the server got it: UTC, as the audit writes times, to the millisecond.
postgres_heard() {
  awk -v statement="LOG:  statement: $1" 'index($0, statement) { print $1 "T" $2; exit }' "$state/postgres.log"
}
