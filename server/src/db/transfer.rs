//! Copy of a database to another one of any kind.

use sqlx::any::{AnyArguments, AnyRow, AnyTypeInfoKind};
use sqlx::{AnyConnection, AnyPool, Arguments, AssertSqlSafe, Column, Row, ValueRef};

use super::pool::is_sqlite;
use super::{Database, DatabaseError};
use crate::config::DatabaseConfig;

/// Every table with its key, ordered so that each follows the tables that it refers to.
const TABLES: [(&str, &str); 24] = [
    ("users", "id"),
    ("user_labels", "id"),
    ("locks", "name"),
    ("api_tokens", "id"),
    ("sign_ins", "id"),
    ("refresh_tokens", "token_hash"),
    ("oidc_sign_ins", "id"),
    ("oidc_logout_tokens", "id"),
    ("settings", "name"),
    ("sessions", "id"),
    ("session_labels", "id"),
    ("recordings", "id"),
    ("recording_labels", "id"),
    ("recording_activity", "recording_id"),
    ("markers", "id"),
    ("pictures", "id"),
    ("recording_tags", "id"),
    ("recording_views", "id"),
    ("shares", "id"),
    ("erasures", "user_id"),
    ("audit", "seq"),
    ("audit_head", "id"),
    ("webhooks", "id"),
    ("webhook_deliveries", "id"),
];
/// Tables that only running servers use, and those that triggers and servers fill from others.
#[cfg(test)]
const LEFT_OUT: [&str; 5] = [
    "_sqlx_migrations",
    "leases",
    "recording_texts",
    "search_queue",
    "upload_leases",
];
/// Rows that a new database has already.
const SEEDED: [&str; 2] = ["locks", "audit_head"];
/// Rows of one statement: SQLite takes 32,766 values, PostgreSQL 65,535.
const BATCH: usize = 500;

/// Reason why a database was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Error of the source.
    #[error("the database to copy from ({0}) cannot be used")]
    From(String, #[source] anyhow::Error),
    /// Error of the target. Nothing was changed in it, except that it may have empty tables now.
    #[error("the database to copy to ({0}) cannot be used; nothing was copied")]
    To(String, #[source] anyhow::Error),
    /// The target is not empty.
    #[error(
        "the database to copy to ({database}) is not empty: {table} has {rows} rows; nothing was copied"
    )]
    NotEmpty {
        /// Name of the target, without a password.
        database: String,
        /// First table with rows.
        table: &'static str,
        /// Rows of that table.
        rows: u64,
    },
    /// Row counts differ after the copy.
    #[error(
        "{table} has {copied} rows in the new database and {there} in the old one; nothing was copied"
    )]
    Differs {
        /// Name of the table.
        table: &'static str,
        /// Rows in the source.
        there: u64,
        /// Rows in the target.
        copied: u64,
    },
    /// The audit chain of the copy is broken.
    #[error("the audit log in the new database is broken at row {0}; do not use it")]
    AuditLog(u64),
}

/// Result of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Rows of each table.
    pub tables: Vec<(&'static str, u64)>,
    /// Row at which the audit chain was broken before the copy.
    pub audit_broken_at: Option<u64>,
    /// Unfinished recordings; their uploads resume with the new database.
    pub unfinished: u64,
}

/// Copies every row in one transaction. The target must be empty, and no server may use either database. `progress`
/// receives a table, the rows copied so far and the number of all its rows.
pub async fn copy_database(
    from: &DatabaseConfig,
    to: &DatabaseConfig,
    progress: &mut (dyn FnMut(&str, u64, u64) + Send),
) -> Result<Copied, CopyError> {
    let from_failed = |error: DatabaseError| CopyError::From(from.to_string(), error.into());
    let to_failed = |error: DatabaseError| CopyError::To(to.to_string(), error.into());
    if let DatabaseConfig::Sqlite { file } = from
        && !file.exists()
    {
        let error = anyhow::anyhow!("there is no such file");
        return Err(CopyError::From(from.to_string(), error));
    }
    // Both sides have the same schema: the source is migrated first.
    let old = Database::open(from).await.map_err(from_failed)?;
    let new = Database::open(to).await.map_err(to_failed)?;
    let broken = old
        .audit()
        .verify()
        .await
        .map_err(from_failed)?
        .first_bad_seq;

    let snapshot = match from {
        DatabaseConfig::Sqlite { .. } => "BEGIN",
        #[cfg(feature = "postgres")]
        DatabaseConfig::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    };
    let source = old.pool.begin_with(snapshot).await;
    let mut source = source.map_err(|e| from_failed(e.into()))?;
    let mut target = new.pool.begin().await.map_err(|e| to_failed(e.into()))?;
    for (table, _) in TABLES.iter().filter(|(table, _)| !SEEDED.contains(table)) {
        let rows = count(&mut target, table).await.map_err(to_failed)?;
        if rows > 0 {
            return Err(CopyError::NotEmpty {
                database: to.to_string(),
                table,
                rows,
            });
        }
    }
    for table in SEEDED {
        let statement = AssertSqlSafe(format!("DELETE FROM {table}"));
        let deleted = sqlx::query(statement).execute(&mut *target).await;
        deleted.map_err(|e| to_failed(e.into()))?;
    }
    let mut tables = Vec::new();
    for (table, key) in TABLES {
        let there = count(&mut source, table).await.map_err(from_failed)?;
        progress(table, 0, there);
        let (mut done, mut last) = (0, None);
        loop {
            let rows = batch(&mut source, table, key, last.as_ref())
                .await
                .map_err(from_failed)?;
            let Some(row) = rows.last() else { break };
            last = Some(Value::of(row, key).map_err(|e| from_failed(e.into()))?);
            insert(&mut target, table, &rows).await.map_err(to_failed)?;
            done += rows.len() as u64;
            progress(table, done, there);
        }
        let copied = count(&mut target, table).await.map_err(to_failed)?;
        if copied != there {
            return Err(CopyError::Differs {
                table,
                there,
                copied,
            });
        }
        tables.push((table, copied));
    }
    target.commit().await.map_err(|e| to_failed(e.into()))?;
    drop(source);
    analyse(&new.pool).await.map_err(to_failed)?;
    let after = new.audit().verify().await.map_err(to_failed)?.first_bad_seq;
    if after != broken {
        return Err(CopyError::AuditLog(after.unwrap_or_default()));
    }
    let unfinished = new
        .recordings()
        .unfinished()
        .await
        .map_err(to_failed)?
        .len();
    old.close().await;
    new.close().await;
    Ok(Copied {
        tables,
        audit_broken_at: broken,
        unfinished: unfinished as u64,
    })
}

