//! Database: users, sessions, recordings, settings, audit log.
//!
//! Portable SQL for SQLite and PostgreSQL. "Not found" is `Ok(None)` or `Ok(false)`, never an error.

mod activities;
mod api_tokens;
mod audit;
mod candidates;
mod completed;
mod concatenation;
mod counts;
mod erasures;
mod imported;
mod labels;
mod leases;
mod library;
mod lists;
mod markers;
#[cfg(feature = "sso")]
mod oidc_sign_ins;
mod owners;
mod paging;
mod parts;
mod pictures;
mod pool;
mod recordings;
mod search;
mod search_index;
mod search_terms;
mod sessions;
mod settings;
mod shares;
mod sign_ins;
mod statement;
mod statistics;
#[cfg(test)]
pub(crate) mod testing;
mod transfer;
mod trash;
#[cfg(all(feature = "postgres", feature = "s3"))]
mod upload_leases;
mod upload_progress;
mod users;
mod views;
#[cfg(feature = "webhooks")]
mod webhook_deliveries;
#[cfg(feature = "webhooks")]
mod webhooks;

use std::sync::Arc;

use sqlx::{Any, AnyPool, Transaction};
use tokio::sync::Notify;

use activities::Activities;
use api_tokens::ApiTokens;
use audit::AuditLog;
use candidates::Candidates;
use completed::Completed;
use concatenation::FinalUploads;
use erasures::Erasures;
use imported::Imported;
use leases::Leases;
use lists::Lists;
use markers::Markers;
#[cfg(feature = "sso")]
use oidc_sign_ins::OidcSignIns;
use owners::Owners;
use parts::Parts;
use pictures::Pictures;
use recordings::Recordings;
use search_index::SearchIndex;
use sessions::Sessions;
use settings::Settings;
use shares::Shares;
use sign_ins::SignIns;
use statistics::Statistics;
use trash::Trash;
#[cfg(all(feature = "postgres", feature = "s3"))]
use upload_leases::UploadLeaseTable;
use upload_progress::UploadProgress;
use users::Users;
use views::Views;
#[cfg(feature = "webhooks")]
use webhook_deliveries::WebhookDeliveries;
#[cfg(feature = "webhooks")]
use webhooks::Webhooks;

pub(crate) use api_tokens::{ApiTokenRow, TokenInsertion};
pub(crate) use audit::{
    Action, Actor, AuditEvent, AuditFilter, AuditRow, GoneRecording, Personal, pseudonym,
};
pub(crate) use candidates::Candidate;
pub(crate) use erasures::ErasureRow;
pub use imported::ImportedFile;
pub(crate) use imported::ImportedRow;
pub(crate) use labels::Editor;
pub(crate) use leases::{ERASURE, Lease, RETENTION, SWEEP};
pub(crate) use library::{LibraryChange, LibraryColumns, MediaFacts};
pub(crate) use lists::{List, Sort};
pub(crate) use markers::{MARKERS_MAX, MarkerChange, MarkerInsertion, MarkerRow};
#[cfg(feature = "sso")]
pub(crate) use oidc_sign_ins::{LogoutScope, OidcSignInRow};
pub(crate) use owners::ProtectedLimit;
pub(crate) use paging::{Page, Position};
pub(crate) use pictures::{PictureInsertion, PictureRow};
pub(crate) use recordings::{
    Changed, Completion, Insertion, OpenLimit, RecordingChange, RecordingRow, UploadKind,
};
pub(crate) use sessions::{SessionChange, SessionFilter, SessionRow, SessionUpdated};
pub(crate) use shares::{SHARES_MAX, ShareInsertion, ShareRow, SharedRange};
pub(crate) use sign_ins::{RefreshTokenRow, Rotation, SignInRow};
pub(crate) use statistics::{Amount, Usage};
pub use transfer::{Copied, CopyError, copy_database};
pub(crate) use upload_progress::Growth;
pub(crate) use users::{UserChange, UserFilter, UserRow};
#[cfg(feature = "webhooks")]
pub(crate) use webhook_deliveries::{
    AttemptResult, ClaimedDelivery, DeliveryRow, Due, NewDelivery,
};
#[cfg(feature = "webhooks")]
pub(crate) use webhooks::{NewWebhookRow, WebhookChange, WebhookRow};

