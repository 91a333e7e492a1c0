# Sourced by examples/ci-migration/run: the story, played with psql, each step checked against what it must show.
# shellcheck shell=bash disable=SC2154

step 'the pipeline holds nothing, and its port is for nobody else'
sql "$scoped_port" ci "${token[ci]}" "UPDATE shop.orders SET note = 'refund pending' WHERE status = 'returned'"
expect 'no grant allows UPDATE on shop.orders'
sql "$scoped_port" rita "${token[rita]}" 'SELECT 1'
expect 'may not use this port'

step 'a job waits for the release group'
job "$state/migrate.sh"
as rita approve 1
expect_exit 0
job_ends
expect_exit 0
expect 'to approve it: hallpass approve 1'
expect 'migrating 002_returned.sql'
expect 'grant 1 is revoked: the command ended'
display='psql (straight to the database)'
show owner_sql 'SELECT count(*) FROM shop.refunds'
expect '2000'
sql "$scoped_port" ci "${token[ci]}" "UPDATE shop.orders SET note = 'refund pending' WHERE status = 'returned'"
expect 'no grant allows UPDATE on shop.orders'

step 'a job with other ideas is told no, and fails'
job psql -X -v ON_ERROR_STOP=1 -c "UPDATE shop.orders SET note = 'refund pending' WHERE status = 'paid'"
as rita approve 2
job_ends
expect_exit 1
expect 'this port runs only the statements that it lists'
job psql -X -v ON_ERROR_STOP=1 -c 'DROP TABLE shop.refunds'
as rita approve 3
job_ends
expect_exit 1
expect 'this port runs only the statements that it lists'

step 'the same statement in another layout is the same'
job psql -X -v ON_ERROR_STOP=1 -c "update shop.orders /* again */ set note='refund pending' where status='returned'"
as rita approve 4
job_ends
expect_exit 0
expect 'UPDATE 2000'

step 'a new migration counts as soon as its file is there'
echo "UPDATE shop.orders SET note = 'refunded' WHERE id = 3;" >"$state/migrations/003_first.sql"
sleep 3
job psql -X -v ON_ERROR_STOP=1 -f "$state/migrations/003_first.sql"
as rita approve 5
job_ends
expect_exit 0
expect 'UPDATE 1'

step 'a job that dies with its runner leaves nothing'
# It ends by itself soon, as nobody is left to stop it.
job sleep 10
as rita approve 6
until_ready 'the job' grep -q 'grant 6' "$state/job.log"
kill -KILL "$job_pid"
job_ends
expect_exit 137
until_ready 'the end of grant 6' is_revoked 6
as operator grants --all
expect 'its holder went away'

step 'the audit has all of it'
as operator audit search 'INSERT INTO shop.refunds' --database shop --kind attempt
expect 'INSERT INTO shop.refunds'
expect 'ci'
as operator audit verify
expect 'intact'
