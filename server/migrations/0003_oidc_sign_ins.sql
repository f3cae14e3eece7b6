-- Sign-ins at the OpenID provider, with what is needed to ask it again whether they are still wanted.
CREATE TABLE oidc_sign_ins (
    id                TEXT PRIMARY KEY NOT NULL REFERENCES sign_ins (id) ON DELETE CASCADE,
    user_id           TEXT NOT NULL,
    issuer            TEXT NOT NULL,
    subject           TEXT NOT NULL,          -- sub there
    provider_sid      TEXT NOT NULL,          -- sid there; empty: none
    -- The provider's tokens, sealed with AES-256-GCM; empty: none.
    refresh_token     TEXT NOT NULL,
    access_token      TEXT NOT NULL,
    access_expires_ms BIGINT NOT NULL,
    -- Roles or admission depend on claims that only the ID token has, not the user info.
    needs_id_token    BIGINT NOT NULL,
    confirmed_ms      BIGINT NOT NULL,        -- when the provider last confirmed the sign-in
    checking_ms       BIGINT NOT NULL         -- since when a request is asking it; 0: none is
);
CREATE INDEX oidc_sign_ins_subject ON oidc_sign_ins (issuer, subject);
CREATE INDEX oidc_sign_ins_sid ON oidc_sign_ins (issuer, provider_sid);

-- Logout tokens that were used, until they expire.
CREATE TABLE oidc_logout_tokens (
    id         TEXT PRIMARY KEY NOT NULL,     -- SHA-256 of issuer and jti, hexadecimal
    expires_ms BIGINT NOT NULL
);
CREATE INDEX oidc_logout_tokens_expires ON oidc_logout_tokens (expires_ms);
