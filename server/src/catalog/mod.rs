//! What the server knows: people, sessions, recordings, settings.
//!
//! One set of portable SQL. "Not found" is `Ok(None)` or `Ok(false)`, never an error.

mod api_tokens;
mod audit;
mod concatenation;
mod due;
mod leases;
mod recordings;
mod refresh_tokens;
mod sessions;
mod settings;
mod totals;
mod users;

use std::path::Path;
use std::sync::Arc;

use sqlx::AnyPool;
use sqlx::any::AnyPoolOptions;
use tokio::sync::Notify;

pub(crate) use api_tokens::ApiTokenRow;
pub(crate) use audit::{Action, Actor, AuditEvent, AuditFilter, AuditRow};
pub(crate) use leases::{Lease, RETENTION};
pub(crate) use recordings::{Completion, RecordingRow, UploadKind};
pub(crate) use refresh_tokens::RefreshTokenRow;
pub(crate) use sessions::{SessionFilter, SessionRow};
pub(crate) use users::{UserChange, UserRow};

/// What can go wrong between us and the database.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogError {
    /// A value that must be unique is taken.
    #[error("the value is taken")]
    Taken,
    /// The database cannot be reached, or is too busy; trying again may help.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// A statement failed, or a row makes no sense.
    #[error("a database statement failed")]
    Statement(#[source] sqlx::Error),
    /// The schema cannot be brought up to date.
    #[error("the database's schema cannot be brought up to date")]
    Migration(#[from] sqlx::migrate::MigrateError),
}

impl From<sqlx::Error> for CatalogError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(inner) if inner.is_unique_violation() => Self::Taken,
            sqlx::Error::Database(inner) if inner.message().contains("database is locked") => {
                Self::Unavailable(error)
            }
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => {
                Self::Unavailable(error)
            }
            _ => Self::Statement(error),
        }
    }
}

/// A row whose text this version does not understand.
fn nonsense(column: &str, value: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("column {column} holds {value:?}").into())
}

/// The database. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Catalog {
    pool: AnyPool,
    /// Told when this process has added to the audit log.
    audited: Arc<Notify>,
}

impl Catalog {
    /// Opens the SQLite file at `path`, creating it if need be, and brings its schema up to date.
    pub(crate) async fn sqlite(path: &Path) -> Result<Self, CatalogError> {
        sqlx::any::install_default_drivers();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(sqlx::Error::Io)?;
        }
        // SQLite reads `?`, `#` and `%` in the name as parts of a URI.
        let name: String = path
            .display()
            .to_string()
            .replace('%', "%25")
            .replace('?', "%3f")
            .replace('#', "%23");
        let pool = AnyPoolOptions::new()
            .max_connections(4)
            .after_connect(|connection, _| {
                Box::pin(async move {
                    // WAL with FULL: a committed row survives a power cut, as the bytes it speaks of do.
                    for pragma in [
                        "PRAGMA journal_mode = WAL",
                        "PRAGMA synchronous = FULL",
                        "PRAGMA busy_timeout = 10000",
                        "PRAGMA foreign_keys = ON",
                    ] {
                        sqlx::query(pragma).execute(&mut *connection).await?;
                    }
                    Ok(())
                })
            })
            .connect(&format!("sqlite://{name}?mode=rwc"))
            .await?;
        sqlx::migrate!("./migrations").run(&pool).await?;
        Ok(Self {
            pool,
            audited: Arc::default(),
        })
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<(), CatalogError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Closes every connection; SQLite writes its log back into the file.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}
