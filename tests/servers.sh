# Sourced by examples/lib/setting.sh and bench/run: throwaway servers in a temporary folder, on free ports, under an account
# without rights. Stops exactly what it started. Sets state, config, the ports and the pids;
# $hallpass is the binary.
# shellcheck shell=bash

state=$(mktemp -d "${TMPDIR:-/tmp}/hallpass.XXXXXX")
chmod 755 "$state"
postgres_port=''
postgres_pid=''
mariadb_port=''
mariadb_pid=''
hallpass_pid=''
other_pids=()

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 20000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

# Before a server's command line: the account it runs under, as Postgres and MariaDB refuse root.
as_server=()
if [ "$(id -u)" = 0 ]; then
  server_uid=$(id -u postgres 2>/dev/null || id -u nobody)
  server_gid=$(id -g postgres 2>/dev/null || id -g nobody)
  as_server=(setpriv "--reuid=$server_uid" "--regid=$server_gid" --clear-groups)
fi

# until_ready WHAT COMMAND… — asks ten times a second, for 30 seconds.
until_ready() {
  local what=$1 _
  shift
  for _ in $(seq 300); do
    "$@" >/dev/null 2>&1 && return
    sleep 0.1
  done
  say "$what did not get ready:"
  tail -n 20 "$state"/*.log >&2
  return 1
}

# start_postgres SCRIPT [ARGUMENT…] — database shop, owned by shop_owner; arguments go to the server.
start_postgres() {
  local script=$1
  shift
  postgres_port=$(free_port)
  mkdir "$state/postgres"
  [ "$(id -u)" != 0 ] || chown "$server_uid:$server_gid" "$state/postgres"
  say "starting $("$HALLPASS_PG_BIN/postgres" --version) on port $postgres_port"
  (cd / && "${as_server[@]}" "$HALLPASS_PG_BIN/initdb" -U postgres -E UTF8 --locale=C -A trust -N -D "$state/postgres/data") >"$state/initdb.log"
  printf '%s\n' 'host all postgres 127.0.0.1/32 trust' 'host all all 127.0.0.1/32 scram-sha-256' |
    "${as_server[@]}" tee "$state/postgres/data/pg_hba.conf" >/dev/null
  # In a session of its own: a Ctrl-C at the terminal must not stop it before the proxy.
  (cd / && exec setsid "${as_server[@]}" "$HALLPASS_PG_BIN/postgres" -D "$state/postgres/data" -c listen_addresses=127.0.0.1 \
    -c "port=$postgres_port" -c unix_socket_directories= -c fsync=off -c max_connections=200 "$@") >"$state/postgres.log" 2>&1 &
  postgres_pid=$!
  until_ready Postgres admin_psql postgres -c 'SELECT 1'
  admin_psql postgres -c "CREATE ROLE shop_owner LOGIN PASSWORD 'shop-secret'" -c 'CREATE DATABASE shop OWNER shop_owner'
  owner_psql -f "$script"
}

admin_psql() {
  local database=$1
  shift
  psql -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$postgres_port" -U postgres "$database" "$@"
}

owner_psql() {
  PGPASSWORD=shop-secret psql -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$postgres_port" -U shop_owner shop "$@" >/dev/null
}

# start_mariadb SCRIPT [ARGUMENT…] — schema shop, owned by shop_owner; arguments go to the server.
start_mariadb() {
  local script=$1 data=$state/mariadb/data
  # Without the asynchronous requests of a big server, of which a small machine has few.
  local innodb=(--innodb-use-native-aio=0 --innodb-log-file-size=64M)
  # One that starts removes the temporary tables of every other server in its folder for them.
  local folders=("--datadir=$data" "--tmpdir=$state/mariadb/tmp")
  shift
  mariadb_port=$(free_port)
  mkdir "$state/mariadb" "$state/mariadb/tmp"
  [ "$(id -u)" != 0 ] || chown "$server_uid:$server_gid" "$state/mariadb" "$state/mariadb/tmp"
  say "starting $("$HALLPASS_MARIADB_BIN/mariadbd" --version) on port $mariadb_port"
  (cd / && "${as_server[@]}" mariadb-install-db --no-defaults --auth-root-authentication-method=normal --skip-test-db \
    --skip-name-resolve "${innodb[@]}" "${folders[@]}") >"$state/mariadb-install.log" 2>&1
  (cd / && exec setsid "${as_server[@]}" "$HALLPASS_MARIADB_BIN/mariadbd" --no-defaults "${folders[@]}" "--port=$mariadb_port" \
    --bind-address=127.0.0.1 "--socket=$state/mariadb/socket" --skip-name-resolve --character-set-server=utf8mb4 \
    --default-time-zone=+00:00 --max-connections=200 --innodb-flush-log-at-trx-commit=0 "${innodb[@]}" "$@") \
    >"$state/mariadb.log" 2>&1 &
  mariadb_pid=$!
  until_ready MariaDB admin_mariadb -e 'SELECT 1'
  # The owner of one schema and nothing else.
  admin_mariadb -e "CREATE USER shop_owner@'127.0.0.1' IDENTIFIED BY 'shop-secret'; CREATE DATABASE shop;
    GRANT ALL ON shop.* TO shop_owner@'127.0.0.1'"
  owner_mariadb <"$script"
}

# Without the password that the environment may hold for somebody else.
admin_mariadb() { MYSQL_PWD='' mariadb --no-defaults "--socket=$state/mariadb/socket" -u root "$@"; }

# `localhost` would be the socket of another server.
owner_mariadb() {
  MYSQL_PWD=shop-secret mariadb --no-defaults --protocol=TCP -h 127.0.0.1 -P "$mariadb_port" -u shop_owner shop "$@" >/dev/null
}

# A hallpass command by whoever runs the proxy. The configuration is named, as one in the current folder would come first.
as_admin() { "$hallpass" --config "$config" "$@"; }

# start_hallpass TEMPLATE — of a proxy.toml.
start_hallpass() {
  local template=$1
  proxy_port=$(free_port)
  mysql_proxy_port=$(free_port)
  api_port=$(free_port)
  config=$state/proxy.toml
  export SHOP_PASSWORD=shop-secret
  sed -e "s|@STATE@|$state|; s|@API_PORT@|$api_port|; s|@PROXY_PORT@|$proxy_port|; s|@MYSQL_PROXY_PORT@|$mysql_proxy_port|" \
    -e "s|@POSTGRES_PORT@|$postgres_port|; s|@MARIADB_PORT@|$mariadb_port|" "$template" >"$config"
  as_admin check >&2
  say "starting hallpass"
  setsid "$hallpass" serve --config "$config" >"$state/hallpass.log" 2>&1 &
  hallpass_pid=$!
  [ -z "$postgres_port" ] || until_ready hallpass bash -c "exec 3<>/dev/tcp/127.0.0.1/$proxy_port"
  [ -z "$mariadb_port" ] || until_ready hallpass bash -c "exec 3<>/dev/tcp/127.0.0.1/$mysql_proxy_port"
  until_ready "hallpass' socket" test -S "$state/data/api.sock"
}

# Stops what was started, the proxy first. A second Ctrl-C does not stop the stopping.
stop_all() {
  local pid signal
  trap '' INT TERM
  for pid in "${other_pids[@]}" $hallpass_pid $postgres_pid $mariadb_pid; do
    # To Postgres INT means: fast. The others take it as a wish to end, too, but for MariaDB.
    [ "$pid" = "$mariadb_pid" ] && signal=TERM || signal=INT
    kill "-$signal" "$pid" 2>/dev/null || continue
    wait "$pid" 2>/dev/null || true
  done
  rm -rf "$state"
}
