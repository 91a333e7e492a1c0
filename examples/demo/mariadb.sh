# Sourced by examples/demo/run: the demo's MariaDB and its client, mariadb. Twin of postgres.sh.
# shellcheck shell=bash

# The server logs every statement with the time it came.
start_mariadb_shop() {
  start_mariadb examples/demo/mariadb.sql --general-log=ON --log-output=TABLE
}

# For the story: who stands behind the names that it uses. `localhost` would be a socket, so it is an address and TCP.
# shellcheck disable=SC2034  # the story uses them
mariadb_side() {
  target=shop_eu
  client=mariadb
  client_command=(env MYSQL_PWD=alice-secret mariadb --no-defaults --protocol=TCP --skip-ssl -h 127.0.0.1
    -P "$mysql_proxy_port" -u alice --table --unbuffered --force shop)
  echo_command='system echo'
  browse='DESCRIBE shop.customers;'
}

# mariadb_heard STATEMENT — when the server got it: UTC, as the audit writes times, to the microsecond.
mariadb_heard() {
  admin_mariadb -N -B -e "SELECT DATE_FORMAT(event_time, '%Y-%m-%dT%H:%i:%s.%f') FROM mysql.general_log
    WHERE command_type = 'Query' AND argument = '${1//\'/\'\'}' ORDER BY event_time LIMIT 1"
}
