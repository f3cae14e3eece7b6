//! Connection pool and migrations.

use std::borrow::Cow;
use std::path::Path;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyConnection, AnyPool, Connection, Executor};

use super::DatabaseError;
use crate::config::DatabaseConfig;

/// Migrations of both databases. A released migration is never edited.
static COMMON: Migrator = sqlx::migrate!("./migrations");
/// Migrations whose SQL is not portable.
static SQLITE: Migrator = sqlx::migrate!("./migrations-sqlite");
static POSTGRES: Migrator = sqlx::migrate!("./migrations-postgres");

/// Longest wait of a request for a connection.
const PATIENCE: Duration = Duration::from_secs(5);
/// SQLite has one writer; readers do not wait for it.
const SQLITE_CONNECTIONS: u32 = 4;
/// Several servers share a PostgreSQL, whose default limit is 100 connections.
#[cfg(feature = "postgres")]
const POSTGRES_CONNECTIONS: u32 = 10;

/// A server that loses power or network must not keep its locks for the two hours of TCP's default timeout: all others
/// wait for the head of the audit chain. Transactions are never idle.
#[cfg(feature = "postgres")]
const POSTGRES_SESSION: &str = "SET idle_in_transaction_session_timeout = '60s'";

/// Connects without migrating. Creates a SQLite file if it does not exist.
pub(super) async fn connect(config: &DatabaseConfig) -> Result<AnyPool, DatabaseError> {
    sqlx::any::install_default_drivers();
    match config {
        DatabaseConfig::Sqlite { file } => sqlite(file).await,
        #[cfg(feature = "postgres")]
        DatabaseConfig::Postgres(config) => postgres(config).await,
    }
}

/// Migrates the schema. If several servers start together, one migrates and the others wait.
pub(super) async fn migrate(pool: &AnyPool, migrations: &Migrator) -> Result<(), DatabaseError> {
    let mut connection = pool.acquire().await?;
    let result = if is_sqlite(&connection) {
        // sqlx takes an advisory lock on PostgreSQL, but none on SQLite.
        let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
        let result = migrations.run_direct(None, &mut *transaction, false).await;
        if result.is_ok() {
            transaction.commit().await?;
        }
        result
    } else {
        migrations.run_direct(None, &mut *connection, false).await
    };
    result.map_err(migration_failed)
}

/// Returns the migrations of a database in order.
pub(super) fn migrations(is_sqlite: bool) -> Migrator {
    let own = if is_sqlite { &SQLITE } else { &POSTGRES };
    let mut all: Vec<_> = COMMON.iter().chain(own.iter()).cloned().collect();
    all.sort_by_key(|migration| migration.version);
    Migrator {
        migrations: Cow::Owned(all),
        ..Migrator::DEFAULT
    }
}

/// Whether this is SQLite, for the few statements that are not portable.
pub(super) fn is_sqlite(connection: &AnyConnection) -> bool {
    connection.backend_name() == "SQLite"
}

async fn sqlite(path: &Path) -> Result<AnyPool, DatabaseError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(sqlx::Error::Io)?;
    }
    restrict_permissions(path);
    // SQLite parses `?`, `#` and `%` in the name as parts of a URI.
    let name: String = path
        .display()
        .to_string()
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    Ok(AnyPoolOptions::new()
        .max_connections(SQLITE_CONNECTIONS)
        .acquire_timeout(PATIENCE * 2)
        .after_connect(|connection, _| {
            Box::pin(async move {
                // WAL with FULL: a committed row survives a power cut, like the bytes that it describes.
                for pragma in [
                    "PRAGMA journal_mode = WAL",
                    "PRAGMA synchronous = FULL",
                    "PRAGMA busy_timeout = 10000",
                    "PRAGMA foreign_keys = ON",
                    // A container with a read-only root has no folder for the temporary files that migrations need.
                    "PRAGMA temp_store = MEMORY",
                ] {
                    connection.execute(pragma).await?;
                }
                Ok(())
            })
        })
        .connect(&format!("sqlite://{name}?mode=rwc"))
        .await?)
}

/// Removes the permissions of others from a database of an earlier version: it holds password hashes and the signing
/// secret. SQLite gives its journal the same permissions.
fn restrict_permissions(path: &Path) {
    #[cfg(unix)]
    for suffix in ["", "-wal", "-shm"] {
        use std::os::unix::fs::PermissionsExt as _;
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        let Ok(metadata) = std::fs::metadata(&file) else {
            continue;
        };
        let mode = metadata.permissions().mode();
        if !metadata.is_file() || mode & 0o007 == 0 {
            continue;
        }
        let permissions = std::fs::Permissions::from_mode(mode & 0o770);
        match std::fs::set_permissions(&file, permissions) {
            Ok(()) => tracing::info!(?file, "others can no longer read the database"),
            Err(error) => tracing::warn!(?file, "others may read the database: {error}"),
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}

#[cfg(feature = "postgres")]
async fn postgres(config: &crate::config::PostgresConfig) -> Result<AnyPool, DatabaseError> {
    // The pool would retry for its whole timeout and lose the reason.
    let first = tokio::time::timeout(PATIENCE * 2, AnyConnection::connect(config.url()))
        .await
        .unwrap_or(Err(sqlx::Error::PoolTimedOut))
        .map_err(|error| refused(error, config))?;
    first.close().await?;
    Ok(AnyPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(PATIENCE)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(POSTGRES_SESSION).await?;
                Ok(())
            })
        })
        .connect_lazy(config.url())?)
}

/// Returns advice for a failed connection.
#[cfg(feature = "postgres")]
fn refused(error: sqlx::Error, config: &crate::config::PostgresConfig) -> DatabaseError {
    let advice = match &error {
        sqlx::Error::Database(inner) => match inner.code().as_deref() {
            // https://www.postgresql.org/docs/current/errcodes-appendix.html
            Some("28P01" | "28000") => {
                "the user name or the password is wrong, or pg_hba.conf does not let them in"
            }
            Some("3D000") => {
                "there is no such database; create it: CREATE DATABASE name OWNER user"
            }
            Some("42501") => {
                "the user may not connect to it: GRANT CONNECT ON DATABASE name TO user"
            }
            Some("53300") => {
                "it has no connection left: raise max_connections, or run fewer servers"
            }
            _ => "it does not let us in",
        },
        sqlx::Error::Tls(_) => "TLS cannot be agreed on; see sslmode and sslrootcert",
        sqlx::Error::PoolTimedOut => {
            "it does not answer; are host and port right, and does a firewall let us through?"
        }
        _ => "it cannot be reached; does it run, and are host and port right?",
    };
    DatabaseError::Start {
        advice: format!("{config}: {advice}"),
        source: error,
    }
}

fn migration_failed(error: MigrateError) -> DatabaseError {
    let advice = match &error {
        MigrateError::VersionMissing(_) | MigrateError::VersionTooNew(..) => {
            "a newer version of this program has used it; run that version, or restore a backup from before"
        }
        MigrateError::VersionMismatch(_) => {
            "an unreleased version of this program made it; start with a new database"
        }
        MigrateError::Execute(sqlx::Error::Database(inner))
        | MigrateError::ExecuteMigration(sqlx::Error::Database(inner), _)
            if inner.code().as_deref() == Some("42501") =>
        {
            "the user may not create tables: GRANT CREATE, USAGE ON SCHEMA public TO user"
        }
        _ => "its schema cannot be brought up to date",
    };
    let source = match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error,
        other => sqlx::Error::Migrate(Box::new(other)),
    };
    DatabaseError::Start {
        advice: advice.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
