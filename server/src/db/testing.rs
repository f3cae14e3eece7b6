//! Databases for unit tests of `db`, and rows for those of the whole crate.

use std::path::Path;

use sortie_api::{RecordingStatus, Role, UserSource};

use super::{Database, DatabaseError, OpenLimit, RecordingRow, UploadKind, UserRow};
use crate::config::DatabaseConfig;

/// Address of an empty database without a schema: PostgreSQL with `SORTIE_TEST_DB=postgres`, else SQLite in this
/// folder.
pub(super) fn empty(folder: &Path) -> DatabaseConfig {
    #[cfg(feature = "postgres")]
    if crate::test_postgres::wanted() {
        let dsn = crate::test_postgres::cluster().database();
        let config = crate::config::PostgresConfig::from_dsn(&dsn);
        return DatabaseConfig::Postgres(config.unwrap_or_else(|message| panic!("{message}")));
    }
    DatabaseConfig::Sqlite {
        file: folder.join("sortie.db"),
    }
}

/// Opens a migrated database.
pub(super) async fn database(folder: &Path) -> Result<Database, DatabaseError> {
    Database::open(&empty(folder)).await
}

/// Inserts a growing recording of the user `ann`.
pub(crate) fn growing(id: &str) -> RecordingRow {
    RecordingRow {
        id: id.to_owned(),
        session_id: String::new(),
        user_id: "ann".to_owned(),
        username: None,
        filename: "first.mp4".to_owned(),
        size_bytes: 0,
        duration_ms: 0,
        format: String::new(),
        storage_backend: "local".to_owned(),
        storage_path: format!("{id}.part"),
        status: RecordingStatus::Recording,
        failure: None,
        interrupted: false,
        upload_length: None,
        upload_metadata: String::new(),
        idempotency_key: None,
        kind: UploadKind::Recording,
        upload_concat: String::new(),
        final_id: None,
        protected: false,
        deleting: false,
        forward_pending: false,
        created_ms: 1,
        completed_ms: None,
        part_of: None,
        part: 1,
        left_out: None,
        labels: crate::labels::Labels::default(),
        library: super::LibraryColumns::default(),
    }
}

/// Limits of open uploads, equal for a user and each session.
pub(crate) fn at_most(uploads: u32) -> OpenLimit {
    OpenLimit {
        of_user: uploads,
        of_session: uploads,
        protected: None,
    }
}

/// Inserts a local user whose name is the id.
pub(crate) fn local_user(id: &str) -> UserRow {
    UserRow {
        id: id.to_owned(),
        username: id.to_owned(),
        password_hash: String::new(),
        email: None,
        display_name: None,
        roles: vec![Role::User],
        disabled: false,
        source: UserSource::Local,
        external_key: None,
        created_ms: 1,
        last_seen_ms: None,
        generation: 0,
        must_change_password: false,
        labels: crate::labels::Labels::default(),
    }
}
