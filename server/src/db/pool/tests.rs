use std::borrow::Cow;
use std::collections::BTreeMap;

use sortie_api::RecordingStatus;

use super::super::Database;
use super::super::testing::empty;
use super::*;

/// Rows as written by that version, or by the newest earlier version with rows of its own; columns added since have
/// defaults.
fn fixture(version: i64) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    (1..=version)
        .rev()
        .find_map(|version| {
            std::fs::read_to_string(format!("{folder}/schema-{version:04}.sql")).ok()
        })
        .unwrap_or_else(|| panic!("{folder} has no rows for schema {version} or an older one"))
}

#[tokio::test]
async fn databases_of_all_released_schemas_are_migrated() {
    let released = COMMON.iter().chain(SQLITE.iter());
    for released in released.map(|migration| migration.version) {
        let folder = tempfile::tempdir().unwrap();
        let config = empty(folder.path());
        let old = connect(&config).await.unwrap();
        let all = migrations(is_sqlite(&old.acquire().await.unwrap()));
        let upto: Vec<_> = all
            .iter()
            .filter(|migration| migration.version <= released)
            .cloned()
            .collect();
        let migrations = Migrator {
            migrations: Cow::Owned(upto),
            ..Migrator::DEFAULT
        };
        migrate(&old, &migrations).await.unwrap();
        let rows = sqlx::AssertSqlSafe(fixture(released));
        sqlx::raw_sql(rows).execute(&old).await.unwrap();
        old.close().await;

        let database = Database::open(&config).await.unwrap();
        let user = database.users().get("user-1").await.unwrap();
        assert_eq!(user.map(|user| user.username).as_deref(), Some("Ann"));
        let list = crate::db::List::default();
        let page = database.lists().page(&list, None, 10).await.unwrap();
        let ids: Vec<_> = page.rows.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, ["recording-2", "recording-1"], "schema {released}");
        assert_eq!(page.rows[1].size_bytes, 123_456_789_012);
        assert!(
            database
                .sessions()
                .get("session-1")
                .await
                .unwrap()
                .is_some()
        );
        database.close().await;
    }
}

/// Dump of a database that a server of commit 5ef5e9a wrote and left behind when it was killed: two users, a token,
/// and a ready, a failed and a growing recording. Never edited: it holds the checksum of the first migration, too.
fn dump(is_sqlite: bool) -> &'static str {
    if is_sqlite {
        include_str!("../../../tests/data/5ef5e9a/sqlite.sql")
    } else {
        include_str!("../../../tests/data/5ef5e9a/postgres.sql")
    }
}

/// Rows of each table that the dump fills.
fn rows_in(dump: &str) -> BTreeMap<String, i64> {
    let mut rows = BTreeMap::new();
    for insert in dump.split("INSERT INTO ").skip(1) {
        let table = insert.split(' ').next().unwrap_or_default();
        let table = table.trim_start_matches("public.").to_owned();
        *rows.entry(table).or_default() += 1;
    }
    rows
}

#[tokio::test]
async fn migration_of_5ef5e9a_database_keeps_its_rows() {
    let folder = tempfile::tempdir().unwrap();
    let config = empty(folder.path());
    let old = connect(&config).await.unwrap();
    let is_sqlite = is_sqlite(&old.acquire().await.unwrap());
    let dump = dump(is_sqlite);
    let restored = sqlx::raw_sql(sqlx::AssertSqlSafe(dump.to_owned()));
    restored.execute(&old).await.unwrap();
    old.close().await;

    let database = Database::open(&config).await.unwrap();
    let expected = rows_in(dump);
    assert!(
        expected.len() > 8 && expected["recordings"] == 3,
        "{expected:?}"
    );
    for (table, rows) in expected {
        let count = format!("SELECT COUNT(*) FROM {table}");
        let count = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(count));
        let count = count.fetch_one(&database.pool).await.unwrap();
        let migrations = COMMON.iter().count() + SQLITE.iter().count();
        let expected = match table.as_str() {
            "_sqlx_migrations" => i64::try_from(migrations).unwrap(),
            // The lock of the search index came later.
            "locks" => rows + 1,
            _ => rows,
        };
        assert_eq!(count, expected, "{table}");
    }
    let ann = database.users().by_name("ANN").await.unwrap().unwrap();
    assert_eq!(ann.display_name.as_deref(), Some("Ann Ä"));
    let list = crate::db::List {
        user_id: Some(ann.id),
        ..Default::default()
    };
    let page = database.lists().page(&list, None, 10).await.unwrap();
    let found: Vec<_> = page
        .rows
        .iter()
        .map(|row| (row.status, row.size_bytes, row.protected))
        .collect();
    let expected = [
        // The row of a growing recording does not contain its size, which is read from the stored bytes.
        (RecordingStatus::Recording, 0, false),
        (RecordingStatus::Failed, 10, false),
        (RecordingStatus::Ready, 20_557, true),
    ];
    assert_eq!(found, expected);
    assert_eq!(page.rows[2].filename, "Überblick.webm");
    // The hash chain of the audit log is still valid over the old rows.
    let verified = database.audit().verify().await.unwrap();
    assert!(verified.ok, "{verified:?}");
    database.close().await;
}

#[tokio::test]
async fn servers_that_start_together_migrate_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = empty(folder.path());
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let config = config.clone();
            tokio::spawn(async move { Database::open(&config).await })
        })
        .collect();
    for start in starts {
        let database = start.await.unwrap();
        let database = database.unwrap_or_else(|error| panic!("{error:?}"));
        assert!(!database.users().exist().await.unwrap());
        database.close().await;
    }
}

#[tokio::test]
async fn database_of_a_newer_version_is_not_changed() {
    let folder = tempfile::tempdir().unwrap();
    let config = empty(folder.path());
    let database = Database::open(&config).await.unwrap();
    sqlx::query("UPDATE _sqlx_migrations SET version = 9999 WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)")
        .execute(&database.pool)
        .await
        .unwrap();
    database.close().await;
    let error = Database::open(&config)
        .await
        .err()
        .map(|error| error.to_string());
    assert!(
        error
            .as_ref()
            .is_some_and(|text| text.contains("a newer version of this program")),
        "{error:?}"
    );
}

/// A connection that is idle in a transaction for longer belongs to a dead server; SQLite's transactions end with their
/// process.
#[cfg(feature = "postgres")]
#[tokio::test]
async fn locks_of_a_dead_server_are_released() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&empty(folder.path())).await.unwrap();
    let mut connection = database.pool.acquire().await.unwrap();
    if !is_sqlite(&connection) {
        let limit: String = sqlx::query_scalar("SHOW idle_in_transaction_session_timeout")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        assert_eq!(limit, "1min");
    }
}
