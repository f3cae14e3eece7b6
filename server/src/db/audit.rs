//! Who did what, when, from where, and how it went: rows that are only ever added, in a chain of hashes.
//!
//! Whoever adds a row takes the one row of `audit_head` first, by an `UPDATE`, and holds it to the end of the
//! transaction. So rows of several writers (and servers) are numbered without a gap in the order in which they
//! are committed, and a writer that dies in between leaves nothing. [`crate::db::Database::audit_after`] counts on that.

mod chain;
mod query;

use std::net::IpAddr;

use sortie_api::{AuditResult, Via};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::{Database, DatabaseError, nonsense};
pub(crate) use query::AuditFilter;

/// The most characters of a row's detail.
const DETAIL_MAX: usize = 1000;
/// The most characters of a row's other texts; ids and names are shorter.
const TEXT_MAX: usize = 200;

/// Whose doing something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Actor {
    /// A user's id, `system`, or empty when nobody is known.
    pub(crate) id: String,
    /// Their name now.
    pub(crate) name: String,
    /// How they showed who they are.
    pub(crate) via: Via,
    /// Where they asked from.
    pub(crate) address: Option<IpAddr>,
}

impl Actor {
    /// What this server does by itself.
    pub(crate) fn system() -> Self {
        Self {
            id: "system".to_owned(),
            name: "system".to_owned(),
            via: Via::System,
            address: None,
        }
    }
}

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// A recording was started.
    Start,
    /// Its sender said stop.
    Stop,
    /// All of its bytes have come in.
    Upload,
    /// It became ready.
    Ready,
    /// It became failed.
    Fail,
    /// Somebody looked at it in the page.
    View,
    /// Somebody took a copy.
    Download,
    /// Somebody renamed it, protected it or took the protection away.
    Change,
    /// Somebody, retention or the threshold deleted it.
    Delete,
    /// Its bytes and its row are gone.
    Gone,
    /// Somebody asked for a recording that is not theirs.
    Access,
    /// A session was made.
    SessionCreate,
    /// A session is in another state.
    SessionChange,
    /// A session was removed.
    SessionDelete,
    /// Somebody asked for a session that is not theirs.
    SessionAccess,
    /// A setting has another value.
    SettingsChange,
    /// Somebody ran retention and threshold by hand.
    CleanUp,
    /// Automatic deletion stopped because the clock is in doubt.
    ClockHold,
    /// The clock is trusted again.
    ClockResume,
    /// An administrator confirmed the clock.
    ClockConfirm,
    /// Somebody took a copy of the audit log.
    AuditExport,
    /// Refusals that were not written one by one.
    AuditOmit,
    /// Somebody signed in, or tried to.
    SignIn,
    /// A sign-in, or all of a user's, was ended.
    SignInEnd,
    /// A spent refresh token came again, and its sign-in was ended.
    TokenReuse,
    /// Somebody changed their password, or tried to.
    PasswordChange,
    /// An account was made.
    UserCreate,
    /// Somebody's account was changed.
    UserChange,
    /// Somebody's account was removed.
    UserDelete,
    /// An API token was made.
    TokenCreate,
    /// An API token was revoked.
    TokenRevoke,
    /// Something in the storage was removed that belonged to it no more, or to no recording at all.
    Sweep,
}

impl Action {
    /// As it stands in the log.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Start => "recording.start",
            Self::Stop => "recording.stop",
            Self::Upload => "recording.upload",
            Self::Ready => "recording.ready",
            Self::Fail => "recording.fail",
            Self::View => "recording.view",
            Self::Download => "recording.download",
            Self::Change => "recording.change",
            Self::Delete => "recording.delete",
            Self::Gone => "recording.gone",
            Self::Access => "recording.access",
            Self::SessionCreate => "session.create",
            Self::SessionChange => "session.change",
            Self::SessionDelete => "session.delete",
            Self::SessionAccess => "session.access",
            Self::SettingsChange => "settings.change",
            Self::CleanUp => "storage.clean_up",
            Self::ClockHold => "clock.hold",
            Self::ClockResume => "clock.resume",
            Self::ClockConfirm => "clock.confirm",
            Self::AuditExport => "audit.export",
            Self::AuditOmit => "audit.omit",
            Self::SignIn => "sign_in",
            Self::SignInEnd => "sign_in.end",
            Self::TokenReuse => "sign_in.reuse",
            Self::PasswordChange => "user.password",
            Self::UserCreate => "user.create",
            Self::UserChange => "user.change",
            Self::UserDelete => "user.delete",
            Self::TokenCreate => "token.create",
            Self::TokenRevoke => "token.revoke",
            Self::Sweep => "recording.sweep",
        }
    }
}

/// One thing that was done, or tried.
#[derive(Clone, Debug)]
pub(crate) struct AuditEvent<'a> {
    /// Whose doing.
    pub(crate) actor: &'a Actor,
    /// What.
    pub(crate) action: Action,
    /// The id of what it was done to.
    pub(crate) subject: &'a str,
    /// What else there is to know, for a person.
    pub(crate) detail: &'a str,
    /// How it went.
    pub(crate) result: AuditResult,
}

impl<'a> AuditEvent<'a> {
    /// Something that was done.
    pub(crate) fn done(actor: &'a Actor, action: Action, subject: &'a str) -> Self {
        Self {
            actor,
            action,
            subject,
            detail: "",
            result: AuditResult::Ok,
        }
    }

