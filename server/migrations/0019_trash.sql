-- Deleted recordings that can be restored. Their status is 'trashed', so that no list, index and rule of other recordings
-- has them.
ALTER TABLE recordings ADD COLUMN trashed_status TEXT;  -- status before the deletion; NULL: not in the trash
ALTER TABLE recordings ADD COLUMN trashed_ms BIGINT;    -- time of the deletion
ALTER TABLE recordings ADD COLUMN expires_ms BIGINT;    -- end of the time in the trash, of first parts
CREATE INDEX recordings_expires ON recordings (expires_ms, id) WHERE expires_ms IS NOT NULL;
