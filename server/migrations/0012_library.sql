-- What the library shows of a recording, and filters by.
ALTER TABLE recordings ADD COLUMN title TEXT;                          -- of the first part; NULL: none
ALTER TABLE recordings ADD COLUMN app_id TEXT NOT NULL DEFAULT '';     -- of the session, at the start
ALTER TABLE recordings ADD COLUMN source TEXT NOT NULL DEFAULT '';     -- tab, window, screen, camera, …; empty: not known
ALTER TABLE recordings ADD COLUMN width BIGINT NOT NULL DEFAULT 0;     -- of the first video track; 0: none, or not known
ALTER TABLE recordings ADD COLUMN height BIGINT NOT NULL DEFAULT 0;
ALTER TABLE recordings ADD COLUMN video_codec TEXT NOT NULL DEFAULT ''; -- of the first video track
ALTER TABLE recordings ADD COLUMN audio_codec TEXT NOT NULL DEFAULT ''; -- of the first audio track
ALTER TABLE recordings ADD COLUMN ended_because TEXT NOT NULL DEFAULT ''; -- stopped, session_ended, interrupted; empty: not known
ALTER TABLE recordings ADD COLUMN tags TEXT;                           -- JSON array, of the first part; NULL: none
UPDATE recordings SET app_id = COALESCE((SELECT s.app_id FROM sessions AS s WHERE s.id = recordings.session_id), '');
UPDATE recordings SET ended_because = CASE interrupted WHEN 1 THEN 'interrupted' ELSE '' END WHERE interrupted = 1;

-- The order by activity.
CREATE INDEX recordings_active ON recordings (status, active_ms, id, part_of) WHERE kind <> 'partial';
CREATE INDEX recordings_user_active ON recordings (user_id, status, active_ms, id, part_of) WHERE kind <> 'partial';

-- Index of the tags, like that of the labels; the label is the tag without regard to case and normal form.
CREATE TABLE recording_tags (
    id         TEXT PRIMARY KEY NOT NULL,     -- subject, a space, label
    subject_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    owner_id   TEXT NOT NULL,
    label      TEXT NOT NULL,
    position   BIGINT NOT NULL                -- recordings.created_ms
);
CREATE UNIQUE INDEX recording_tags_subject ON recording_tags (subject_id, label);
CREATE INDEX recording_tags_label ON recording_tags (label, position, subject_id);
CREATE INDEX recording_tags_owner ON recording_tags (owner_id, label, position, subject_id);

-- Recordings that a user has watched.
CREATE TABLE recording_views (
    id           TEXT PRIMARY KEY NOT NULL,   -- user, a space, recording
    user_id      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    recording_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    viewed_ms    BIGINT NOT NULL
);
CREATE UNIQUE INDEX recording_views_recording ON recording_views (recording_id, user_id);
CREATE INDEX recording_views_user ON recording_views (user_id);
