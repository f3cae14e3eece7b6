-- A central server must confirm the recording before it may be deleted automatically (appliance with forwarding).
ALTER TABLE recordings ADD COLUMN forward_pending BIGINT NOT NULL DEFAULT 0;
