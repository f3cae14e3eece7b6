-- Share links: one recording for viewers without an account. They end with the recording and with their creator.
CREATE TABLE shares (
    id             TEXT PRIMARY KEY NOT NULL,
    recording_id   TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE, -- first part
    creator_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    token_hash     TEXT NOT NULL,               -- SHA-256 in hex
    password_hash  TEXT NOT NULL,               -- Argon2id; empty: no password
    label          TEXT NOT NULL,
    created_ms     BIGINT NOT NULL,
    expires_ms     BIGINT NOT NULL,
    views          BIGINT NOT NULL DEFAULT 0,
    last_viewed_ms BIGINT
);
CREATE UNIQUE INDEX shares_token ON shares (token_hash);
CREATE INDEX shares_recording ON shares (recording_id, created_ms);
CREATE INDEX shares_creator ON shares (creator_id);
