-- Small pictures of recordings. Each part of a recording has its own.
CREATE TABLE pictures (
    id           TEXT PRIMARY KEY NOT NULL,   -- recording, a space, at_ms
    recording_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    at_ms        BIGINT NOT NULL,             -- from the start of the file
    kind         TEXT NOT NULL,               -- jpeg, webp
    width        BIGINT NOT NULL,             -- in pixels
    height       BIGINT NOT NULL,
    bytes        BYTEA NOT NULL
);
CREATE UNIQUE INDEX pictures_recording ON pictures (recording_id, at_ms);
ALTER TABLE recordings ADD COLUMN pictures BIGINT NOT NULL DEFAULT 0;      -- number
ALTER TABLE recordings ADD COLUMN picture_bytes BIGINT NOT NULL DEFAULT 0; -- their size

-- The indexes that totals are counted from, with the size of the pictures.
DROP INDEX recordings_user_size;
DROP INDEX recordings_created;
CREATE INDEX recordings_user_size ON recordings (user_id, status, size_bytes, id, part_of, picture_bytes) WHERE kind <> 'partial';
CREATE INDEX recordings_created ON recordings (status, created_ms, id, size_bytes, part_of, picture_bytes) WHERE kind <> 'partial';
