-- grants.db, from version 3 to 4: requests and grants that live only as long as somebody holds them.

ALTER TABLE requests ADD COLUMN held INTEGER NOT NULL DEFAULT 0;  -- ends when its holder is gone: `hallpass run`
CREATE INDEX held_requests ON requests (id) WHERE held = 1;
