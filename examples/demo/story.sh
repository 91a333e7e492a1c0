# Sourced by examples/demo/run: the demo's story, played with the real psql, each step checked against what it must show.
# shellcheck shell=bash

failures=0
shown=''

step() { printf '\n== %s\n' "$*"; }

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

fail() {
  printf '  ** %s\n' "$*"
  failures=$((failures + 1))
}

expect_exit() { [ "$code" = "$1" ] || fail "exit code $code, expected $1"; }
expect() { grep -qF -- "$1" <<<"$shown" || fail "should show: $1"; }
expect_not() { ! grep -qF -- "$1" <<<"$shown" || fail "must not show: $1"; }

alice_psql() {
  display="psql -c \"$1\"     # alice"
  show env PGPASSWORD=alice-secret psql -X -h 127.0.0.1 -p "$proxy_port" -U alice shop -c "$1"
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
  local hint words
  hint=$(sed -n 's/^HINT: *//p' <<<"$shown" | head -n 1)
  if [[ $hint != hallpass\ request\ * ]]; then
    fail "the hint is no command: $hint"
    return
  fi
  hint=${hint//…/INC-1234 stuck order}
  eval "words=(${hint#hallpass })"
  as_alice "${words[@]}"
}

tell_story() {
  local look='SELECT id, name, email, ssn, card_number FROM shop.customers WHERE id = 7'

  step 'alice may look around, not at data'
  alice_psql '\d shop.customers'
  expect_exit 0
  expect 'card_number'
  alice_psql "$look"
  expect_exit 1
  expect 'ERROR:  no grant allows SELECT on shop.customers'
  expect 'HINT:  hallpass request --role reader --database shop'

  step 'she types what the hint says'
  follow_hint
  expect_exit 0
  as_alice approve 1
  expect_exit 1
  alice_psql "$look"
  expect_exit 1

  step 'bob of security sees the request and approves'
  as_bob requests --pending
  expect 'INC-1234 stuck order'
  as_bob approve 1
  expect_exit 0

  step 'the same statement: rows, with masks'
  alice_psql "$look"
  expect_exit 0
  expect '(1 row)'
  expect 'Hana'
  expect_not 'customer7@mail.example'
  expect_not '907-17-0007'
  expect_not '4000000000055433'
  expect '5433'
  alice_psql 'SELECT * FROM shop.stuck_orders WHERE id = 4'
  expect_exit 0
  expect '(1 row)'
  expect_not '@mail.example'
  alice_psql "SELECT upper(email), ssn || '!' FROM shop.customers WHERE id = 7"
  expect_not 'CUSTOMER7@'
  expect_not '907-17-0007'
  alice_psql 'SELECT count(*) FROM shop.orders'
  expect '8000'

  step 'reading is not writing'
  alice_psql "UPDATE shop.orders SET status = 'paid' WHERE id = 4"
  expect_exit 1
  expect 'ERROR:  no grant allows UPDATE on shop.orders'
  expect 'HINT:  hallpass request --role fixer --database shop'

  step 'bob ends it'
  as_bob revoke 1 --reason "all done"
  expect_exit 0
  alice_psql "$look"
  expect_exit 1
  expect 'no grant allows SELECT on shop.customers'

  step 'whoever runs the proxy sees what happened; the chain of the audit holds'
  as_operator audit search 'shop.customers'
  expect_exit 0
  expect 'alice'
  expect 'SELECT id, name, email'
  as_operator audit verify
  expect_exit 0
  expect 'intact'

  if [ "$failures" = 0 ]; then
    printf '\nevery step showed what it should\n'
  else
    printf '\n%s of the steps'\'' checks failed; the log of hallpass:\n' "$failures"
    tail -n 30 "$state/hallpass.log"
    return 1
  fi
}
