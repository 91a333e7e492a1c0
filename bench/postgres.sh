# Sourced by bench/run: pgbench on Postgres, with pgbouncer as the peer. Twin of mysql.sh.
# shellcheck shell=bash

peer=pgbouncer
unit=transaction
all_scripts='select tpcb'
all_modes='simple extended prepared'
export PGPASSWORD=shop-secret

start_server() {
  install_postgres
  start_postgres /dev/null -c shared_buffers=256MB -c synchronous_commit=off
  "$HALLPASS_PG_BIN/pgbench" -i -q -s 10 -h 127.0.0.1 -p "$postgres_port" -U shop_owner shop >"$state/pgbench-init.log" 2>&1
}

direct_port() { echo "$postgres_port"; }
governed_port() { echo "$proxy_port"; }

start_peer() {
  local program
  program=$(command -v pgbouncer || command -v /usr/sbin/pgbouncer || { apt pgbouncer && command -v /usr/sbin/pgbouncer; }) || {
    say "missing: pgbouncer (Debian: pgbouncer); leave it out with --via \"direct hallpass\""
    return 1
  }
  peer_port=$(free_port)
  printf '"shop_owner" "shop-secret"\n' >"$state/pgbouncer.users"
  cat >"$state/pgbouncer.ini" <<INI
[databases]
shop = host=127.0.0.1 port=$postgres_port dbname=shop
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $peer_port
unix_socket_dir =
auth_type = trust
auth_file = $state/pgbouncer.users
pool_mode = session
max_client_conn = 500
default_pool_size = 100
log_connections = 0
log_disconnections = 0
INI
  (cd / && exec setsid "${as_server[@]}" "$program" "$state/pgbouncer.ini") >"$state/pgbouncer.log" 2>&1 &
  peer_pid=$!
  other_pids+=("$peer_pid")
  until_ready pgbouncer bash -c "exec 3<>/dev/tcp/127.0.0.1/$peer_port"
}

# load SCRIPT MODE CLIENTS PORT — prints how many transactions were done, how many a second, and their latency in ms.
load() {
  local flag='' output
  [ "$1" != select ] || flag=-S
  # shellcheck disable=SC2086
  output=$("$HALLPASS_PG_BIN/pgbench" -n $flag -M "$2" -c "$3" -j 2 -T "$seconds" -h 127.0.0.1 -p "$4" -U shop_owner shop 2>&1) || {
    echo "$output"
    return 1
  }
  awk '
    /number of transactions actually processed/ { split($NF, n, "/"); done = n[1] }
    /latency average/ { latency = $4 }
    /^tps/ { tps = $3 }
    END { print done, tps, latency }' <<<"$output"
}
