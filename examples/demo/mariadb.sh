# Sourced by examples/demo/run: what the story says otherwise on MariaDB. Twin of postgres.sh.
# shellcheck shell=bash

# shellcheck disable=SC2034  # the story uses them
mariadb_side() {
  target=shop_eu
  with=mariadb
  browse='DESCRIBE shop.customers;'
}

# mariadb_heard STATEMENT — when the server got it: UTC, as the audit writes times, to the microsecond.
mariadb_heard() {
  admin_mariadb -N -B -e "SELECT DATE_FORMAT(event_time, '%Y-%m-%dT%H:%i:%s.%f') FROM mysql.general_log
    WHERE command_type = 'Query' AND argument = '${1//\'/\'\'}' ORDER BY event_time LIMIT 1"
}