use crate::config::DatabaseConfig;

#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    /// A unique value exists already.
    #[error("the value is taken")]
    Taken,
    /// The user is being erased, or is erased.
    #[error("the user is being erased")]
    Erased,
    /// The database is unreachable or busy; a retry may succeed.
    #[error("the database is not available")]
    Unavailable(#[source] sqlx::Error),
    /// A statement failed, or a row is invalid.
    #[error("a database statement failed")]
    Statement(#[source] sqlx::Error),
    /// A text contains NUL, which PostgreSQL cannot store.
    #[error("a text holds the character NUL")]
    Nul(#[source] sqlx::Error),
    /// The server cannot start with this database.
    #[error("{advice}")]
    Start { advice: String, source: sqlx::Error },
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(inner) if inner.is_unique_violation() => Self::Taken,
            sqlx::Error::Database(inner) => match inner.code().as_deref() {
                Some("22021") => Self::Nul(error),
                Some(code) if is_transient(code) => Self::Unavailable(error),
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

/// Whether an error code is transient, so that the same request can be retried.
fn is_transient(code: &str) -> bool {
    // SQLite (https://www.sqlite.org/rescode.html): the lowest byte of an extended code is the primary code. A SQLSTATE
    // has five characters.
    if code.len() < 5 {
        const BUSY: u32 = 5;
        const LOCKED: u32 = 6;
        return matches!(
            code.parse::<u32>().map(|code| code & 0xff),
            Ok(BUSY | LOCKED)
        );
    }
    // PostgreSQL (https://www.postgresql.org/docs/current/errcodes-appendix.html): connection lost, insufficient
    // resources, shutdown or start, deadlock or serialisation conflict, lock not available, stand-by without a primary.
    matches!(code.get(..2), Some("08" | "53"))
        || matches!(
            code,
            "57P01" | "57P02" | "57P03" | "40001" | "40P01" | "55P03" | "25006"
        )
}

/// Error for a row with a text that this version does not know.
fn unknown_text(column: &str, value: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("column {column} holds {value:?}").into())
}

/// Joins words into the text of one column.
fn words_to_text<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str) -> String {
    let words: Vec<_> = all.iter().map(|it| word(*it)).collect();
    words.join(",")
}

/// Parses words that [`words_to_text`] joined; `None` if one is not in `known`.
fn words_from_text<T: Copy>(
    column: &str,
    text: &str,
    known: &[T],
    word: impl Fn(T) -> &'static str,
) -> Result<Vec<T>, sqlx::Error> {
    text.split(',')
        .map(|part| {
            let found = known.iter().find(|it| word(**it) == part);
            found.copied().ok_or_else(|| unknown_text(column, text))
        })
        .collect()
}

/// Handle of the database. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    pool: AnyPool,
    is_sqlite: bool,
    /// Whether an index of trigrams exists.
    has_trigrams: bool,
    /// Notified when this process appends to the audit log.
    audited: Arc<Notify>,
}

impl Database {
    /// Connects and migrates the schema.
    pub(crate) async fn open(config: &DatabaseConfig) -> Result<Self, DatabaseError> {
        let pool = pool::connect(config).await?;
        let is_sqlite = pool::is_sqlite(&*pool.acquire().await?);
        pool::migrate(&pool, &pool::migrations(is_sqlite)).await?;
        let has_trigrams = is_sqlite || search_index::add_trigrams(&pool).await?;
        Ok(Self {
            pool,
            is_sqlite,
            has_trigrams,
            audited: Arc::default(),
        })
    }

    /// Begins a transaction that writes. SQLite locks its only writer now and waits for another one: a transaction that
    /// reads first would fail at its first write while another one writes.
    async fn begin(&self) -> Result<Transaction<'static, Any>, DatabaseError> {
        let statement = if self.is_sqlite {
            "BEGIN IMMEDIATE"
        } else {
            "BEGIN"
        };
        Ok(self.pool.begin_with(statement).await?)
    }

    /// Checks that the database answers.
    pub(crate) async fn ping(&self) -> Result<(), DatabaseError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Closes every connection; SQLite checkpoints its WAL.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) fn users(&self) -> Users<'_> {
        Users { database: self }
    }

    pub(crate) fn sign_ins(&self) -> SignIns<'_> {
        SignIns { database: self }
    }

    #[cfg(feature = "sso")]
    pub(crate) fn oidc_sign_ins(&self) -> OidcSignIns<'_> {
        OidcSignIns { database: self }
    }

    pub(crate) fn api_tokens(&self) -> ApiTokens<'_> {
        ApiTokens { database: self }
    }

    pub(crate) fn sessions(&self) -> Sessions<'_> {
        Sessions { database: self }
    }

    pub(crate) fn settings(&self) -> Settings<'_> {
        Settings { database: self }
    }

    pub(crate) fn audit(&self) -> AuditLog<'_> {
        AuditLog { database: self }
    }

    pub(crate) fn recordings(&self) -> Recordings<'_> {
        Recordings { database: self }
    }

    pub(crate) fn owners(&self) -> Owners<'_> {
        Owners { database: self }
    }

    pub(crate) fn parts(&self) -> Parts<'_> {
        Parts { database: self }
    }

    pub(crate) fn lists(&self) -> Lists<'_> {
        Lists { database: self }
    }

    pub(crate) fn search_index(&self) -> SearchIndex<'_> {
        SearchIndex { database: self }
    }

    pub(crate) fn completed(&self) -> Completed<'_> {
        Completed { database: self }
    }

    pub(crate) fn activities(&self) -> Activities<'_> {
        Activities { database: self }
    }

    pub(crate) fn views(&self) -> Views<'_> {
        Views { database: self }
    }

    pub(crate) fn markers(&self) -> Markers<'_> {
        Markers { database: self }
    }

    pub(crate) fn shares(&self) -> Shares<'_> {
        Shares { database: self }
    }

    pub(crate) fn trash(&self) -> Trash<'_> {
        Trash { database: self }
    }

    pub(crate) fn pictures(&self) -> Pictures<'_> {
        Pictures { database: self }
    }

    pub(crate) fn imported(&self) -> Imported<'_> {
        Imported { database: self }
    }

    pub(crate) fn candidates(&self) -> Candidates<'_> {
        Candidates { database: self }
    }

    pub(crate) fn final_uploads(&self) -> FinalUploads<'_> {
        FinalUploads { database: self }
    }

    pub(crate) fn upload_progress(&self) -> UploadProgress<'_> {
        UploadProgress { database: self }
    }

    pub(crate) fn statistics(&self) -> Statistics<'_> {
        Statistics { database: self }
    }

    pub(crate) fn erasures(&self) -> Erasures<'_> {
        Erasures { database: self }
    }

    pub(crate) fn leases(&self) -> Leases<'_> {
        Leases { database: self }
    }

    #[cfg(feature = "webhooks")]
    pub(crate) fn webhooks(&self) -> Webhooks<'_> {
        Webhooks { database: self }
    }

    #[cfg(feature = "webhooks")]
    pub(crate) fn webhook_deliveries(&self) -> WebhookDeliveries<'_> {
        WebhookDeliveries { database: self }
    }

    #[cfg(all(feature = "postgres", feature = "s3"))]
    pub(crate) fn upload_leases(&self, address: &str) -> UploadLeaseTable {
        UploadLeaseTable {
            pool: self.pool.clone(),
            address: address.to_owned(),
        }
    }
}
