# Sourced by every examples/NAME/run, from the root of the checkout: installs what is missing, starts throwaway servers
# with the demo's shop and hallpass in front of them, makes the people, and plays the example's story or tells it.
# Sets mode (empty, or --check), and a token for every person.
# shellcheck shell=bash

# shellcheck source=tests/install.sh
source tests/install.sh
# shellcheck source=tests/servers.sh
source tests/servers.sh
# shellcheck source=examples/lib/stage.sh
source examples/lib/stage.sh

trap stop_all EXIT
trap 'exit 130' INT TERM

declare -A token=() group_of=()
mode=''

# set_up NAME "PROTOCOL…" ARGUMENT… — examples/NAME with these kinds of server, by the arguments of its `run`.
set_up() {
  local name=$1 protocols=$2 protocol
  shift 2
  case "${1:-}" in
    '' | --check) mode=${1:-} ;;
    *) echo "usage: examples/$name/run [--check]" >&2; exit 2 ;;
  esac
  for protocol in $protocols; do "install_$protocol"; done
  build_hallpass
  for protocol in $protocols; do "start_${protocol}_shop"; done
  start_hallpass "examples/$name/proxy.toml"
  # So that `hallpass` is what one types, whatever the binary is called.
  mkdir "$state/bin"
  ln -s "$(realpath "$hallpass")" "$state/bin/hallpass"
}

# The servers log every statement with the time it came.
start_postgres_shop() {
  start_postgres examples/demo/postgres.sql -c log_statement=all -c 'log_line_prefix=%m ' -c log_timezone=UTC
}

start_mariadb_shop() {
  start_mariadb examples/demo/mariadb.sql --general-log=ON --log-output=TABLE
}

# add_person NAME GROUP [ARGUMENT of `user add`…] — with the password NAME-secret and a token.
add_person() {
  local name=$1 group=$2
  shift 2
  printf '%s-secret\n' "$name" | as_admin user add "$name" --group "$group" --password-stdin "$@" >&2
  token[$name]=$(as_admin user token "$name" --json | sed -n 's/.*"token"[: ]*"\([^"]*\)".*/\1/p')
  group_of[$name]=$group
}

# The client's command line for NAME. `localhost` would be a socket to MariaDB's, so it is an address and TCP; and that
# client keeps comments to itself unless told.
psql_of() {
  client_command=(env "PGPASSWORD=$1-secret" psql -X "host=127.0.0.1 port=$proxy_port user=$1 dbname=shop sslmode=disable")
}
mariadb_of() {
  client_command=(env "MYSQL_PWD=$1-secret" mariadb --no-defaults --protocol=TCP --skip-ssl -h 127.0.0.1
    -P "$mysql_proxy_port" -u "$1" --table --comments --unbuffered shop)
}

# tell_or_play STORY — plays the function STORY and checks it, or tells what to type and waits.
tell_or_play() {
  local story=$1 name
  if [ "$mode" = --check ]; then
    "$story"
    sum_up
    return
  fi
  printf '\nhallpass is running. In a terminal for each person:\n'
  for name in $(printf '%s\n' "${!token[@]}" | sort); do
    printf '\n  %s (%s)\n    export PATH=%s:$PATH HALLPASS_URL=%s HALLPASS_TOKEN=%s\n' "$name" "${group_of[$name]}" \
      "$state/bin" "http://127.0.0.1:$api_port" "${token[$name]}"
  done
  printf '\n  whoever runs the proxy\n    export PATH=%s:$PATH HALLPASS_CONFIG=%s\n' "$state/bin" "$config"
  "$story"
  printf '\nCtrl-C stops everything and removes %s.\n' "$state"
  wait "$hallpass_pid"
}
