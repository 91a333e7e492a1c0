#!/usr/bin/env python3
"""Recomputes the hash chain of a hallpass audit log with nothing but Python's standard library.

    verify.py hallpass-data/audit.db [KNOWN_HASH]

It reads the file, it never writes. KNOWN_HASH is a `hash` (hex) that was noted earlier and must still be in the log.

A row's hash is SHA-256(prev_hash + row). `row` is every column but prev_hash and hash, in the table's order; one column
is b"N" for NULL, b"I" and 8 bytes big-endian for an integer, b"T", the length in 8 bytes big-endian and the UTF-8 bytes
for a text. The first row's prev_hash is 32 zero bytes. See audit/src/sqlite/chain.rs.
"""
import hashlib
import sqlite3
import struct
import sys

COLUMNS = """seq at kind session user target protocol listener client application grant_id request_id statement
fingerprint parameters decision reason attempt_seq rows bytes masked_columns duration_us error_code""".split()


def encode(value):
    if value is None:
        return b"N"
    if isinstance(value, int):
        return b"I" + struct.pack(">q", value)
    if isinstance(value, tuple):
        return b"T" + struct.pack(">Q", len(value[0])) + value[0]
    raise ValueError(f"a column holds a {type(value).__name__}, which hallpass never writes")


def verify(path, known):
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    # Texts become 1-tuples of bytes: bytes that are not UTF-8 must not stop the check, and blobs must stay apart.
    database.text_factory = lambda raw: (raw,)
    names = ", ".join(COLUMNS)
    previous, expected, seen = bytes(32), 1, known is None
    for row in database.execute(f"SELECT {names}, prev_hash, hash FROM events ORDER BY seq"):
        seq, columns, prev_hash, row_hash = row[0], row[:-2], row[-2], row[-1]
        if seq != expected:
            return f"row {expected} is missing"
        if prev_hash != previous:
            return f"row {seq} does not follow the row before it"
        try:
            computed = hashlib.sha256(previous + b"".join(map(encode, columns))).digest()
        except ValueError as error:
            return f"row {seq} was changed: {error}"
        if row_hash != computed:
            return f"row {seq} was changed: its hash does not fit"
        seen = seen or row_hash.hex() == known
        previous, expected = row_hash, seq + 1
    if not seen:
        return f"the hash {known} is not in the log: rows were removed, or the whole log was written anew"
    print(f"{expected - 1} rows, the chain holds, last hash {previous.hex()}")
    return None


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    fault = verify(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else None)
    if fault:
        print(fault, file=sys.stderr)
        sys.exit(1)
