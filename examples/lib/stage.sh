# Sourced by examples/lib/setting.sh: what people do in a story, and what they must see. With --check it is done and
# checked; without, it is told: each line is printed, ready to copy, and nothing is checked.
# shellcheck shell=bash

failures=0
shown=''
code=0
steps=0

playing() { [ "$mode" = --check ]; }

step() {
  steps=$((steps + 1))
  printf '\n== %s. %s\n' "$steps" "$*"
}

fail() {
  printf '  ** %s\n' "$*"
  failures=$((failures + 1))
}

expect_exit() { ! playing || [ "$code" = "$1" ] || fail "exit code $code, expected $1"; }
# Clients set blanks as they like; what is looked for may stand in any.
expect() { ! playing || grep -qF -- "$(tr -s ' ' <<<"$1")" <<<"$(tr -s ' ' <<<"$shown")" || fail "should show: $1"; }
expect_not() { ! playing || ! grep -qF -- "$1" <<<"$shown" || fail "must not show: $1"; }

# The clients that are open, by the name of who sits at them, and this side's ends of the pipes to them.
declare -A client=() client_pid=() to_client=() from_client=()
client_command=()
opened=0

# opens NAME psql|mariadb — NAME logs in. The client stays open until `leaves`.
opens() {
  local name=$1 pipes to from
  client[$name]=$2
  "$2_of" "$name"
  if ! playing; then
    printf '  %s$%s\n' "$name" "$(quoted "${client_command[@]:1}")"
    return
  fi
  # Reading from a pipe, mariadb would end at the first error.
  [ "$2" = psql ] || client_command+=(--force)
  opened=$((opened + 1))
  pipes=$state/client-$opened
  mkdir "$pipes"
  mkfifo "$pipes/in" "$pipes/out"
  # Without the ends of the other clients' pipes: those would never see theirs close.
  (close_ends && exec "${client_command[@]}") <"$pipes/in" >"$pipes/out" 2>&1 &
  client_pid[$name]=$!
  exec {to}>"$pipes/in" {from}<"$pipes/out"
  to_client[$name]=$to
  from_client[$name]=$from
}

close_ends() {
  local end
  for end in "${to_client[@]}" "${from_client[@]}"; do exec {end}>&-; done
}

# starts NAME LINE — into the open client; what it says is for `hears`, when others have done something.
starts() {
  printf '  %s %s> %s\n' "$1" "${client[$1]}" "$2"
  playing || return 0
  local echo_command='\echo'
  [ "${client[$1]}" = psql ] || echo_command='system echo'
  # In a shell of its own, as a client that ended breaks the pipe.
  (printf '%s\n%s end of answer\n' "$2" "$echo_command" >&"${to_client[$1]}") 2>/dev/null || true
}

# hears NAME — prints and keeps what the client says; fails when it ended.
hears() {
  ! playing || read_answer "$1" || fail "the client of $1 ended, or did not answer for 30 seconds"
}

read_answer() {
  local line='' complete=no
  shown=''
  while IFS= read -r -t 30 -u "${from_client[$1]}" line; do
    [ "$line" != 'end of answer' ] || { complete=yes; break; }
    shown+=$line$'\n'
  done
  printf '%s' "$shown" | sed 's/^/    /'
  [ $complete = yes ]
}

# types NAME LINE — into the open client; prints and keeps what it says.
types() {
  starts "$1" "$2"
  hears "$1"
}

# finds_closed NAME — hears, where the session ends under the client.
finds_closed() {
  ! playing || ! read_answer "$1" || fail "the session of $1 should have ended"
}

# leaves NAME — closes the client.
leaves() {
  playing || return 0
  local to=${to_client[$1]} from=${from_client[$1]}
  exec {to}>&-
  wait "${client_pid[$1]}" 2>/dev/null || true
  exec {from}<&-
  unset "to_client[$1]" "from_client[$1]"
}

# pauses SECONDS — for what comes by itself.
pauses() {
  printf '  (%s seconds later)\n' "$1"
  ! playing || sleep "$1"
}

# Words as one would type them, each after a blank.
quoted() {
  local word
  for word in "$@"; do
    [[ $word != *[[:space:]\;]* ]] || word="\"$word\""
    printf ' %s' "$word"
  done
}

# show COMMAND… — prints the command (or display) as who types it, runs it with stdin, prints and keeps what it says.
# Its exit code is for `expect_exit`.
show() {
  local line
  line=$(quoted "$@")
  printf '  %s$ %s%s\n' "${who:-}" "${display:-${line# }}" "${stdin:+ <<< $stdin}"
  display=''
  playing || return 0
  code=0
  shown=$("$@" 2>&1 <<<"${stdin:-}") || code=$?
  printf '%s\n' "$shown" | sed 's/^/    /'
}

# as NAME ARGUMENT… — of hallpass; the operator is whoever runs the proxy.
as() {
  local who=$1
  shift
  display="hallpass$(quoted "$@")"
  if [ "$who" = operator ]; then
    show as_admin "$@"
  else
    show env "HALLPASS_URL=http://127.0.0.1:$api_port" "HALLPASS_TOKEN=${token[$who]}" "$hallpass" "$@"
  fi
}

# Prints how many checks failed; fails if one did.
sum_up() {
  if [ "$failures" = 0 ]; then
    printf '\nevery step showed what it should\n'
  else
    printf '\n%s of the steps'\'' checks failed; the log of hallpass:\n' "$failures"
    tail -n 30 "$state/hallpass.log"
    return 1
  fi
}
