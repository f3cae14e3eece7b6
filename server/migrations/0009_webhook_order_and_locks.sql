-- Deliveries that wait for an earlier pending one of the same subject: 1. They are not in the index of due deliveries, so that
-- an endpoint whose receiver is down costs nothing until an attempt is due.
ALTER TABLE webhook_deliveries ADD COLUMN blocked BIGINT NOT NULL DEFAULT 0;
UPDATE webhook_deliveries SET blocked = 1 WHERE status = 'pending' AND EXISTS (SELECT 1 FROM webhook_deliveries AS e
    WHERE e.webhook_id = webhook_deliveries.webhook_id AND e.subject = webhook_deliveries.subject
    AND e.status = 'pending' AND e.position < webhook_deliveries.position);
DROP INDEX webhook_deliveries_due;
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, next_ms, position)
    WHERE status = 'pending' AND blocked = 0;

-- Secrets before previous_secret that still sign: `until_ms:secret`, separated by spaces.
ALTER TABLE webhooks ADD COLUMN older_secrets TEXT NOT NULL DEFAULT '';

-- Values that an administrator has set for another user, who cannot change them: 1.
ALTER TABLE sessions ADD COLUMN external_id_locked BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN metadata_locked BIGINT NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN auto_record_locked BIGINT NOT NULL DEFAULT 0;
ALTER TABLE recordings ADD COLUMN external_id_locked BIGINT NOT NULL DEFAULT 0;
ALTER TABLE recordings ADD COLUMN metadata_locked BIGINT NOT NULL DEFAULT 0;
