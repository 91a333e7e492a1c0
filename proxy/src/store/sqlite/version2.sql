-- From version 1 to 2: what MySQL's authentication plugins are checked against. A token's hashes are plain: it cannot be
-- guessed. A password's native hash is sealed under a key that is not in this file, and its other is not kept at all.
ALTER TABLE keys ADD COLUMN mysql_sha2 BLOB;
ALTER TABLE keys ADD COLUMN mysql_native BLOB;
ALTER TABLE keys ADD COLUMN mysql_native_sealed BLOB;