/// PostgreSQL plans by statistics, which it would otherwise gather only some minutes later.
async fn analyse(pool: &AnyPool) -> Result<(), DatabaseError> {
    let mut connection = pool.acquire().await?;
    if !is_sqlite(&connection) {
        sqlx::query("ANALYZE").execute(&mut *connection).await?;
    }
    Ok(())
}

/// Value of a column; the tables use three types.
#[derive(Clone)]
enum Value {
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
    Number(Option<i64>),
}

impl Value {
    fn of(row: &AnyRow, column: &str) -> Result<Self, sqlx::Error> {
        // By the column's type, because NULL has no type. SQLite does not know the type BYTEA.
        let column_kind = row.try_column(column)?.type_info().kind();
        let value_kind = row.try_get_raw(column)?.type_info().kind();
        Ok(match (column_kind, value_kind) {
            (AnyTypeInfoKind::Text, _) => Self::Text(row.try_get(column)?),
            (AnyTypeInfoKind::Blob, _) | (_, AnyTypeInfoKind::Blob) => {
                Self::Bytes(row.try_get(column)?)
            }
            _ => Self::Number(row.try_get(column)?),
        })
    }

    /// Binds the value; returns its placeholder.
    fn bind(self, arguments: &mut AnyArguments) -> String {
        // These types always encode.
        let _ = match self {
            Self::Text(None) | Self::Bytes(None) | Self::Number(None) => return "NULL".to_owned(),
            Self::Text(value) => arguments.add(value),
            Self::Bytes(value) => arguments.add(value),
            Self::Number(value) => arguments.add(value),
        };
        format!("${}", arguments.len())
    }
}

async fn count(connection: &mut AnyConnection, table: &str) -> Result<u64, DatabaseError> {
    let statement = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
    let rows: i64 = sqlx::query_scalar(statement).fetch_one(connection).await?;
    Ok(rows.unsigned_abs())
}

async fn batch(
    connection: &mut AnyConnection,
    table: &str,
    key: &str,
    after: Option<&Value>,
) -> Result<Vec<AnyRow>, DatabaseError> {
    let mut arguments = AnyArguments::default();
    let from = match after {
        None => String::new(),
        Some(value) => format!("WHERE {key} > {}", value.clone().bind(&mut arguments)),
    };
    let statement = format!("SELECT * FROM {table} {from} ORDER BY {key} LIMIT {BATCH}");
    Ok(sqlx::query_with(AssertSqlSafe(statement), arguments)
        .fetch_all(connection)
        .await?)
}

async fn insert(
    connection: &mut AnyConnection,
    table: &str,
    rows: &[AnyRow],
) -> Result<(), DatabaseError> {
    let columns: Vec<&str> = match rows.first() {
        Some(row) => row.columns().iter().map(Column::name).collect(),
        None => return Ok(()),
    };
    let mut arguments = AnyArguments::default();
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows {
        let mut values = Vec::with_capacity(columns.len());
        for column in &columns {
            values.push(Value::of(row, column)?.bind(&mut arguments));
        }
        lines.push(format!("({})", values.join(", ")));
    }
    let statement = format!(
        "INSERT INTO {table} ({}) VALUES {}",
        columns.join(", "),
        lines.join(", ")
    );
    // The text differs where a value is missing, so caching the statement is not worthwhile.
    sqlx::query_with(AssertSqlSafe(statement), arguments)
        .persistent(false)
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::database;
    use super::*;

    #[tokio::test]
    async fn every_table_is_copied() {
        let folder = tempfile::tempdir().unwrap();
        let database = database(folder.path()).await.unwrap();
        let mut connection = database.pool.acquire().await.unwrap();
        let all = if is_sqlite(&connection) {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        } else {
            "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = 'public'"
        };
        let mut all: Vec<String> = sqlx::query_scalar(all)
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        // FTS5 has tables of its own.
        all.retain(|table| {
            !LEFT_OUT.contains(&table.as_str()) && !table.starts_with("recording_search")
        });
        all.sort();
        let mut known: Vec<_> = TABLES
            .iter()
            .map(|(table, _)| (*table).to_owned())
            .collect();
        known.sort();
        assert_eq!(all, known, "TABLES of server/src/db/transfer.rs");
    }
}
