# Sourced by examples/demo/run: the demo's story, played with the databases' own clients, each step checked against what
# it must show. Alice's client stays open from the first step to the last. What differs is in postgres.sh and mariadb.sh.
# shellcheck shell=bash

# shellcheck source=examples/demo/stage.sh
source examples/demo/stage.sh

# Requests and their grants are numbered alike here: each request gives one grant.
number=0

# tell_story postgres|mariadb
tell_story() {
  local side=$1
  local target client client_command echo_command browse
  local look='SELECT id, name, email, ssn, card_number FROM shop.customers WHERE id = 7'
  "${side}_side"
  number=$((number + 1))
  printf '\n#### %s, with %s\n' "$target" "$client"
  open_client

  step 'alice may look around, not at data'
  alice_types "$browse"
  expect 'card_number'
  expect_not 'ERROR'
  alice_types "$look;"
  expect 'ERROR'
  expect 'no grant allows SELECT on shop.customers'
  expect "HINT:  CALL hallpass.request('reader', '1 hour', 'why')"

  step 'she types what the hint says'
  follow_hint
  expect_not 'ERROR'
  as_alice approve $number
  expect_exit 1
  alice_types "$look;"
  expect 'no grant allows SELECT on shop.customers'

  step 'bob of security sees the request and approves'
  as_bob requests --pending
  expect 'INC-1234 stuck order'
  as_bob approve $number
  expect_exit 0

  step 'the same statement, on the connection that is still open: rows, with masks'
  alice_types "$look;"
  expect_not 'ERROR'
  expect 'Hana'
  expect_not 'customer7@mail.example'
  expect_not '907-17-0007'
  expect_not '4000000000055433'
  expect '5433'
  alice_types 'SELECT * FROM shop.stuck_orders WHERE id = 4;'
  expect_not 'ERROR'
  expect '2026-01-01'
  expect_not '@mail.example'
  alice_types "SELECT upper(email), concat(ssn, '!') FROM shop.customers WHERE id = 7;"
  expect_not 'CUSTOMER7@'
  expect_not '907-17-0007'
  alice_types 'SELECT count(*) FROM shop.orders;'
  expect '8000'

  step 'reading is not writing'
  alice_types "UPDATE shop.orders SET status = 'paid' WHERE id = 4;"
  expect 'no grant allows UPDATE on shop.orders'
  expect "HINT:  CALL hallpass.request('fixer', '1 hour', 'why')"

  step 'bob ends it; the connection is still open, and holds nothing'
  as_bob revoke $number --reason "all done"
  expect_exit 0
  alice_types "$look;"
  expect 'no grant allows SELECT on shop.customers'
  close_client

  step 'whoever runs the proxy sees what happened; the chain of the audit holds'
  as_operator audit search shop.customers --database "$target"
  expect_exit 0
  expect 'alice'
  expect 'SELECT id, name, email'
  as_operator audit verify
  expect_exit 0
  expect 'intact'

  step 'the statement was in the audit before the server heard of it'
  recorded_first "$look"
}

sum_up() {
  if [ "$failures" = 0 ]; then
    printf '\nevery step showed what it should\n'
  else
    printf '\n%s of the steps'\'' checks failed; the log of hallpass:\n' "$failures"
    tail -n 30 "$state/hallpass.log"
    return 1
  fi
}
