//! What the server knows: people, sessions, recordings, settings.
//!
//! One set of portable SQL. "Not found" is `Ok(None)` or `Ok(false)`, never an error.

mod api_tokens;
mod audit;
mod candidates;
mod concatenation;
mod garbage;
mod imported;
mod leases;
mod lists;
#[cfg(feature = "sso")]
mod oidc_sign_ins;
mod owners;
mod paging;
mod parts;
mod pool;
mod quota_usage;
mod recordings;
mod refresh_tokens;
mod search;
mod sessions;
mod settings;
mod sign_ins;
mod storage_trend;
#[cfg(test)]
pub(crate) mod testing;
mod totals;
mod transfer;
#[cfg(all(feature = "postgres", feature = "s3"))]
mod upload_leases;
mod users;

use std::sync::Arc;

use sqlx::AnyPool;
use tokio::sync::Notify;

pub(crate) use api_tokens::{ApiTokenRow, TokenInsertion};
pub(crate) use audit::{Action, Actor, AuditEvent, AuditFilter, AuditRow};
pub(crate) use candidates::{Changed, ProtectedLimit};
pub(crate) use imported::CapturedRow;
pub(crate) use leases::{Lease, RETENTION, SWEEP};
pub(crate) use lists::{List, Sort};
#[cfg(feature = "sso")]
pub(crate) use oidc_sign_ins::{LogoutScope, OidcSignInRow};
pub(crate) use paging::{Page, Position};
pub(crate) use quota_usage::{Amount, Usage};
pub(crate) use recordings::{Completion, Insertion, OpenLimit, RecordingRow, UploadKind};
pub(crate) use refresh_tokens::RefreshTokenRow;
pub(crate) use sessions::{SessionFilter, SessionRow};
pub(crate) use sign_ins::{Rotation, SignInRow};
pub(crate) use storage_trend::Growth;
pub use transfer::{Copied, CopyError, copy_database};
pub(crate) use users::{UserChange, UserRow};

/// What can go wrong between us and the database.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    /// A value that must be unique is taken.
    #[error("the value is taken")]
    Taken,
    /// The database cannot be reached, or is too busy; trying again may help.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// A statement failed, or a row makes no sense.
    #[error("a database statement failed")]
    Statement(#[source] sqlx::Error),
    /// A text holds what PostgreSQL cannot keep: the character NUL.
    #[error("a text holds the character NUL")]
    Nul(#[source] sqlx::Error),
    /// The server cannot start with this database.
    #[error("{advice}")]
    Start {
        /// What to do about it.
        advice: String,
        /// What happened.
        source: sqlx::Error,
    },
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(inner) if inner.is_unique_violation() => Self::Taken,
            sqlx::Error::Database(inner) => match inner.code().as_deref() {
                Some("22021") => Self::Nul(error),
                Some(code) if passes(code) => Self::Unavailable(error),
                _ => Self::Statement(error),
            },
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            _ => Self::Statement(error),
        }
    }
}

/// Whether what this code stands for goes away by itself, so that the same request can be sent again.
fn passes(code: &str) -> bool {
    // SQLite (https://www.sqlite.org/rescode.html): of an extended code the lowest byte is the plain one. A
    // SQLSTATE has five characters.
    if code.len() < 5 {
        const BUSY: u32 = 5;
        const LOCKED: u32 = 6;
        return matches!(
            code.parse::<u32>().map(|code| code & 0xff),
            Ok(BUSY | LOCKED)
        );
    }
    // PostgreSQL (https://www.postgresql.org/docs/current/errcodes-appendix.html): connection lost, not enough
    // resources, shut down or started just now, a deadlock or a conflict of transactions, a lock not to be had,
    // a stand-by that is not the primary yet (or no longer).
    matches!(code.get(..2), Some("08" | "53"))
        || matches!(
            code,
            "57P01" | "57P02" | "57P03" | "40001" | "40P01" | "55P03" | "25006"
        )
}

/// A row whose text this version does not understand.
fn nonsense(column: &str, value: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("column {column} holds {value:?}").into())
}

/// Several words in one column.
fn words_to_text<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> String {
    let words: Vec<_> = all.iter().map(|it| word(*it)).collect();
    words.join(",")
}

/// What `words_to_text` made of some of `known`.
fn words_from_text<T: Copy>(
    column: &str,
    text: &str,
    known: &[T],
    word: impl Fn(T) -> &'static str,
) -> Result<Vec<T>, sqlx::Error> {
    text.split(',')
        .map(|part| {
            let meant = known.iter().find(|it| word(**it) == part);
            meant.copied().ok_or_else(|| nonsense(column, text))
        })
        .collect()
}

/// The database. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pool: AnyPool,
    /// Told when this process has added to the audit log.
    audited: Arc<Notify>,
}

impl Database {
    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<(), DatabaseError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Closes every connection; SQLite writes its log back into the file.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}
