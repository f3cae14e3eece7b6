-- Rows as the schema 0004 has them; see server/src/catalog/open/tests.rs. Portable SQL.
INSERT INTO users (id, username, username_key, password_hash, email, display_name, roles, disabled, source, external_key, created_ms, last_seen_ms)
VALUES ('user-1', 'Ann', 'ann', '$argon2id$', 'ann@example.com', NULL, 'user,admin', 0, 'local', NULL, 1795253400000, 1795253401000);
INSERT INTO settings (name, value) VALUES ('recording_auto_record', 'true');
INSERT INTO sessions (id, user_id, app_id, status, created_ms, ended_ms)
VALUES ('session-1', 'user-1', 'desktop', 'stopped', 1795253400000, 1795253500000);
INSERT INTO recordings (id, session_id, user_id, filename, size_bytes, duration_ms, format, storage_backend, storage_path, status, interrupted, upload_length, created_ms, completed_ms)
VALUES ('recording-1', 'session-1', 'user-1', 'Überblick.webm', 123456789012, 90000, 'webm', 'local', 'recording-1.webm', 'ready', 1, 123456789000, 1795253400000, 1795253490000);
INSERT INTO recordings (id, session_id, user_id, filename, storage_backend, storage_path, status, failure, protected, created_ms, completed_ms)
VALUES ('recording-2', 'session-1', 'user-1', 'it''s a "test".webm', 'local', 'recording-2.bin', 'failed', 'It is no container.', 1, 1795253400001, 1795253490000);
INSERT INTO recordings (id, session_id, user_id, filename, storage_backend, storage_path, status, kind, created_ms)
VALUES ('piece-1', '', 'user-1', 'piece', 'local', 'piece-1.part', 'recording', 'partial', 1795253400002);
INSERT INTO recordings (id, session_id, user_id, filename, storage_backend, storage_path, status, part_of, part, age_confirmed, created_ms, completed_ms)
VALUES ('recording-3', 'session-1', 'user-1', 'Überblick.webm', 'local', 'recording-3.webm', 'ready', 'recording-1', 2, 1, 1795253400003, 1795253490003);
