-- Markers: named points in time of a recording's file. Each part of a recording has its own.
CREATE TABLE markers (
    id           TEXT PRIMARY KEY NOT NULL,
    recording_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    author_id    TEXT NOT NULL,               -- user who set it
    time_ms      BIGINT NOT NULL,             -- from the start of the file
    kind         TEXT NOT NULL,               -- note, pause, gap, part, encoder_restart
    text         TEXT NOT NULL,
    created_ms   BIGINT NOT NULL
);
CREATE INDEX markers_recording ON markers (recording_id, time_ms, id);
CREATE INDEX markers_author ON markers (author_id);
