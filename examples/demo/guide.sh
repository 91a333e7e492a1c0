# Sourced by examples/demo/run: what to type, each line ready to copy.
# shellcheck shell=bash

say_what_to_type() {
  local mariadb="mariadb --protocol=TCP --skip-ssl -h 127.0.0.1 -P $mysql_proxy_port -u alice shop"
  cat <<TEXT

hallpass is running in front of a throwaway Postgres and a throwaway MariaDB with the same shop. Nothing is granted yet.

1. In a second terminal, be alice, with the client you like; the password is "alice-secret":

   export HALLPASS_URL=http://127.0.0.1:$api_port HALLPASS_TOKEN=${token[alice]}
   PGPASSWORD=alice-secret $(command -v psql) "host=127.0.0.1 port=$proxy_port user=alice dbname=shop sslmode=disable"
   MYSQL_PWD=alice-secret $mariadb

   She can look around (psql: \\d shop.customers, mariadb: DESCRIBE shop.customers;), but not at data:

   SELECT id, name, email, ssn, card_number FROM shop.customers ORDER BY id LIMIT 3;

2. The HINT says what to type, in the same client; then she may wait for the answer:

   CALL hallpass.request('reader', '1 hour', 'INC-1234 stuck order');
   CALL hallpass.wait(1);

3. In a third terminal, be bob, and decide:

   export HALLPASS_URL=http://127.0.0.1:$api_port HALLPASS_TOKEN=${token[bob]}
   $hallpass requests --pending
   $hallpass approve 1

4. Alice's wait is over. In the same client, the same SELECT. Rows, with masks. A view, an expression, a cursor are masked, too:

   SELECT id, name, email, ssn, card_number FROM shop.customers ORDER BY id LIMIT 3;
   SELECT * FROM shop.stuck_orders ORDER BY id LIMIT 3;
   DELETE FROM shop.orders WHERE id = 1;

5. Bob ends it; alice's next statement is denied again:

   $hallpass grants
   $hallpass revoke 1 --reason "done"

6. And you, who run the proxy, look at what happened:

   $hallpass --config $config audit tail
   $hallpass --config $config audit verify

Ctrl-C stops everything and removes $state.
TEXT
}
