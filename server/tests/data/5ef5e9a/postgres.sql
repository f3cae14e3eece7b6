CREATE TABLE public._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);
CREATE TABLE public.api_tokens (
    id text NOT NULL,
    user_id text NOT NULL,
    name text NOT NULL,
    token_hash text NOT NULL,
    prefix text NOT NULL,
    scopes text NOT NULL,
    created_ms bigint NOT NULL,
    expires_ms bigint,
    last_used_ms bigint
);
CREATE TABLE public.audit (
    seq bigint NOT NULL,
    at_ms bigint NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    via text NOT NULL,
    address text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    detail text NOT NULL,
    result text NOT NULL,
    hash text NOT NULL
);
CREATE TABLE public.audit_head (
    id bigint NOT NULL,
    seq bigint NOT NULL,
    hash text NOT NULL
);
CREATE TABLE public.leases (
    name text NOT NULL,
    holder text NOT NULL,
    fence bigint NOT NULL,
    expires_ms bigint NOT NULL
);
CREATE TABLE public.locks (
    name text NOT NULL,
    taken bigint DEFAULT 0 NOT NULL
);
CREATE TABLE public.recordings (
    id text NOT NULL,
    session_id text NOT NULL,
    user_id text NOT NULL,
    filename text NOT NULL,
    size_bytes bigint DEFAULT 0 NOT NULL,
    duration_ms bigint DEFAULT 0 NOT NULL,
    format text DEFAULT ''::text NOT NULL,
    storage_backend text NOT NULL,
    storage_path text NOT NULL,
    status text NOT NULL,
    failure text,
    interrupted bigint DEFAULT 0 NOT NULL,
    upload_length bigint,
    upload_metadata text DEFAULT ''::text NOT NULL,
    idempotency_key text,
    kind text DEFAULT 'recording'::text NOT NULL,
    upload_concat text DEFAULT ''::text NOT NULL,
    final_id text,
    protected bigint DEFAULT 0 NOT NULL,
    deleting bigint DEFAULT 0 NOT NULL,
    created_ms bigint NOT NULL,
    completed_ms bigint
);
CREATE TABLE public.refresh_tokens (
    token_hash text NOT NULL,
    family text NOT NULL,
    user_id text NOT NULL,
    created_ms bigint NOT NULL,
    expires_ms bigint NOT NULL,
    spent_ms bigint
);
CREATE TABLE public.sessions (
    id text NOT NULL,
    user_id text NOT NULL,
    app_id text NOT NULL,
    status text NOT NULL,
    auto_declined bigint DEFAULT 0 NOT NULL,
    created_ms bigint NOT NULL,
    ended_ms bigint
);
CREATE TABLE public.settings (
    name text NOT NULL,
    value text NOT NULL
);
CREATE TABLE public.upload_leases (
    upload_id text NOT NULL,
    fence bigint NOT NULL,
    heard_ms bigint NOT NULL,
    manifest text NOT NULL
);
CREATE TABLE public.users (
    id text NOT NULL,
    username text NOT NULL,
    username_key text NOT NULL,
    password_hash text NOT NULL,
    email text,
    display_name text,
    roles text NOT NULL,
    disabled bigint DEFAULT 0 NOT NULL,
    source text DEFAULT 'local'::text NOT NULL,
    external_key text,
    created_ms bigint NOT NULL,
    last_seen_ms bigint
);
INSERT INTO public._sqlx_migrations VALUES (1, 'first', '2026-11-30 22:15:49.814255+00', true, '\x0e3ecffcc333148cbc3ca7ef1c9546183f69004b8460e5f26881e86bcb507cc131d31325dd38b121d2dfc6eb447ab290', 194935515);
INSERT INTO public.api_tokens VALUES ('01a22e87-554f-71ee-991c-32985daaa06d', '01a22e87-542a-724e-9996-8bd68c915361', 'agent', '65e73c64278b601ad52e6027b9eae60fe061caa599c1521fdb281ffb130d4cdd', 'sortie_IaTqta', 'record,read', 1796076950863, NULL, NULL);
INSERT INTO public.audit VALUES (1, 1796076950538, '01a22e87-527f-7551-9266-27e9e9456de0', 'admin', 'password', '127.0.0.1', 'sign_in', '01a22e87-527f-7551-9266-27e9e9456de0', '', 'ok', 'b676de7839d1be98d45071e8a7b67c50191cb313cb170079814df077615ffbe1');
INSERT INTO public.audit VALUES (2, 1796076950672, '01a22e87-527f-7551-9266-27e9e9456de0', 'admin', 'bearer', '127.0.0.1', 'user.create', '01a22e87-542a-724e-9996-8bd68c915361', 'ann (user)', 'ok', '017fdee75cedbab64ef54e8fcbc68d5e4183c39308e92db90c8ad8b64630e414');
INSERT INTO public.audit VALUES (3, 1796076950802, '01a22e87-542a-724e-9996-8bd68c915361', 'ann', 'password', '127.0.0.1', 'sign_in', '01a22e87-542a-724e-9996-8bd68c915361', '', 'ok', '49d48ce5eecf24da6470121e21bb6452779be947df037a0ea74276e2386fd383');
INSERT INTO public.audit VALUES (4, 1796076950833, '01a22e87-527f-7551-9266-27e9e9456de0', 'admin', 'bearer', '127.0.0.1', 'settings.change', 'recording_auto_record', 'not set → true', 'ok', '22e13e3d25b9125faac2655e82b9dd8203db7d87859b2feae8fe2a58fe1dbe93');
INSERT INTO public.audit VALUES (5, 1796076950867, '01a22e87-542a-724e-9996-8bd68c915361', 'ann', 'bearer', '127.0.0.1', 'token.create', '01a22e87-554f-71ee-991c-32985daaa06d', '"agent" for record, read', 'ok', '358d1e01a5af4ea85a51fee6f8de95e32d8d6249d1379bde84c62745365c8e2e');
INSERT INTO public.audit VALUES (6, 1796076950886, '01a22e87-542a-724e-9996-8bd68c915361', 'ann', 'bearer', '127.0.0.1', 'session.create', '01a22e87-5566-700c-ab5f-1d61f52f85b1', 'running', 'ok', 'e01cf71aece454e0853c521ac97a676b6a4f8ff7038e719ab91488d577f63da0');
INSERT INTO public.audit VALUES (7, 1796076950957, '01a22e87-542a-724e-9996-8bd68c915361', 'ann', 'bearer', '127.0.0.1', 'recording.start', '01a22e87-559f-7630-beeb-b7c4f428dd50', '01a22e87-5566-700c-ab5f-1d61f52f85b1', 'ok', '0006ac50123a59e61248a642f263f414e8136c3d2d66a092c5ff9829ed63a176');
INSERT INTO public.audit VALUES (8, 1796076950998, '01a22e87-542a-724e-9996-8bd68c915361', 'ann', 'bearer', '127.0.0.1', 'recording.stop', '01a22e87-559f-7630-beeb-b7c4f428dd50', '', 'ok', 'edc70f075fa8b89a910f9e429037622f57a10b5a2260fbc033c16d9fe449bbc3');
INSERT INTO public.audit VALUES (9, 1796076951002, '01a22e87-542a-724e-9996-8bd68c915361', 'ann', 'bearer', '127.0.0.1', 'recording.upload', '01a22e87-559f-7630-beeb-b7c4f428dd50', '', 'ok', '7319e67b68a4247e493839351af1f8f4b1bc320eb6543703792a272806956a7b');
INSERT INTO public.audit VALUES (10, 1796076951021, 'system', 'system', 'system', '', 'recording.ready', '01a22e87-559f-7630-beeb-b7c4f428dd50', '', 'ok', '434456db0d23a789111888805715f64ba0766a73215fa40b7f1705d67881479b');
INSERT INTO public.audit VALUES (11, 1796076951089, '01a22e87-542a-724e-9996-8bd68c915361', 'ann', 'bearer', '127.0.0.1', 'recording.start', '01a22e87-5627-7095-b8e7-57dfcb7741e9', '01a22e87-5566-700c-ab5f-1d61f52f85b1', 'ok', '46c7c3621e9178955efe919d16b6b2dc207fb3627f1480711fa273123ce79e4b');
INSERT INTO public.audit VALUES (12, 1796076951147, '01a22e87-542a-724e-9996-8bd68c915361', 'ann', 'bearer', '127.0.0.1', 'recording.stop', '01a22e87-5627-7095-b8e7-57dfcb7741e9', '', 'ok', 'e984db39ef2115ef1db805148a229ed2f1df12ff7c3988bc5399785e9b045308');
INSERT INTO public.audit VALUES (13, 1796076951163, '01a22e87-542a-724e-9996-8bd68c915361', 'ann', 'bearer', '127.0.0.1', 'recording.upload', '01a22e87-5627-7095-b8e7-57dfcb7741e9', '', 'ok', 'f89a3dced3cddde293ca98b673b2478bd1389090e930692cc2526d47cc5e89ee');
INSERT INTO public.audit VALUES (14, 1796076951173, 'system', 'system', 'system', '', 'recording.fail', '01a22e87-5627-7095-b8e7-57dfcb7741e9', 'This is not a recording: the data is neither WebM, Matroska nor MP4.', 'ok', '3f8185dd3e346b498ed0caba198a108426004c3f87e96b9c025898c25df962d5');
INSERT INTO public.audit VALUES (15, 1796076951218, '01a22e87-542a-724e-9996-8bd68c915361', 'ann', 'bearer', '127.0.0.1', 'recording.start', '01a22e87-56a7-754a-9fbe-a514a95dc9ce', '01a22e87-5566-700c-ab5f-1d61f52f85b1', 'ok', '878470e6a5fd71d247dacf610731b6a912537e307fe4129ef09a6b9c366abbc7');
INSERT INTO public.audit VALUES (16, 1796076952309, '01a22e87-542a-724e-9996-8bd68c915361', 'ann', 'bearer', '127.0.0.1', 'recording.change', '01a22e87-559f-7630-beeb-b7c4f428dd50', 'protected; renamed from recording_2026-11-30_22-15-50.webm to Überblick.webm', 'ok', '0f3ccd7d02d3bb76277ed276fc1cf1d88e9345d621fe81c58603c16dab61702e');
INSERT INTO public.audit_head VALUES (1, 16, '0f3ccd7d02d3bb76277ed276fc1cf1d88e9345d621fe81c58603c16dab61702e');
INSERT INTO public.locks VALUES ('administrators', 0);
INSERT INTO public.recordings VALUES ('01a22e87-5627-7095-b8e7-57dfcb7741e9', '01a22e87-5566-700c-ab5f-1d61f52f85b1', '01a22e87-542a-724e-9996-8bd68c915361', 'recording_2026-11-30_22-15-51.webm', 10, 0, '', 'local', '01a22e87-5627-7095-b8e7-57dfcb7741e9.bin', 'failed', 'This is not a recording: the data is neither WebM, Matroska nor MP4.', 0, 10, '', NULL, 'recording', '', NULL, 0, 0, 1796076951079, 1796076951171);
INSERT INTO public.recordings VALUES ('01a22e87-56a7-754a-9fbe-a514a95dc9ce', '01a22e87-5566-700c-ab5f-1d61f52f85b1', '01a22e87-542a-724e-9996-8bd68c915361', 'recording_2026-11-30_22-15-51.webm', 0, 0, '', 'local', '01a22e87-56a7-754a-9fbe-a514a95dc9ce.part', 'recording', NULL, 0, NULL, '', NULL, 'recording', '', NULL, 0, 0, 1796076951207, NULL);
INSERT INTO public.recordings VALUES ('01a22e87-559f-7630-beeb-b7c4f428dd50', '01a22e87-5566-700c-ab5f-1d61f52f85b1', '01a22e87-542a-724e-9996-8bd68c915361', 'Überblick.webm', 20557, 3000, 'webm', 'local', '01a22e87-559f-7630-beeb-b7c4f428dd50.webm', 'ready', NULL, 0, 16464, '', NULL, 'recording', '', NULL, 1, 0, 1796076950943, 1796076951019);
INSERT INTO public.refresh_tokens VALUES ('22b245714d0747363d2cf8a6b858ae80b5158e95fbcb3a5d47ca397e0a1b36cb', 'f54d0cb2-e143-43f8-8cac-53994cc57d15', '01a22e87-527f-7551-9266-27e9e9456de0', 1796076950454, 1798668950454, NULL);
INSERT INTO public.refresh_tokens VALUES ('684dc9c559224bd0107ac2c631d8bb3403e03b4e277956c46da667f94d7c09ec', '38d6b1c0-6188-40f5-8f78-ef2b3a085189', '01a22e87-542a-724e-9996-8bd68c915361', 1796076950793, 1798668950793, NULL);
INSERT INTO public.sessions VALUES ('01a22e87-5566-700c-ab5f-1d61f52f85b1', '01a22e87-542a-724e-9996-8bd68c915361', 'desktop', 'running', 0, 1796076950886, NULL);
INSERT INTO public.settings VALUES ('jwt_secret', 'e39d63daa5d6040a06c8d21c12bc0a98153e1ee53b33264f8af94f793a32b2a0');
INSERT INTO public.settings VALUES ('recording_auto_record', 'true');
INSERT INTO public.users VALUES ('01a22e87-527f-7551-9266-27e9e9456de0', 'admin', 'admin', '$argon2id$v=19$m=19456,t=2,p=1$c8QN5c2pMOsdBrzvQxIX4w$Dc1iQ7YIM2cRiROB05YgwVlMLlKnd/2nwtLHRdqeMxo', NULL, NULL, 'user,admin', 0, 'local', NULL, 1796076950216, 1796076950454);
INSERT INTO public.users VALUES ('01a22e87-542a-724e-9996-8bd68c915361', 'ann', 'ann', '$argon2id$v=19$m=19456,t=2,p=1$yXlpamcmTNwOH0zNqKCKGQ$zenVcyahT6jWPd7+Bg5W+N88gI1hzIetnerXn1x6GB8', 'ann@example.com', 'Ann Ä', 'user', 0, 'local', NULL, 1796076950668, 1796076950793);
ALTER TABLE ONLY public._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);
ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT api_tokens_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT api_tokens_token_hash_key UNIQUE (token_hash);
ALTER TABLE ONLY public.audit_head
    ADD CONSTRAINT audit_head_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY public.leases
    ADD CONSTRAINT leases_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.locks
    ADD CONSTRAINT locks_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.recordings
    ADD CONSTRAINT recordings_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_pkey PRIMARY KEY (token_hash);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.settings
    ADD CONSTRAINT settings_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.upload_leases
    ADD CONSTRAINT upload_leases_pkey PRIMARY KEY (upload_id);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_external_key_key UNIQUE (external_key);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_username_key_key UNIQUE (username_key);
