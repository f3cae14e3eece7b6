-- Ranges of what was received that the stored file does not have, or hides from players: a JSON object with the lists
-- left_out and hidden of {offset, length, reason}. NULL: there are none.
ALTER TABLE recordings ADD COLUMN left_out TEXT;
