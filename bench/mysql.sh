# Sourced by bench/run: sysbench on MariaDB, with HAProxy in TCP mode as the peer. Twin of postgres.sh.
# shellcheck shell=bash

peer=haproxy
unit=query
all_scripts='point_select read_write'
all_modes='text prepared'
sysbench_password=shop-secret

# shellcheck source=bench/sysbench.sh
source bench/sysbench.sh

# Beside sysbench's tables there is one with a masked column, so that the target has masks.
start_server() {
  install_mariadb
  install_sysbench
  start_mariadb /dev/null --innodb-buffer-pool-size=256M
  owner_mariadb -e 'CREATE TABLE members (id int PRIMARY KEY, email varchar(80))'
  sysbench_tables "$mariadb_port" shop_owner shop >"$state/sysbench-prepare.log" 2>&1
}

direct_port() { echo "$mariadb_port"; }
governed_port() { echo "$mysql_proxy_port"; }

start_peer() {
  local program
  program=$(command -v haproxy || command -v /usr/sbin/haproxy || { apt haproxy && command -v /usr/sbin/haproxy; }) || {
    say "missing: HAProxy (Debian: haproxy); leave it out with --via \"direct hallpass\""
    return 1
  }
  peer_port=$(free_port)
  cat >"$state/haproxy.cfg" <<CFG
defaults
  mode tcp
  maxconn 500
  timeout connect 5s
  timeout client 1h
  timeout server 1h
listen mysql
  bind 127.0.0.1:$peer_port
  server mariadb 127.0.0.1:$mariadb_port
CFG
  (cd / && exec setsid "${as_server[@]}" "$program" -db -f "$state/haproxy.cfg") >"$state/haproxy.log" 2>&1 &
  peer_pid=$!
  other_pids+=("$peer_pid")
  until_ready HAProxy bash -c "exec 3<>/dev/tcp/127.0.0.1/$peer_port"
}

# load SCRIPT MODE CLIENTS PORT — prints how many queries were done, how many a second, and the latency in ms of a
# transaction, which is one query of point_select and 20 of read_write.
load() {
  local output
  output=$(sysbench_load "$1" "$2" "$3" "$4" shop_owner shop --time="$seconds") || {
    echo "$output"
    return 1
  }
  sysbench_figures <<<"$output"
}