CREATE INDEX api_tokens_created ON public.api_tokens USING btree (created_ms, id);
CREATE INDEX api_tokens_user ON public.api_tokens USING btree (user_id, created_ms, id);
CREATE INDEX audit_action ON public.audit USING btree (action, at_ms, seq);
CREATE INDEX audit_actor ON public.audit USING btree (actor_id, at_ms, seq);
CREATE INDEX audit_at ON public.audit USING btree (at_ms, seq);
CREATE INDEX audit_result ON public.audit USING btree (result, at_ms, seq);
CREATE INDEX audit_subject ON public.audit USING btree (subject, at_ms, seq);
CREATE INDEX recordings_created ON public.recordings USING btree (status, created_ms, id, size_bytes) WHERE (kind <> 'partial'::text);
CREATE INDEX recordings_deleting ON public.recordings USING btree (id) WHERE (deleting = 1);
CREATE INDEX recordings_duration ON public.recordings USING btree (status, duration_ms, id) WHERE (kind <> 'partial'::text);
CREATE INDEX recordings_final ON public.recordings USING btree (upload_concat) WHERE (kind = 'final'::text);
CREATE INDEX recordings_open ON public.recordings USING btree (id) WHERE (status = ANY (ARRAY['recording'::text, 'uploading'::text, 'processing'::text]));
CREATE INDEX recordings_part_of ON public.recordings USING btree (final_id) WHERE (final_id IS NOT NULL);
CREATE INDEX recordings_partial ON public.recordings USING btree (completed_ms) WHERE (kind = 'partial'::text);
CREATE INDEX recordings_protected ON public.recordings USING btree (status, created_ms, id) WHERE (protected = 1);
CREATE INDEX recordings_session ON public.recordings USING btree (session_id, status, created_ms, id) WHERE (kind <> 'partial'::text);
CREATE INDEX recordings_size ON public.recordings USING btree (status, size_bytes, id) WHERE (kind <> 'partial'::text);
CREATE INDEX recordings_user_created ON public.recordings USING btree (user_id, status, created_ms, id) WHERE (kind <> 'partial'::text);
CREATE INDEX recordings_user_duration ON public.recordings USING btree (user_id, status, duration_ms, id) WHERE (kind <> 'partial'::text);
CREATE UNIQUE INDEX recordings_user_key ON public.recordings USING btree (user_id, idempotency_key) WHERE ((idempotency_key IS NOT NULL) AND (status = ANY (ARRAY['recording'::text, 'uploading'::text])) AND (deleting = 0));
CREATE INDEX recordings_user_open ON public.recordings USING btree (user_id) WHERE ((status = ANY (ARRAY['recording'::text, 'uploading'::text])) OR (kind = 'partial'::text));
CREATE INDEX recordings_user_protected ON public.recordings USING btree (user_id, status, created_ms, id) WHERE (protected = 1);
CREATE INDEX recordings_user_size ON public.recordings USING btree (user_id, status, size_bytes, id) WHERE (kind <> 'partial'::text);
CREATE INDEX refresh_tokens_expires ON public.refresh_tokens USING btree (expires_ms);
CREATE INDEX refresh_tokens_family ON public.refresh_tokens USING btree (family);
CREATE INDEX refresh_tokens_user ON public.refresh_tokens USING btree (user_id);
CREATE INDEX sessions_created ON public.sessions USING btree (created_ms, id);
CREATE INDEX sessions_status ON public.sessions USING btree (status, created_ms, id);
CREATE INDEX sessions_user ON public.sessions USING btree (user_id, created_ms, id);
CREATE INDEX sessions_user_status ON public.sessions USING btree (user_id, status, created_ms, id);
CREATE INDEX upload_leases_heard ON public.upload_leases USING btree (heard_ms);
CREATE INDEX users_password ON public.users USING btree (id) WHERE ((password_hash <> ''::text) AND (disabled = 0));
ALTER TABLE ONLY public.api_tokens
    ADD CONSTRAINT api_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;
