-- Address at which other servers reach the one that receives the upload; empty: none.
ALTER TABLE upload_leases ADD COLUMN address TEXT NOT NULL DEFAULT '';
