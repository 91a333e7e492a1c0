# Sourced by examples/demo/run: the demo's story, played with the databases' own clients, each step checked against what
# it must show. Alice's client stays open from the first step to the last. What differs is in postgres.sh and mariadb.sh.
# shellcheck shell=bash

# shellcheck source=examples/demo/postgres.sh
source examples/demo/postgres.sh
# shellcheck source=examples/demo/mariadb.sh
source examples/demo/mariadb.sh

# Requests and their grants are numbered alike here: each request gives one grant.
number=0

both_stories() {
  story postgres
  story mariadb
}

# story postgres|mariadb
story() {
  local side=$1
  local target with browse
  local look='SELECT id, name, email, ssn, card_number FROM shop.customers WHERE id = 7'
  "${side}_side"
  number=$((number + 1))
  printf '\n#### %s, with %s\n' "$target" "$with"
  opens alice "$with"

  step 'alice may look around, not at data'
  types alice "$browse"
  expect 'card_number'
  expect_not 'ERROR'
  types alice "$look;"
  expect 'ERROR'
  expect 'no grant allows SELECT on shop.customers'
  expect "HINT:  CALL hallpass.request('reader', '1 hour', 'why')"

  step 'she types what the hint says'
  follow_hint
  expect_not 'ERROR'
  as alice approve $number
  expect_exit 1
  types alice "$look;"
  expect 'no grant allows SELECT on shop.customers'

  step 'bob of security sees the request and approves'
  as bob requests --pending
  expect 'INC-1234 stuck order'
  as bob approve $number
  expect_exit 0

  step 'the same statement, on the connection that is still open: rows, with masks'
  types alice "$look;"
  expect_not 'ERROR'
  expect 'Hana'
  expect_not 'customer7@mail.example'
  expect_not '907-17-0007'
  expect_not '4000000000055433'
  expect '5433'
  types alice 'SELECT * FROM shop.stuck_orders WHERE id = 4;'
  expect_not 'ERROR'
  expect '2026-01-01'
  expect_not '@mail.example'
  types alice "SELECT upper(email), concat(ssn, '!') FROM shop.customers WHERE id = 7;"
  expect_not 'CUSTOMER7@'
  expect_not '907-17-0007'
  types alice 'SELECT count(*) FROM shop.orders;'
  expect '8000'

  step 'reading is not writing'
  types alice "UPDATE shop.orders SET status = 'paid' WHERE id = 4;"
  expect 'no grant allows UPDATE on shop.orders'
  expect "HINT:  CALL hallpass.request('fixer', '1 hour', 'why')"

  step 'bob ends it; the connection is still open, and holds nothing'
  as bob revoke $number --reason "all done"
  expect_exit 0
  types alice "$look;"
  expect 'no grant allows SELECT on shop.customers'
  leaves alice

  step 'whoever runs the proxy sees what happened; the chain of the audit holds'
  as operator audit search shop.customers --database "$target"
  expect_exit 0
  expect 'alice'
  expect 'SELECT id, name, email'
  as operator audit verify
  expect_exit 0
  expect 'intact'

  step 'the statement was in the audit before the server heard of it'
  recorded_first "$look"
}

# The statement of the last HINT, typed by alice with a reason of her own.
follow_hint() {
  local hint
  hint=$(sed -n 's/.*HINT: *//p' <<<"$shown" | head -n 1)
  if [[ $hint != "CALL hallpass.request("* ]]; then
    fail "the hint is no statement: $hint"
    return
  fi
  types alice "${hint//why/INC-1234 stuck order};"
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
