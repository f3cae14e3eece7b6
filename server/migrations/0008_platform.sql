-- Labels of an embedding platform: its own ID of an object, and a JSON object of its data. NULL: none.
ALTER TABLE users ADD COLUMN external_id TEXT;
ALTER TABLE users ADD COLUMN metadata TEXT;
ALTER TABLE sessions ADD COLUMN external_id TEXT;
ALTER TABLE sessions ADD COLUMN metadata TEXT;
ALTER TABLE recordings ADD COLUMN external_id TEXT;   -- of the first part; several recordings may have the same
ALTER TABLE recordings ADD COLUMN metadata TEXT;      -- of the first part
CREATE UNIQUE INDEX users_external ON users (external_id) WHERE external_id IS NOT NULL;
CREATE UNIQUE INDEX sessions_external ON sessions (user_id, external_id) WHERE external_id IS NOT NULL;

-- Index of the labels: one row for an external ID and one for each key of the metadata with a text, number or boolean.
-- The label is the SHA-256 of kind, key and value (128 bits, hexadecimal), because an index of PostgreSQL takes no text of
-- any length. The position is the place of the object in its list.
CREATE TABLE session_labels (
    id         TEXT PRIMARY KEY NOT NULL,     -- subject, a space, label
    subject_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    owner_id   TEXT NOT NULL,
    label      TEXT NOT NULL,
    position   BIGINT NOT NULL                -- sessions.created_ms
);
CREATE UNIQUE INDEX session_labels_subject ON session_labels (subject_id, label);
CREATE INDEX session_labels_label ON session_labels (label, position, subject_id);
CREATE INDEX session_labels_owner ON session_labels (owner_id, label, position, subject_id);
CREATE TABLE recording_labels (
    id         TEXT PRIMARY KEY NOT NULL,
    subject_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    owner_id   TEXT NOT NULL,
    label      TEXT NOT NULL,
    position   BIGINT NOT NULL                -- recordings.created_ms
);
CREATE UNIQUE INDEX recording_labels_subject ON recording_labels (subject_id, label);
CREATE INDEX recording_labels_label ON recording_labels (label, position, subject_id);
CREATE INDEX recording_labels_owner ON recording_labels (owner_id, label, position, subject_id);
CREATE TABLE user_labels (
    id         TEXT PRIMARY KEY NOT NULL,
    subject_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    label      TEXT NOT NULL,
    position   TEXT NOT NULL                  -- users.username_key
);
CREATE UNIQUE INDEX user_labels_subject ON user_labels (subject_id, label);
CREATE INDEX user_labels_label ON user_labels (label, position);

-- Subject of a user at the source of the identity, such as the sub of a platform's tokens. It follows the source and the
-- issuer in external_key, which contain no space.
ALTER TABLE users ADD COLUMN subject TEXT;
CREATE INDEX users_subject ON users (subject) WHERE subject IS NOT NULL;
UPDATE users SET subject = substr(ltrim(substr(ltrim(external_key, 'abcdefghijklmnopqrstuvwxyz'), 2),
    'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!"#$%&''()*+,-./:;<=>?@[]^_`{|}~'), 2)
    WHERE external_key IS NOT NULL;

-- Auto-record of one session: 0 or 1; NULL: the setting decides.
ALTER TABLE sessions ADD COLUMN auto_record BIGINT;
-- Whether the session must be recorded, and since when (Unix time in ms) the recording is missing; NULL: it is not.
ALTER TABLE sessions ADD COLUMN recording_required BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN missing_since_ms BIGINT;
-- Counts how often the recording came back, so that a server that learns of bytes late does not report it as missing again.
ALTER TABLE sessions ADD COLUMN recording_resumes BIGINT NOT NULL DEFAULT 0;
CREATE INDEX sessions_required ON sessions (user_id, id) WHERE recording_required = 1 AND ended_ms IS NULL;

-- Erasures of users. A completed one is kept, so that a repeated request finds it.
CREATE TABLE erasures (
    user_id      TEXT PRIMARY KEY NOT NULL,
    requested_ms BIGINT NOT NULL,
    completed_ms BIGINT
);
CREATE INDEX erasures_pending ON erasures (requested_ms) WHERE completed_ms IS NULL;

-- Commitments of the personal fields of an audit row: of actor_name and address, and of detail. Each is `salt:` with a
-- random salt, or, after an erasure, `erased:` with the commitment; see db/audit/chain.rs. Empty: a row of an earlier version,
-- whose hash covers the fields themselves.
ALTER TABLE audit ADD COLUMN actor_proof TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN detail_proof TEXT NOT NULL DEFAULT '';
-- Row that attests the commitments of a row of an earlier version; NULL: the hash covers them.
ALTER TABLE audit ADD COLUMN attested_by BIGINT;
