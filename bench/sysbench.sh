# Sourced by bench/mysql.sh and bench/sysbench-check: sysbench with the settings that both use. The password is in
# $sysbench_password. sysbench speaks through MariaDB's client library: native and caching_sha2 logins, both without TLS.
# shellcheck shell=bash

sysbench_count=4
sysbench_rows=10000

# sysbench_as PORT USER SCHEMA ARGUMENT…
sysbench_as() {
  local port=$1 user=$2 schema=$3
  shift 3
  sysbench --db-driver=mysql --mysql-host=127.0.0.1 --mysql-port="$port" --mysql-user="$user" --mysql-password="$sysbench_password" \
    --mysql-db="$schema" --tables=$sysbench_count --table-size=$sysbench_rows --rand-type=uniform "$@" 2>&1
}

# sysbench_tables PORT USER SCHEMA — makes and fills the tables; for a connection without a proxy.
sysbench_tables() { sysbench_as "$1" "$2" "$3" oltp_common prepare; }

# sysbench_load point_select|read_write text|prepared THREADS PORT USER SCHEMA ARGUMENT… — prints sysbench's report.
# A deadlock is not an error: transactions that meet run into one now and then, and sysbench repeats them.
sysbench_load() {
  local script=oltp_$1 threads=$3 port=$4 user=$5 schema=$6 statements
  case $2 in
    text) statements=disable ;;
    prepared) statements=auto ;;
    *) echo "unknown mode: $2"; return 2 ;;
  esac
  shift 6
  sysbench_as "$port" "$user" "$schema" "$script" --db-ps-mode="$statements" --threads="$threads" \
    --mysql-ignore-errors=1213 "$@" run
}

# Of a report on standard input: queries, queries a second, average latency in ms.
sysbench_figures() {
  awk '
    $1 == "queries:" { queries = $2; rate = substr($3, 2) }
    $1 == "avg:" { latency = $2 }
    END { print queries, rate, latency }'
}
