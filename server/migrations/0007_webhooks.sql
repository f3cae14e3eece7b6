-- Webhooks: endpoints of other systems, and the deliveries of events to them.

CREATE TABLE webhooks (
    id                TEXT PRIMARY KEY NOT NULL,
    url               TEXT NOT NULL,
    description       TEXT NOT NULL,
    events            TEXT NOT NULL,          -- comma-separated names of events; empty: all
    secret            TEXT NOT NULL,          -- whsec_ and base64
    -- Signs too until its time, in Unix time in ms.
    previous_secret   TEXT,
    previous_until_ms BIGINT,
    enabled           BIGINT NOT NULL DEFAULT 1,
    disabled_reason   TEXT NOT NULL DEFAULT '', -- empty unless the server disabled the endpoint
    -- Cursor: the events of the audit log up to this row are queued, or are not for this endpoint.
    audit_seq         BIGINT NOT NULL,
    created_ms        BIGINT NOT NULL
);
CREATE INDEX webhooks_created ON webhooks (created_ms, id);

CREATE TABLE webhook_deliveries (
    id               TEXT PRIMARY KEY NOT NULL, -- webhook_id, a slash, event_id
    webhook_id       TEXT NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    event_id         TEXT NOT NULL,             -- header webhook-id
    -- Order of the audit log: audit.seq, times 8, and the number of the event within the row.
    position         BIGINT NOT NULL,
    subject          TEXT NOT NULL,             -- recording or session whose events are delivered in order
    event            TEXT NOT NULL,             -- name of the event
    payload          TEXT NOT NULL,             -- body of the request
    status           TEXT NOT NULL,             -- pending, delivered, failed
    attempts         BIGINT NOT NULL DEFAULT 0, -- since it was queued or re-sent
    next_ms          BIGINT NOT NULL,           -- time of the next attempt
    claim            TEXT NOT NULL DEFAULT '',  -- attempt in progress; empty: none
    claimed_until_ms BIGINT NOT NULL DEFAULT 0, -- expiry of the claim, by the database's clock
    last_status      BIGINT,                    -- HTTP status of the last answer
    last_error       TEXT NOT NULL DEFAULT '',
    created_ms       BIGINT NOT NULL,
    ended_ms         BIGINT                     -- when it was delivered or failed
);
CREATE INDEX webhook_deliveries_list ON webhook_deliveries (webhook_id, position, event_id);
CREATE INDEX webhook_deliveries_status ON webhook_deliveries (webhook_id, status, position, event_id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, next_ms, position) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_subject ON webhook_deliveries (webhook_id, subject, position) WHERE status = 'pending';

-- List of completed recordings in the order of their completion, for polling.
CREATE INDEX recordings_completed ON recordings (completed_ms, id) WHERE completed_ms IS NOT NULL;
CREATE INDEX recordings_user_completed ON recordings (user_id, completed_ms, id) WHERE completed_ms IS NOT NULL;
