PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE _sqlx_migrations (
    version BIGINT PRIMARY KEY,
    description TEXT NOT NULL,
    installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    success BOOLEAN NOT NULL,
    checksum BLOB NOT NULL,
    execution_time BIGINT NOT NULL
);
INSERT INTO _sqlx_migrations VALUES(1,'first','2026-11-30 22:15:37',1,X'0e3ecffcc333148cbc3ca7ef1c9546183f69004b8460e5f26881e86bcb507cc131d31325dd38b121d2dfc6eb447ab290',1844773);
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
INSERT INTO users VALUES('01a22e87-20ab-7709-8821-f5fbca03c829','admin','admin','$argon2id$v=19$m=19456,t=2,p=1$64JeBf/Z2IUUaS9KL9CiOg$2zzmm15ZPwk5PSb8qtW+5BvutVYc5+f9xGjVWP2r4ps',NULL,NULL,'user,admin',0,'local',NULL,1796076937437,1796076937617);
INSERT INTO users VALUES('01a22e87-21a8-7760-974b-400be9d13682','ann','ann','$argon2id$v=19$m=19456,t=2,p=1$wATc753qaJiRf8WxndO09w$gSDHt6Fb1kucqPlhRCAcD/Cf7lHEtap6VaVihCgBSSM','ann@example.com','Ann Ä','user',0,'local',NULL,1796076937744,1796076937881);
CREATE TABLE locks (
    name  TEXT PRIMARY KEY NOT NULL,
    taken BIGINT NOT NULL DEFAULT 0
);
INSERT INTO locks VALUES('administrators',0);
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
INSERT INTO api_tokens VALUES('01a22e87-22dd-7431-970d-141f43c6fd8f','01a22e87-21a8-7760-974b-400be9d13682','agent','52bad7edb97742011331c283313b9cd8d2b2529163b5316da092aab0d6e1812c','sortie_cqqIdi','record,read',1796076937949,NULL,NULL);
CREATE TABLE refresh_tokens (
    token_hash TEXT PRIMARY KEY NOT NULL, -- SHA-256, hexadecimal
    family     TEXT NOT NULL,             -- the sign-in it descends from
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    -- When it was exchanged for the next one; using it again after that ends the whole family.
    spent_ms   BIGINT
);
INSERT INTO refresh_tokens VALUES('d14c32cdb41f922b557b7376bedfdf47ad8295054755c91dc22a49db0332bd62','6058d1c7-21b6-4d2d-9c71-ca61e974f2ee','01a22e87-20ab-7709-8821-f5fbca03c829',1796076937617,1798668937617,NULL);
INSERT INTO refresh_tokens VALUES('e466eda5d31eeedba09138454a00ab8f26ef24e2ef773a41b3b616775301817b','b6bd734b-719c-4b35-b3ee-f7c31066b986','01a22e87-21a8-7760-974b-400be9d13682',1796076937881,1798668937881,NULL);
CREATE TABLE settings (
    name  TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
);
INSERT INTO settings VALUES('jwt_secret','e7942f406c598c592696e47e96f530bc117628aa0da1d399c23e3f2458d787c6');
INSERT INTO settings VALUES('recording_auto_record','true');
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
INSERT INTO sessions VALUES('01a22e87-2305-7694-804b-764eac3f78eb','01a22e87-21a8-7760-974b-400be9d13682','desktop','running',0,1796076937989,NULL);
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
INSERT INTO recordings VALUES('01a22e87-232e-7603-9210-555c86e6d0e9','01a22e87-2305-7694-804b-764eac3f78eb','01a22e87-21a8-7760-974b-400be9d13682','Überblick.webm',20557,3000,'webm','local','01a22e87-232e-7603-9210-555c86e6d0e9.webm','ready',NULL,0,16464,'',NULL,'recording','',NULL,1,0,1796076938030,1796076938132);
INSERT INTO recordings VALUES('01a22e87-23c1-7746-9644-081fc72024ca','01a22e87-2305-7694-804b-764eac3f78eb','01a22e87-21a8-7760-974b-400be9d13682','recording_2026-11-30_22-15-38.webm',10,0,'','local','01a22e87-23c1-7746-9644-081fc72024ca.bin','failed','This is not a recording: the data is neither WebM, Matroska nor MP4.',0,10,'',NULL,'recording','',NULL,0,0,1796076938177,1796076938266);
INSERT INTO recordings VALUES('01a22e87-2459-759a-8801-3bc79d6ea567','01a22e87-2305-7694-804b-764eac3f78eb','01a22e87-21a8-7760-974b-400be9d13682','recording_2026-11-30_22-15-38.webm',0,0,'','local','01a22e87-2459-759a-8801-3bc79d6ea567.part','recording',NULL,0,NULL,'',NULL,'recording','',NULL,0,0,1796076938329,NULL);
CREATE TABLE leases (
    name       TEXT PRIMARY KEY NOT NULL, -- retention, sweep
    holder     TEXT NOT NULL,             -- a server's run
    -- Counts its holders: a former one, however late, is told by it.
    fence      BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL            -- by the database's clock
);
CREATE TABLE upload_leases (
    upload_id TEXT PRIMARY KEY NOT NULL,
    -- Counts its holders: what carries a smaller number is of somebody who has lost it.
    fence     BIGINT NOT NULL,
    -- When its holder was last heard, by the database's clock.
    heard_ms  BIGINT NOT NULL,
    manifest  TEXT NOT NULL               -- what of it is in the store, as the storage writes it
);
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
INSERT INTO audit VALUES(1,1796076937619,'01a22e87-20ab-7709-8821-f5fbca03c829','admin','password','127.0.0.1','sign_in','01a22e87-20ab-7709-8821-f5fbca03c829','','ok','577298ddc4cf6dd316e339ad0cd5c89b529df3dbeb10b09f0cf991ac0c57273e');
INSERT INTO audit VALUES(2,1796076937745,'01a22e87-20ab-7709-8821-f5fbca03c829','admin','bearer','127.0.0.1','user.create','01a22e87-21a8-7760-974b-400be9d13682','ann (user)','ok','6ed603baba5d84ef21c90caa1104aaab0c23b041696128e44f1a99b76b35282d');
INSERT INTO audit VALUES(3,1796076937891,'01a22e87-21a8-7760-974b-400be9d13682','ann','password','127.0.0.1','sign_in','01a22e87-21a8-7760-974b-400be9d13682','','ok','6fcbe63dcf2e0aa8f101b097011bca051424b5c65b762e42c682f2ecc58a842d');
INSERT INTO audit VALUES(4,1796076937921,'01a22e87-20ab-7709-8821-f5fbca03c829','admin','bearer','127.0.0.1','settings.change','recording_auto_record','not set → true','ok','2f7948987678d67d3336df7427e7d027dee4682d6ff14705ca25874a5b4ba6da');
INSERT INTO audit VALUES(5,1796076937951,'01a22e87-21a8-7760-974b-400be9d13682','ann','bearer','127.0.0.1','token.create','01a22e87-22dd-7431-970d-141f43c6fd8f','"agent" for record, read','ok','559869171ab8ca4183fdc90a204700364cffcd5f97a4de1d354b49c049f4d6a3');
INSERT INTO audit VALUES(6,1796076937989,'01a22e87-21a8-7760-974b-400be9d13682','ann','bearer','127.0.0.1','session.create','01a22e87-2305-7694-804b-764eac3f78eb','running','ok','8907851ef1b2c0f586e24b9388cef6e9a94b73cdce334ffa18db54be367bafa1');
INSERT INTO audit VALUES(7,1796076938073,'01a22e87-21a8-7760-974b-400be9d13682','ann','bearer','127.0.0.1','recording.start','01a22e87-232e-7603-9210-555c86e6d0e9','01a22e87-2305-7694-804b-764eac3f78eb','ok','8a1cf820abedff2374af1a7df1f98ab90daf21dda88e241f4a04d4f620220463');
INSERT INTO audit VALUES(8,1796076938117,'01a22e87-21a8-7760-974b-400be9d13682','ann','bearer','127.0.0.1','recording.stop','01a22e87-232e-7603-9210-555c86e6d0e9','','ok','0377e477a1760ed2d41758916ec8338e9b5c55c3fcca8bb81062e1168e8bef54');
INSERT INTO audit VALUES(9,1796076938130,'01a22e87-21a8-7760-974b-400be9d13682','ann','bearer','127.0.0.1','recording.upload','01a22e87-232e-7603-9210-555c86e6d0e9','','ok','b7769f0c918120f9f7d6f24cf7a0ee7e1e7e7c80950405926abf9576f9cabbfc');
INSERT INTO audit VALUES(10,1796076938133,'system','system','system','','recording.ready','01a22e87-232e-7603-9210-555c86e6d0e9','','ok','4429ef0e03db7e20e5c23133170f003d7c1337baa0132f52b12a7361a44e9700');
INSERT INTO audit VALUES(11,1796076938185,'01a22e87-21a8-7760-974b-400be9d13682','ann','bearer','127.0.0.1','recording.start','01a22e87-23c1-7746-9644-081fc72024ca','01a22e87-2305-7694-804b-764eac3f78eb','ok','996ec669ad67fa0d17f2f54dc3e5056c3a453a30722b4ce03c8707dc9d8b6c68');
INSERT INTO audit VALUES(12,1796076938237,'01a22e87-21a8-7760-974b-400be9d13682','ann','bearer','127.0.0.1','recording.stop','01a22e87-23c1-7746-9644-081fc72024ca','','ok','51fd470844353ed1b01ae1e25566dbb907197a51e3349362d895f61236340634');
INSERT INTO audit VALUES(13,1796076938256,'01a22e87-21a8-7760-974b-400be9d13682','ann','bearer','127.0.0.1','recording.upload','01a22e87-23c1-7746-9644-081fc72024ca','','ok','0481aed71ca352c33c291ef5966cf4d9402a4ab5d94f2bf77fdf2b49618d3974');
INSERT INTO audit VALUES(14,1796076938267,'system','system','system','','recording.fail','01a22e87-23c1-7746-9644-081fc72024ca','This is not a recording: the data is neither WebM, Matroska nor MP4.','ok','79136ce0472e682907acaa3e1ef7a77729cecfc9070ff9d5af1cdd661f23616f');
INSERT INTO audit VALUES(15,1796076938334,'01a22e87-21a8-7760-974b-400be9d13682','ann','bearer','127.0.0.1','recording.start','01a22e87-2459-759a-8801-3bc79d6ea567','01a22e87-2305-7694-804b-764eac3f78eb','ok','bd09841ac058ac080c926994ad00087852428c7f3e4766857392d383c0bc83b9');
INSERT INTO audit VALUES(16,1796076939406,'01a22e87-21a8-7760-974b-400be9d13682','ann','bearer','127.0.0.1','recording.change','01a22e87-232e-7603-9210-555c86e6d0e9','protected; renamed from recording_2026-11-30_22-15-38.webm to Überblick.webm','ok','0108bf9e16a33430c3c1831326039389bed336a5a83263496a12b15b32094915');
CREATE TABLE audit_head (
    id   BIGINT PRIMARY KEY NOT NULL,     -- 1
    seq  BIGINT NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO audit_head VALUES(1,16,'0108bf9e16a33430c3c1831326039389bed336a5a83263496a12b15b32094915');
CREATE INDEX users_password ON users (id) WHERE password_hash <> '' AND disabled = 0;
CREATE INDEX api_tokens_user ON api_tokens (user_id, created_ms, id);
CREATE INDEX api_tokens_created ON api_tokens (created_ms, id);
CREATE INDEX refresh_tokens_family ON refresh_tokens (family);
CREATE INDEX refresh_tokens_user ON refresh_tokens (user_id);
CREATE INDEX refresh_tokens_expires ON refresh_tokens (expires_ms);
CREATE INDEX sessions_user ON sessions (user_id, created_ms, id);
CREATE INDEX sessions_user_status ON sessions (user_id, status, created_ms, id);
CREATE INDEX sessions_created ON sessions (created_ms, id);
CREATE INDEX sessions_status ON sessions (status, created_ms, id);
CREATE INDEX recordings_user_created ON recordings (user_id, status, created_ms, id) WHERE kind <> 'partial';
CREATE INDEX recordings_user_duration ON recordings (user_id, status, duration_ms, id) WHERE kind <> 'partial';
CREATE INDEX recordings_user_size ON recordings (user_id, status, size_bytes, id) WHERE kind <> 'partial';
CREATE INDEX recordings_created ON recordings (status, created_ms, id, size_bytes) WHERE kind <> 'partial';
CREATE INDEX recordings_duration ON recordings (status, duration_ms, id) WHERE kind <> 'partial';
CREATE INDEX recordings_size ON recordings (status, size_bytes, id) WHERE kind <> 'partial';
CREATE INDEX recordings_session ON recordings (session_id, status, created_ms, id) WHERE kind <> 'partial';
CREATE INDEX recordings_protected ON recordings (status, created_ms, id) WHERE protected = 1;
CREATE INDEX recordings_user_protected ON recordings (user_id, status, created_ms, id) WHERE protected = 1;
CREATE INDEX recordings_deleting ON recordings (id) WHERE deleting = 1;
CREATE INDEX recordings_open ON recordings (id) WHERE status IN ('recording', 'uploading', 'processing');
CREATE INDEX recordings_partial ON recordings (completed_ms) WHERE kind = 'partial';
CREATE INDEX recordings_part_of ON recordings (final_id) WHERE final_id IS NOT NULL;
CREATE INDEX recordings_final ON recordings (upload_concat) WHERE kind = 'final';
CREATE INDEX recordings_user_open ON recordings (user_id)
    WHERE status IN ('recording', 'uploading') OR kind = 'partial';
CREATE UNIQUE INDEX recordings_user_key ON recordings (user_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL AND status IN ('recording', 'uploading') AND deleting = 0;
CREATE INDEX upload_leases_heard ON upload_leases (heard_ms);
CREATE INDEX audit_at ON audit (at_ms, seq);
CREATE INDEX audit_actor ON audit (actor_id, at_ms, seq);
CREATE INDEX audit_action ON audit (action, at_ms, seq);
CREATE INDEX audit_subject ON audit (subject, at_ms, seq);
CREATE INDEX audit_result ON audit (result, at_ms, seq);
COMMIT;
