-- Search: for each first part a text without regard to case and accents. The server creates the index of its trigrams, which
-- needs the extension pg_trgm.
CREATE TABLE recording_texts (
    place        BIGINT PRIMARY KEY NOT NULL, -- recordings.created_ms * 2^20, and bits that make it unique
    recording_id TEXT NOT NULL UNIQUE REFERENCES recordings (id) ON DELETE CASCADE,
    text         TEXT NOT NULL
);

-- Recordings whose text may have changed.
CREATE TABLE search_queue (
    number       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    recording_id TEXT NOT NULL
);
CREATE FUNCTION search_queue_recording() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search_queue (recording_id) VALUES (NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER search_recordings_insert AFTER INSERT ON recordings FOR EACH ROW WHEN (NEW.kind <> 'partial')
    EXECUTE FUNCTION search_queue_recording();
CREATE TRIGGER search_recordings_update
AFTER UPDATE OF title, filename, tags, app_id, external_id, metadata, user_id, session_id, created_ms, part_of, kind
ON recordings FOR EACH ROW
WHEN ((NEW.title, NEW.filename, NEW.tags, NEW.app_id, NEW.external_id, NEW.metadata) IS DISTINCT FROM
      (OLD.title, OLD.filename, OLD.tags, OLD.app_id, OLD.external_id, OLD.metadata)
   OR (NEW.user_id, NEW.session_id, NEW.created_ms, NEW.part_of, NEW.kind) IS DISTINCT FROM
      (OLD.user_id, OLD.session_id, OLD.created_ms, OLD.part_of, OLD.kind))
    EXECUTE FUNCTION search_queue_recording();
CREATE FUNCTION search_queue_marker() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search_queue (recording_id) VALUES (COALESCE(NEW.recording_id, OLD.recording_id));
    RETURN NULL;
END $$;
CREATE TRIGGER search_markers AFTER INSERT OR UPDATE OF text OR DELETE ON markers FOR EACH ROW
    EXECUTE FUNCTION search_queue_marker();
CREATE FUNCTION search_queue_user() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search_queue (recording_id) SELECT id FROM recordings WHERE user_id = NEW.id AND kind <> 'partial';
    RETURN NULL;
END $$;
CREATE TRIGGER search_users_update AFTER UPDATE OF username, display_name ON users FOR EACH ROW
WHEN ((NEW.username, NEW.display_name) IS DISTINCT FROM (OLD.username, OLD.display_name))
    EXECUTE FUNCTION search_queue_user();
CREATE FUNCTION search_queue_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO search_queue (recording_id) SELECT id FROM recordings WHERE session_id = NEW.id AND kind <> 'partial';
    RETURN NULL;
END $$;
CREATE TRIGGER search_sessions_update AFTER UPDATE OF external_id ON sessions FOR EACH ROW
WHEN (NEW.external_id IS DISTINCT FROM OLD.external_id)
    EXECUTE FUNCTION search_queue_session();
INSERT INTO search_queue (recording_id) SELECT id FROM recordings WHERE kind <> 'partial' AND part_of IS NULL ORDER BY created_ms;
-- One server at a time updates texts.
INSERT INTO locks (name) VALUES ('search');
