use std::borrow::Cow;

use super::super::testing::empty;
use super::*;

/// Rows as that version wrote them.
fn fixture(version: i64) -> String {
    let path = format!(
        "{}/tests/data/schema-{version:04}.sql",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{path}: {error}. A schema that is released needs rows to be migrated from.")
    })
}

#[tokio::test]
async fn a_database_of_every_released_schema_is_brought_up_to_date() {
    for released in MIGRATIONS.iter().map(|migration| migration.version) {
        let folder = tempfile::tempdir().unwrap();
        let config = empty(folder.path());
        let old = Catalog::connect(&config).await.unwrap();
        let upto: Vec<_> = MIGRATIONS
            .iter()
            .filter(|migration| migration.version <= released)
            .cloned()
            .collect();
        let migrations = Migrator {
            migrations: Cow::Owned(upto),
            ..Migrator::DEFAULT
        };
        old.migrate(&migrations).await.unwrap();
        let rows = sqlx::AssertSqlSafe(fixture(released));
        sqlx::raw_sql(rows).execute(&old.pool).await.unwrap();
        old.close().await;

        let catalog = Catalog::open(&config).await.unwrap();
        let user = catalog.user("user-1").await.unwrap();
        assert_eq!(user.map(|user| user.username).as_deref(), Some("Ann"));
        let list = crate::catalog::List::default();
        let page = catalog.list(&list, None, 10).await.unwrap();
        let ids: Vec<_> = page.rows.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, ["recording-2", "recording-1"], "schema {released}");
        assert_eq!(page.rows[1].size_bytes, 123_456_789_012);
        assert!(catalog.session("session-1").await.unwrap().is_some());
        catalog.close().await;
    }
}

#[tokio::test]
async fn servers_that_start_together_migrate_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = empty(folder.path());
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let config = config.clone();
            tokio::spawn(async move { Catalog::open(&config).await })
        })
        .collect();
    for start in starts {
        let catalog = start.await.unwrap();
        let catalog = catalog.unwrap_or_else(|error| panic!("{error:?}"));
        assert!(!catalog.has_users().await.unwrap());
        catalog.close().await;
    }
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = empty(folder.path());
    let catalog = Catalog::open(&config).await.unwrap();
    sqlx::query("UPDATE _sqlx_migrations SET version = 9999 WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)")
        .execute(&catalog.pool)
        .await
        .unwrap();
    catalog.close().await;
    let error = Catalog::open(&config)
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

/// What is idle in a transaction for longer is a server that is gone; SQLite ends with it.
#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_server_that_is_gone_does_not_keep_its_locks() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(&empty(folder.path())).await.unwrap();
    let mut connection = catalog.pool.acquire().await.unwrap();
    if !is_sqlite(&connection) {
        let limit: String = sqlx::query_scalar("SHOW idle_in_transaction_session_timeout")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        assert_eq!(limit, "1min");
    }
}
