# Sourced by examples/demo/story.sh and examples/ci-migration/run: typing as alice, bob or the operator, and checking what is shown.
# shellcheck shell=bash

failures=0
shown=''
code=0

step() { printf '\n== %s\n' "$*"; }

fail() {
  printf '  ** %s\n' "$*"
  failures=$((failures + 1))
}

expect_exit() { [ "$code" = "$1" ] || fail "exit code $code, expected $1"; }
# Clients set blanks as they like; what is looked for may stand in any.
expect() { grep -qF -- "$(tr -s ' ' <<<"$1")" <<<"$(tr -s ' ' <<<"$shown")" || fail "should show: $1"; }
expect_not() { ! grep -qF -- "$1" <<<"$shown" || fail "must not show: $1"; }

# Alice's client, and this side's ends of the pipes to it.
client_pid=''
to_client=''
from_client=''

open_client() {
  local pipes=$state/client-$client
  mkdir "$pipes"
  mkfifo "$pipes/in" "$pipes/out"
  "${client_command[@]}" <"$pipes/in" >"$pipes/out" 2>&1 &
  client_pid=$!
  exec {to_client}>"$pipes/in" {from_client}<"$pipes/out"
}

# alice_types LINE — into the open client; prints and keeps what it says.
alice_types() {
  local line='' end="end of answer $RANDOM"
  printf '%s> %s     # alice\n' "$client" "$1"
  shown=''
  # In a shell of its own, as a client that ended breaks the pipe.
  (printf '%s\n%s %s\n' "$1" "$echo_command" "$end" >&"$to_client") || true
  while IFS= read -r -t 30 -u "$from_client" line && [ "$line" != "$end" ]; do
    shown+=$line$'\n'
  done
  printf '%s' "$shown" | sed 's/^/  /'
  [ "$line" = "$end" ] || fail "$client ended, or did not answer for 30 seconds"
}

close_client() {
  exec {to_client}>&-
  wait "$client_pid" 2>/dev/null || true
  exec {from_client}<&-
}

# show COMMAND… — prints the command, runs it, prints and keeps what it says. Its exit code is for `expect_exit`.
show() {
  printf '$ %s\n' "${display:-$*}"
  display=''
  code=0
  shown=$("$@" 2>&1) || code=$?
  printf '%s\n' "$shown" | sed 's/^/  /'
}

# Words as one would type them.
quoted() {
  local word line=''
  for word in "$@"; do
    [[ $word == *[[:space:]]* ]] && word="\"$word\""
    line+=" $word"
  done
  printf '%s' "$line"
}

as_alice() {
  display="hallpass$(quoted "$@")     # alice"
  show env "HALLPASS_URL=http://127.0.0.1:$api_port" "HALLPASS_TOKEN=$alice_token" "$hallpass" "$@"
}

as_bob() {
  display="hallpass$(quoted "$@")     # bob"
  show env "HALLPASS_URL=http://127.0.0.1:$api_port" "HALLPASS_TOKEN=$bob_token" "$hallpass" "$@"
}

as_operator() {
  display="hallpass$(quoted "$@")     # whoever runs the proxy"
  show as_admin "$@"
}

# The command of the last HINT, run as alice with a reason of her own.
follow_hint() {
  local hint
  hint=$(sed -n 's/.*HINT: *//p' <<<"$shown" | head -n 1)
  if [[ $hint != "CALL hallpass.request("* ]]; then
    fail "the hint is no statement: $hint"
    return
  fi
  alice_types "${hint//why/INC-1234 stuck order};"
}

# recorded_first STATEMENT — compares the audit's time with the one in the server's own log.
recorded_first() {
  local recorded heard
  recorded=$(as_admin audit search "$1" --kind attempt --database "$target" --json | tr ',' '\n' |
    sed -n 's/.*"at"[: ]*"\([^"Z]*\).*/\1/p')
  recorded=${recorded%%$'\n'*}
  heard=$("${side}_heard" "$1")
  printf '  %s  in the audit\n  %s  in the server'\''s log\n' "$recorded" "$heard"
  if [ -z "$recorded" ] || [ -z "$heard" ]; then
    fail 'it should be in both'
  elif [[ ${recorded:0:${#heard}} > $heard ]]; then
    fail 'the server had it first'
  fi
}
