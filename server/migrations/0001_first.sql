-- Portable over SQLite and PostgreSQL: TEXT ids, BIGINT milliseconds since 1970 (UTC), BIGINT booleans (0 or 1).

CREATE TABLE users (
    id            TEXT PRIMARY KEY NOT NULL,
    username      TEXT NOT NULL,
    -- The name without regard to case: what must be unique.
    username_key  TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,          -- PHC string; empty: has no password
    email         TEXT,
    display_name  TEXT,
    roles         TEXT NOT NULL,          -- comma-separated: user, admin
    disabled      BIGINT NOT NULL DEFAULT 0,
    source        TEXT NOT NULL DEFAULT 'local', -- who vouches for them: local, oidc, jwt, proxy
    external_key  TEXT UNIQUE,            -- who they are there; NULL for local
    created_ms    BIGINT NOT NULL,
    last_seen_ms  BIGINT
);

-- Whether anybody can sign in with a password.
CREATE INDEX users_password ON users (id) WHERE password_hash <> '' AND disabled = 0;

-- Rows to lock where one statement is not enough to keep a rule that spans rows.
CREATE TABLE locks (
    name  TEXT PRIMARY KEY NOT NULL,
    taken BIGINT NOT NULL DEFAULT 0
);
-- One local administrator stays.
INSERT INTO locks (name) VALUES ('administrators');

-- Long-lived tokens of agents and platforms.
CREATE TABLE api_tokens (
    id           TEXT PRIMARY KEY NOT NULL,
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name         TEXT NOT NULL,
    token_hash   TEXT NOT NULL UNIQUE,    -- SHA-256, hexadecimal
    prefix       TEXT NOT NULL,           -- its first characters, to tell it by
    scopes       TEXT NOT NULL,           -- comma-separated: record, read, admin
    created_ms   BIGINT NOT NULL,
    expires_ms   BIGINT,
    last_used_ms BIGINT                   -- written at most once a minute
);
CREATE INDEX api_tokens_user ON api_tokens (user_id, created_ms, id);
CREATE INDEX api_tokens_created ON api_tokens (created_ms, id);

-- The refresh tokens of sign-ins (families) that are still alive; spent ones go after an hour.
CREATE TABLE refresh_tokens (
    token_hash TEXT PRIMARY KEY NOT NULL, -- SHA-256, hexadecimal
    family     TEXT NOT NULL,             -- the sign-in it descends from
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    -- When it was exchanged for the next one; using it again after that ends the whole family.
    spent_ms   BIGINT
);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_user ON refresh_tokens (user_id);
CREATE INDEX refresh_tokens_expires ON refresh_tokens (expires_ms);

CREATE TABLE settings (
    name  TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
);

CREATE TABLE sessions (
    id         TEXT PRIMARY KEY NOT NULL,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    app_id     TEXT NOT NULL,
    status     TEXT NOT NULL,             -- creating, running, stopped, expired, failed
    -- Its user has stopped a recording by hand: none starts by itself any more.
    auto_declined BIGINT NOT NULL DEFAULT 0,
    created_ms BIGINT NOT NULL,
    ended_ms   BIGINT
);
CREATE INDEX sessions_user ON sessions (user_id, created_ms, id);
CREATE INDEX sessions_user_status ON sessions (user_id, status, created_ms, id);
CREATE INDEX sessions_created ON sessions (created_ms, id);
CREATE INDEX sessions_status ON sessions (status, created_ms, id);

