-- grants.db, from version 2 to 3: what a request leads to and must satisfy, writes in statement grants, reviews.

ALTER TABLE requests ADD COLUMN way TEXT NOT NULL DEFAULT 'grant' CHECK (way IN ('grant', 'extend', 'break_glass'));
ALTER TABLE requests ADD COLUMN extends INTEGER;                 -- the grant that is to last longer
ALTER TABLE requests ADD COLUMN needed TEXT NOT NULL DEFAULT '[]';  -- requirements; none: an admin must approve
ALTER TABLE requests ADD COLUMN resources TEXT NOT NULL DEFAULT '{}';  -- what the statement reaches, by target
ALTER TABLE requests ADD COLUMN max_rows_affected INTEGER;

ALTER TABLE grants ADD COLUMN max_rows_affected INTEGER;
ALTER TABLE grants ADD COLUMN review_due INTEGER;                -- of a break-glass
ALTER TABLE grants ADD COLUMN reviewed_at INTEGER;
ALTER TABLE grants ADD COLUMN reviewed_by TEXT;
ALTER TABLE grants ADD COLUMN review_comment TEXT;
ALTER TABLE grants ADD COLUMN overdue_recorded INTEGER NOT NULL DEFAULT 0;
CREATE INDEX unreviewed ON grants (user) WHERE review_due IS NOT NULL AND reviewed_at IS NULL;
