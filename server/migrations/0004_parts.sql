-- A recording may have several parts: each is a row and a file of its own, and all but the first name the first.
ALTER TABLE recordings ADD COLUMN part_of TEXT;             -- the first part; NULL: this is the first, or the only one
ALTER TABLE recordings ADD COLUMN part BIGINT NOT NULL DEFAULT 1; -- 1, 2, 3, ...
-- An administrator has confirmed that this recording may be deleted for its age, although its creation time cannot
-- be right: see policy/clock_guard.rs.
ALTER TABLE recordings ADD COLUMN age_confirmed BIGINT NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX recordings_parts ON recordings (part_of, part) WHERE part_of IS NOT NULL;

-- Lists hide further parts, and read that from the index of their order.
DROP INDEX recordings_user_created;
DROP INDEX recordings_user_duration;
DROP INDEX recordings_user_size;
DROP INDEX recordings_created;
DROP INDEX recordings_duration;
DROP INDEX recordings_size;
DROP INDEX recordings_session;
DROP INDEX recordings_protected;
DROP INDEX recordings_user_protected;
CREATE INDEX recordings_user_created ON recordings (user_id, status, created_ms, id, part_of) WHERE kind <> 'partial';
CREATE INDEX recordings_user_duration ON recordings (user_id, status, duration_ms, id, part_of) WHERE kind <> 'partial';
CREATE INDEX recordings_user_size ON recordings (user_id, status, size_bytes, id, part_of) WHERE kind <> 'partial';
CREATE INDEX recordings_created ON recordings (status, created_ms, id, size_bytes, part_of) WHERE kind <> 'partial';
CREATE INDEX recordings_duration ON recordings (status, duration_ms, id, part_of) WHERE kind <> 'partial';
CREATE INDEX recordings_size ON recordings (status, size_bytes, id, part_of) WHERE kind <> 'partial';
CREATE INDEX recordings_session ON recordings (session_id, status, created_ms, id, part_of) WHERE kind <> 'partial';
CREATE INDEX recordings_protected ON recordings (status, created_ms, id, part_of) WHERE protected = 1;
CREATE INDEX recordings_user_protected ON recordings (user_id, status, created_ms, id, part_of) WHERE protected = 1;