CREATE TABLE recordings (
    id              TEXT PRIMARY KEY NOT NULL,
    session_id      TEXT NOT NULL,
    user_id         TEXT NOT NULL,
    filename        TEXT NOT NULL,
    -- While bytes arrive these two are written rarely: the truth is in the stored bytes.
    size_bytes      BIGINT NOT NULL DEFAULT 0,
    duration_ms     BIGINT NOT NULL DEFAULT 0,
    format          TEXT NOT NULL DEFAULT '', -- webm, mkv, mp4; empty: not known (yet)
    storage_backend TEXT NOT NULL,
    storage_path    TEXT NOT NULL,
    status          TEXT NOT NULL,        -- recording, uploading, processing, ready, failed
    failure         TEXT,
    interrupted     BIGINT NOT NULL DEFAULT 0,
    -- Upload-Length once it is known.
    upload_length   BIGINT,
    -- Upload-Metadata as it came.
    upload_metadata TEXT NOT NULL DEFAULT '',
    -- SHA-256 of the key its creation may be sent again with (base64): an index takes no text of any length.
    idempotency_key TEXT,
    -- recording; partial: a piece of one, shown to nobody, of no session; final: made of such pieces.
    kind            TEXT NOT NULL DEFAULT 'recording',
    -- Upload-Concat as it came.
    upload_concat   TEXT NOT NULL DEFAULT '',
    -- The final upload that a partial one is copied into; the partial one goes when that is complete.
    final_id        TEXT,
    -- Never deleted by retention, threshold or clean-up.
    protected       BIGINT NOT NULL DEFAULT 0,
    -- Somebody has deleted it; the row goes when its object is gone.
    deleting        BIGINT NOT NULL DEFAULT 0,
    created_ms      BIGINT NOT NULL,
    completed_ms    BIGINT
);
-- Lists: for each order one index for a person's recordings and one for everybody's. They are read one range for
-- each status, merged. Pieces (kind partial) are in none of them.
CREATE INDEX recordings_user_created ON recordings (user_id, status, created_ms, id) WHERE kind <> 'partial';
CREATE INDEX recordings_user_duration ON recordings (user_id, status, duration_ms, id) WHERE kind <> 'partial';
CREATE INDEX recordings_user_size ON recordings (user_id, status, size_bytes, id) WHERE kind <> 'partial';
-- With the size: the storage report counts bytes in it without touching the table.
CREATE INDEX recordings_created ON recordings (status, created_ms, id, size_bytes) WHERE kind <> 'partial';
CREATE INDEX recordings_duration ON recordings (status, duration_ms, id) WHERE kind <> 'partial';
CREATE INDEX recordings_size ON recordings (status, size_bytes, id) WHERE kind <> 'partial';
CREATE INDEX recordings_session ON recordings (session_id, status, created_ms, id) WHERE kind <> 'partial';
-- What is looked for every few seconds is rare, and so are these indexes' rows.
CREATE INDEX recordings_protected ON recordings (status, created_ms, id) WHERE protected = 1;
CREATE INDEX recordings_user_protected ON recordings (user_id, status, created_ms, id) WHERE protected = 1;
CREATE INDEX recordings_deleting ON recordings (id) WHERE deleting = 1;
CREATE INDEX recordings_open ON recordings (id) WHERE status IN ('recording', 'uploading', 'processing');
CREATE INDEX recordings_partial ON recordings (completed_ms) WHERE kind = 'partial';
CREATE INDEX recordings_part_of ON recordings (final_id) WHERE final_id IS NOT NULL;
CREATE INDEX recordings_final ON recordings (upload_concat) WHERE kind = 'final';
-- Uploads that take room and are no recording yet; a query must repeat the condition to the letter.
CREATE INDEX recordings_user_open ON recordings (user_id)
    WHERE status IN ('recording', 'uploading') OR kind = 'partial';
-- Of somebody's uploads with one key only one is open; a query must repeat the condition to the letter.
CREATE UNIQUE INDEX recordings_user_key ON recordings (user_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL AND status IN ('recording', 'uploading') AND deleting = 0;

-- What one of several servers does for all, and until when it is that one's.
CREATE TABLE leases (
    name       TEXT PRIMARY KEY NOT NULL, -- retention, sweep
    holder     TEXT NOT NULL,             -- a server's run
    -- Counts its holders: a former one, however late, is told by it.
    fence      BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL            -- by the database's clock
);

-- Who of several servers may write to an upload that is staged where all of them reach it: PostgreSQL with S3 only.
CREATE TABLE upload_leases (
    upload_id TEXT PRIMARY KEY NOT NULL,
    -- Counts its holders: what carries a smaller number is of somebody who has lost it.
    fence     BIGINT NOT NULL,
    -- When its holder was last heard, by the database's clock.
    heard_ms  BIGINT NOT NULL,
    manifest  TEXT NOT NULL               -- what of it is in the store, as the storage writes it
);
CREATE INDEX upload_leases_heard ON upload_leases (heard_ms);

-- Who did what, when. Rows are only ever added. Each one's hash covers the row before: see catalog/audit.rs.
CREATE TABLE audit (
    seq        BIGINT PRIMARY KEY NOT NULL, -- 1, 2, 3, ... without a gap
    at_ms      BIGINT NOT NULL,
    actor_id   TEXT NOT NULL,             -- a user's id, system, or empty when nobody is known
    actor_name TEXT NOT NULL,
    via        TEXT NOT NULL,             -- cookie, bearer, token, jwt, proxy, password, oidc, system
    address    TEXT NOT NULL,             -- where the request came from; empty: from nowhere
    action     TEXT NOT NULL,             -- recording.start, recording.delete, settings.change, ...
    subject    TEXT NOT NULL,             -- the id of what it was done to
    detail     TEXT NOT NULL,
    result     TEXT NOT NULL,             -- ok, denied, failed
    hash       TEXT NOT NULL              -- SHA-256, hexadecimal
);
CREATE INDEX audit_at ON audit (at_ms, seq);
CREATE INDEX audit_actor ON audit (actor_id, at_ms, seq);
CREATE INDEX audit_action ON audit (action, at_ms, seq);
CREATE INDEX audit_subject ON audit (subject, at_ms, seq);
CREATE INDEX audit_result ON audit (result, at_ms, seq);

-- The end of the chain: one row, taken by whoever adds to it, in the same transaction.
CREATE TABLE audit_head (
    id   BIGINT PRIMARY KEY NOT NULL,     -- 1
    seq  BIGINT NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '');
