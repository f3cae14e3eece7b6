-- Activity of each recording over time: sortie_media::Activity, in base64. A recording of an earlier version gets its row at
-- the first request for it.
CREATE TABLE recording_activity (
    recording_id TEXT PRIMARY KEY NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    activity     TEXT NOT NULL
);
-- Duration without the idle spans, in ms; -1: not known.
ALTER TABLE recordings ADD COLUMN active_ms BIGINT NOT NULL DEFAULT -1;
