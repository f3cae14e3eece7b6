-- Modification time of an imported file, Unix time in ms; NULL: not known.
ALTER TABLE recordings ADD COLUMN file_modified_ms BIGINT;
-- Folder in which the file was last seen, by its file system; NULL: not known.
ALTER TABLE recordings ADD COLUMN file_folder TEXT;
-- Whether the user must choose a password before anything else.
ALTER TABLE users ADD COLUMN must_change_password BIGINT NOT NULL DEFAULT 0;
