-- Search: for each first part a text without regard to case and accents, and its trigrams.
CREATE TABLE recording_texts (
    place        INTEGER PRIMARY KEY NOT NULL, -- recordings.created_ms * 2^20, and bits that make it unique
    recording_id TEXT NOT NULL UNIQUE REFERENCES recordings (id) ON DELETE CASCADE,
    text         TEXT NOT NULL
);
CREATE VIRTUAL TABLE recording_search USING fts5 (
    text, tokenize = 'trigram case_sensitive 1', content = '', contentless_delete = 1
);
-- A text is never updated: it is deleted and inserted.
CREATE TRIGGER recording_texts_insert AFTER INSERT ON recording_texts BEGIN
    INSERT INTO recording_search (rowid, text) VALUES (new.place, new.text);
END;
CREATE TRIGGER recording_texts_delete AFTER DELETE ON recording_texts BEGIN
    DELETE FROM recording_search WHERE rowid = old.place;
END;

-- Recordings whose text may have changed.
CREATE TABLE search_queue (
    number       INTEGER PRIMARY KEY NOT NULL,
    recording_id TEXT NOT NULL
);
CREATE TRIGGER search_recordings_insert AFTER INSERT ON recordings WHEN new.kind <> 'partial' BEGIN
    INSERT INTO search_queue (recording_id) VALUES (new.id);
END;
CREATE TRIGGER search_recordings_update
AFTER UPDATE OF title, filename, tags, app_id, external_id, metadata, user_id, session_id, created_ms, part_of, kind
ON recordings
WHEN (new.title, new.filename, new.tags, new.app_id, new.external_id, new.metadata) IS NOT
     (old.title, old.filename, old.tags, old.app_id, old.external_id, old.metadata)
  OR (new.user_id, new.session_id, new.created_ms, new.part_of, new.kind) IS NOT
     (old.user_id, old.session_id, old.created_ms, old.part_of, old.kind)
BEGIN
    INSERT INTO search_queue (recording_id) VALUES (new.id);
END;
CREATE TRIGGER search_markers_insert AFTER INSERT ON markers BEGIN
    INSERT INTO search_queue (recording_id) VALUES (new.recording_id);
END;
CREATE TRIGGER search_markers_update AFTER UPDATE OF text ON markers BEGIN
    INSERT INTO search_queue (recording_id) VALUES (new.recording_id);
END;
CREATE TRIGGER search_markers_delete AFTER DELETE ON markers BEGIN
    INSERT INTO search_queue (recording_id) VALUES (old.recording_id);
END;
CREATE TRIGGER search_users_update AFTER UPDATE OF username, display_name ON users
WHEN (new.username, new.display_name) IS NOT (old.username, old.display_name) BEGIN
    INSERT INTO search_queue (recording_id) SELECT id FROM recordings WHERE user_id = new.id AND kind <> 'partial';
END;
CREATE TRIGGER search_sessions_update AFTER UPDATE OF external_id ON sessions
WHEN new.external_id IS NOT old.external_id BEGIN
    INSERT INTO search_queue (recording_id) SELECT id FROM recordings WHERE session_id = new.id AND kind <> 'partial';
END;
INSERT INTO search_queue (recording_id) SELECT id FROM recordings WHERE kind <> 'partial' AND part_of IS NULL ORDER BY created_ms;
-- One server at a time updates texts.
INSERT INTO locks (name) VALUES ('search');
