-- Sign-ins with their own lifetimes, and generations that end all sign-ins or API tokens of a user at once.

-- Counts what ends all sign-ins of a user (a new password, a lock-out): a sign-in of an earlier generation is dead.
ALTER TABLE users ADD COLUMN generation BIGINT NOT NULL DEFAULT 0;
-- The same for API tokens.
ALTER TABLE users ADD COLUMN token_generation BIGINT NOT NULL DEFAULT 0;
ALTER TABLE api_tokens ADD COLUMN generation BIGINT NOT NULL DEFAULT 0; -- users.token_generation at its creation

CREATE TABLE sign_ins (
    id           TEXT PRIMARY KEY NOT NULL, -- refresh_tokens.family
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    generation   BIGINT NOT NULL,           -- alive while it is users.generation
    created_ms   BIGINT NOT NULL,           -- the absolute lifetime begins here
    last_used_ms BIGINT NOT NULL,           -- the idle lifetime begins here; written at most once a minute
    address      TEXT NOT NULL,             -- IP address of the sign-in or of the last refresh
    user_agent   TEXT NOT NULL              -- the header of the sign-in or of the last refresh
);
CREATE INDEX sign_ins_user ON sign_ins (user_id, last_used_ms, id);
CREATE INDEX sign_ins_created ON sign_ins (created_ms);
CREATE INDEX sign_ins_last_used ON sign_ins (last_used_ms);

-- Sign-ins of the version before go on; the absolute lifetime counts from their oldest token that is left.
INSERT INTO sign_ins (id, user_id, generation, created_ms, last_used_ms, address, user_agent)
    SELECT family, MIN(user_id), 0, MIN(created_ms), MAX(created_ms), '', '' FROM refresh_tokens GROUP BY family;
