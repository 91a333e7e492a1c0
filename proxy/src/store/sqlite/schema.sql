-- grants.db, version 1. Times are microseconds since the Unix epoch, UTC; durations are microseconds; lists are JSON.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

CREATE TABLE users (
    name       TEXT PRIMARY KEY,
    groups     TEXT NOT NULL,
    expires    INTEGER,
    disabled   INTEGER NOT NULL DEFAULT 0,
    created    INTEGER NOT NULL,
    salt       BLOB NOT NULL,           -- of all the user's keys
    iterations INTEGER NOT NULL
) STRICT;

CREATE TABLE keys (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    user         TEXT NOT NULL REFERENCES users (name) ON DELETE CASCADE,
    kind         TEXT NOT NULL CHECK (kind IN ('password', 'token')),
    label        TEXT,
    stored_key   BLOB NOT NULL,         -- SCRAM-SHA-256, RFC 5802 section 3
    server_key   BLOB NOT NULL,
    token_sha256 BLOB UNIQUE,
    created      INTEGER NOT NULL,
    expires      INTEGER
) STRICT;
CREATE INDEX keys_of_user ON keys (user);

-- Users' names stay in requests and grants after the user is gone, so they are no foreign keys.
CREATE TABLE requests (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    user       TEXT NOT NULL,
    asked_by   TEXT NOT NULL,
    role       TEXT,
    statement  TEXT,
    identity   BLOB,
    export     INTEGER NOT NULL DEFAULT 0,
    unmask     INTEGER NOT NULL DEFAULT 0,
    targets    TEXT NOT NULL,
    duration   INTEGER NOT NULL,
    reason     TEXT NOT NULL,
    created    INTEGER NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'rejected', 'cancelled', 'lapsed')),
    closed_at  INTEGER,
    closed_by  TEXT,
    note       TEXT,
    grant_id   INTEGER,
    CHECK ((role IS NULL) <> (statement IS NULL))
) STRICT;
CREATE INDEX pending_requests ON requests (created) WHERE state = 'pending';

CREATE TABLE approvals (
    request  INTEGER NOT NULL REFERENCES requests (id),
    approver TEXT NOT NULL,
    at       INTEGER NOT NULL,
    duration INTEGER,
    comment  TEXT,
    PRIMARY KEY (request, approver)
) STRICT;

CREATE TABLE grants (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    request      INTEGER NOT NULL UNIQUE REFERENCES requests (id),
    user         TEXT NOT NULL,
    role         TEXT,
    statement    TEXT,
    identity     BLOB,
    export       INTEGER NOT NULL DEFAULT 0,
    unmask       INTEGER NOT NULL DEFAULT 0,
    targets      TEXT NOT NULL,
    starts       INTEGER NOT NULL,
    ends         INTEGER NOT NULL,
    revoked_at   INTEGER,
    revoked_by   TEXT,
    note         TEXT,
    end_recorded INTEGER NOT NULL DEFAULT 0,
    CHECK ((role IS NULL) <> (statement IS NULL))
) STRICT;
CREATE INDEX unrecorded_ends ON grants (ends) WHERE end_recorded = 0;
CREATE INDEX grants_by_end ON grants (ends);