    /// With what else there is to know.
    pub(crate) fn detail(mut self, detail: &'a str) -> Self {
        self.detail = detail;
        self
    }

    /// With another outcome.
    pub(crate) fn result(mut self, result: AuditResult) -> Self {
        self.result = result;
        self
    }
}

/// A row of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuditRow {
    /// 1, 2, 3, … without a gap.
    pub(crate) seq: i64,
    /// When.
    pub(crate) at_ms: i64,
    /// A user's id, `system`, or empty.
    pub(crate) actor_id: String,
    /// Their name then.
    pub(crate) actor_name: String,
    /// How they showed who they are.
    pub(crate) via: String,
    /// Where they asked from; may be empty.
    pub(crate) address: String,
    /// What.
    pub(crate) action: String,
    /// Which.
    pub(crate) subject: String,
    /// What else.
    pub(crate) detail: String,
    /// How it went.
    pub(crate) result: String,
    /// Over the row before and this one.
    pub(crate) hash: String,
}

impl<'r> sqlx::FromRow<'r, AnyRow> for AuditRow {
    fn from_row(row: &'r AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            seq: row.try_get("seq")?,
            at_ms: row.try_get("at_ms")?,
            actor_id: row.try_get("actor_id")?,
            actor_name: row.try_get("actor_name")?,
            via: row.try_get("via")?,
            address: row.try_get("address")?,
            action: row.try_get("action")?,
            subject: row.try_get("subject")?,
            detail: row.try_get("detail")?,
            result: row.try_get("result")?,
            hash: row.try_get("hash")?,
        })
    }
}

impl AuditRow {
    /// How they showed who they are.
    pub(crate) fn via(&self) -> Result<Via, DatabaseError> {
        Ok(match self.via.as_str() {
            "cookie" => Via::Cookie,
            "bearer" => Via::Bearer,
            "token" => Via::Token,
            "jwt" => Via::Jwt,
            "proxy" => Via::Proxy,
            "password" => Via::Password,
            "oidc" => Via::Oidc,
            "system" => Via::System,
            other => return Err(nonsense("audit.via", other).into()),
        })
    }

    /// How it went.
    pub(crate) fn result(&self) -> Result<AuditResult, DatabaseError> {
        Ok(match self.result.as_str() {
            "ok" => AuditResult::Ok,
            "denied" => AuditResult::Denied,
            "failed" => AuditResult::Failed,
            other => return Err(nonsense("audit.result", other).into()),
        })
    }
}

/// At most so many characters, and none that a database refuses (PostgreSQL knows no NUL in a text).
fn clipped(text: &str, max: usize) -> String {
    text.chars().filter(|c| *c != '\0').take(max).collect()
}

impl Database {
    /// Writes down what was done.
    pub(crate) async fn audit(
        &self,
        at_ms: i64,
        event: &AuditEvent<'_>,
    ) -> Result<(), DatabaseError> {
        let mut transaction = self.pool.begin().await?;
        append(&mut transaction, at_ms, event).await?;
        transaction.commit().await?;
        self.tell_of_audit();
        Ok(())
    }

    /// To be called once a transaction with [`append`] is committed.
    pub(super) fn tell_of_audit(&self) {
        self.audited.notify_waiters();
    }

    /// Ready when this process adds the next row, if it is polled before.
    pub(crate) fn audited(&self) -> tokio::sync::futures::Notified<'_> {
        self.audited.notified()
    }
}

/// Adds a row in a transaction that may do more. Nobody else adds one until it is committed: do it last.
pub(super) async fn append(
    connection: &mut AnyConnection,
    at_ms: i64,
    event: &AuditEvent<'_>,
) -> Result<(), DatabaseError> {
    let (seq, before): (i64, String) =
        sqlx::query_as("UPDATE audit_head SET seq = seq + 1 WHERE id = 1 RETURNING seq, hash")
            .fetch_one(&mut *connection)
            .await?;
    let mut row = AuditRow {
        seq,
        at_ms,
        actor_id: clipped(&event.actor.id, TEXT_MAX),
        actor_name: clipped(&event.actor.name, TEXT_MAX),
        via: event.actor.via.name().to_owned(),
        address: event
            .actor
            .address
            .map_or_else(String::new, |address| address.to_string()),
        action: event.action.name().to_owned(),
        subject: clipped(event.subject, TEXT_MAX),
        detail: clipped(event.detail, DETAIL_MAX),
        result: event.result.name().to_owned(),
        hash: String::new(),
    };
    row.hash = chain::hash(&before, &row);
    sqlx::query(
        "INSERT INTO audit (seq, at_ms, actor_id, actor_name, via, address, action, subject, detail, result, hash) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(row.seq)
    .bind(row.at_ms)
    .bind(row.actor_id)
    .bind(row.actor_name)
    .bind(row.via)
    .bind(row.address)
    .bind(row.action)
    .bind(row.subject)
    .bind(row.detail)
    .bind(row.result)
    .bind(&row.hash)
    .execute(&mut *connection)
    .await?;
    sqlx::query("UPDATE audit_head SET hash = $1 WHERE id = 1")
        .bind(row.hash)
        .execute(&mut *connection)
        .await?;
    Ok(())
}
