-- Range of a share link: a span of one part. All zero: the whole recording with all of its parts.
ALTER TABLE shares ADD COLUMN part BIGINT NOT NULL DEFAULT 0;     -- number of the part
ALTER TABLE shares ADD COLUMN start_ms BIGINT NOT NULL DEFAULT 0; -- in the part
ALTER TABLE shares ADD COLUMN end_ms BIGINT NOT NULL DEFAULT 0;
