#!/bin/sh
# What the pipeline runs: every migration in order, by the PG… variables that `hallpass run` sets. It knows no password.
set -eu
for file in "$(dirname "$0")"/migrations/*.sql; do
  echo "migrating $(basename "$file")"
  psql -X -q -v ON_ERROR_STOP=1 -f "$file"
done
