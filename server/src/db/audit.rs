//! Audit log: append-only rows in a hash chain.
//!
//! A writer locks the single row of `audit_head` by an `UPDATE` until the end of its transaction. Rows of several
//! writers (and servers) are therefore numbered without gaps in the order of their commits, and a writer that dies
//! leaves nothing. [`AuditLog::after`] relies on that.

mod chain;
mod erasure;
mod log;

use std::net::IpAddr;

use sortie_api::{AuditResult, Via};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::{DatabaseError, unknown_text};
pub(crate) use erasure::pseudonym;
pub(crate) use log::{AuditFilter, AuditLog, Personal};

/// Longest detail, in characters.
const DETAIL_MAX: usize = 1000;
/// Longest other text of a row, in characters; ids and names are shorter.
const TEXT_MAX: usize = 200;

/// Originator of an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Actor {
    /// A user's id, `system`, or empty if unknown.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) via: Via,
    /// Address of the client.
    pub(crate) address: Option<IpAddr>,
}

impl Actor {
    pub(crate) fn system() -> Self {
        Self {
            id: "system".to_owned(),
            name: "system".to_owned(),
            via: Via::System,
            address: None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    not(feature = "webhooks"),
    expect(dead_code, reason = "the actions of webhooks")
)]
pub(crate) enum Action {
    Start,
    /// The sender has ended the recording.
    Stop,
    /// All bytes have arrived.
    Upload,
    /// The recording became ready.
    Ready,
    /// The recording became failed.
    Fail,
    /// Playback in a page.
    View,
    Download,
    /// Change of name or protection.
    Change,
    /// Deletion by a user, retention or the threshold.
    Delete,
    /// A user moved a recording to the trash.
    Trash,
    /// A user restored a recording from the trash.
    Restore,
    /// Object and row are removed.
    Gone,
    /// Refused access to another user's recording.
    Access,
    SessionCreate,
    /// Change of a session's state.
    SessionChange,
    SessionDelete,
    /// Refused access to another user's session.
    SessionAccess,
    /// Change of a setting.
    SettingsChange,
    /// Manual run of retention and threshold.
    CleanUp,
    /// Automatic deletion stopped because the clock is in doubt.
    ClockHold,
    /// The clock is trusted again.
    ClockResume,
    /// An administrator confirmed the clock.
    ClockConfirm,
    /// Export of the audit log.
    AuditExport,
    /// Number of refusals that were not written one by one.
    AuditOmit,
    /// Sign-in or attempt.
    SignIn,
    /// End of one or all sign-ins of a user.
    SignInEnd,
    /// Reuse of a spent refresh token, which ended its sign-in.
    TokenReuse,
    /// Change of a password or attempt.
    PasswordChange,
    UserCreate,
    UserChange,
    UserDelete,
    TokenCreate,
    TokenRevoke,
    PlaybackUrlCreate,
    ShareCreate,
    ShareRevoke,
    /// Removal of an orphan from the storage.
    Sweep,
    WebhookCreate,
    /// Change of a webhook, or its end by an answer of the receiver.
    WebhookChange,
    WebhookDelete,
    /// Rotation of a webhook's secret.
    WebhookRotate,
    WebhookTest,
    /// Re-sending of an event.
    WebhookResend,
    /// The required recording of a session is missing.
    Missing,
    /// The required recording of a session is back.
    Resumed,
    /// Request for the erasure of a user, and its completion.
    UserErase,
    /// Replacement of personal data in rows of this log.
    AuditErase,
}

impl Action {
    /// Name in the log.
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
            Self::Trash => "recording.trash",
            Self::Restore => "recording.restore",
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
            Self::PlaybackUrlCreate => "playback_url.create",
            Self::ShareCreate => "share.create",
            Self::ShareRevoke => "share.revoke",
            Self::Sweep => "recording.sweep",
            Self::WebhookCreate => "webhook.create",
            Self::WebhookChange => "webhook.change",
            Self::WebhookDelete => "webhook.delete",
            Self::WebhookRotate => "webhook.rotate",
            Self::WebhookTest => "webhook.test",
            Self::WebhookResend => "webhook.resend",
            Self::Missing => "recording.missing",
            Self::Resumed => "recording.resumed",
            Self::UserErase => "user.erase",
            Self::AuditErase => "audit.erase",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct AuditEvent<'a> {
    pub(crate) actor: &'a Actor,
    pub(crate) action: Action,
    /// Id of the object of the action.
    pub(crate) subject: &'a str,
    /// Free text for readers.
    pub(crate) detail: &'a str,
    pub(crate) result: AuditResult,
}

impl<'a> AuditEvent<'a> {
    pub(crate) fn done(actor: &'a Actor, action: Action, subject: &'a str) -> Self {
        Self {
            actor,
            action,
            subject,
            detail: "",
            result: AuditResult::Ok,
        }
    }

    pub(crate) fn detail(mut self, detail: &'a str) -> Self {
        self.detail = detail;
        self
    }

    pub(crate) fn result(mut self, result: AuditResult) -> Self {
        self.result = result;
        self
    }
}

/// Row of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuditRow {
    /// 1, 2, 3, … without gaps.
    pub(crate) seq: i64,
    /// Unix time in ms.
    pub(crate) at_ms: i64,
    /// A user's id, `system`, or empty.
    pub(crate) actor_id: String,
    /// User name at that time.
    pub(crate) actor_name: String,
    pub(crate) via: String,
    /// Address of the client; may be empty.
    pub(crate) address: String,
    pub(crate) action: String,
    /// Id of the object of the action.
    pub(crate) subject: String,
    /// Free text for readers.
    pub(crate) detail: String,
    pub(crate) result: String,
    /// Hash of the previous row and this one.
    pub(crate) hash: String,
    /// Proof of `actor_name` and `address`; see [`chain`].
    actor_proof: String,
    /// Proof of `detail`, in the same form.
    detail_proof: String,
    /// Number of the row that attests the proofs of a row of an earlier version.
    attested_by: Option<i64>,
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
            actor_proof: row.try_get("actor_proof")?,
            detail_proof: row.try_get("detail_proof")?,
            attested_by: row.try_get("attested_by")?,
        })
    }
}

impl AuditRow {
    /// Row of the system for a test.
    #[cfg(test)]
    pub(crate) fn sample(seq: i64, action: Action, subject: &str, detail: &str) -> Self {
        Self {
            seq,
            at_ms: 0,
            actor_id: String::new(),
            actor_name: String::new(),
            via: "system".to_owned(),
            address: String::new(),
            action: action.name().to_owned(),
            subject: subject.to_owned(),
            detail: detail.to_owned(),
            result: "ok".to_owned(),
            hash: String::new(),
            actor_proof: String::new(),
            detail_proof: String::new(),
            attested_by: None,
        }
    }

    /// Name in the log.
    pub(crate) fn via(&self) -> Result<Via, DatabaseError> {
        Ok(match self.via.as_str() {
            "cookie" => Via::Cookie,
            "bearer" => Via::Bearer,
            "token" => Via::Token,
            "jwt" => Via::Jwt,
            "proxy" => Via::Proxy,
            "password" => Via::Password,
            "oidc" => Via::Oidc,
            "playback" => Via::Playback,
            "share" => Via::Share,
            "system" => Via::System,
            other => return Err(unknown_text("audit.via", other).into()),
        })
    }

    /// Name in the log.
    pub(crate) fn result(&self) -> Result<AuditResult, DatabaseError> {
        Ok(match self.result.as_str() {
            "ok" => AuditResult::Ok,
            "denied" => AuditResult::Denied,
            "failed" => AuditResult::Failed,
            other => return Err(unknown_text("audit.result", other).into()),
        })
    }
}

/// Detail of a row [`Action::Gone`]: data of a recording that the database no longer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GoneRecording<'a> {
    /// ID of the owner.
    pub(crate) user_id: &'a str,
    /// Absent in rows of earlier versions.
    pub(crate) session_id: Option<&'a str>,
    /// ID of the first part, of a further part.
    pub(crate) part_of: Option<&'a str>,
}

impl<'a> GoneRecording<'a> {
    const SESSION: &'static str = "; session ";
    const PART_OF: &'static str = "; part of ";

    /// Formats the detail. IDs contain no semicolon.
    pub(crate) fn to_text(self) -> String {
        let mut text = self.user_id.to_owned();
        for (label, id) in [
            (Self::SESSION, self.session_id),
            (Self::PART_OF, self.part_of),
        ] {
            if let Some(id) = id.filter(|id| !id.is_empty()) {
                text += label;
                text += id;
            }
        }
        text
    }

    pub(crate) fn parse(detail: &'a str) -> Self {
        let (rest, part_of) = match detail.split_once(Self::PART_OF) {
            Some((rest, id)) => (rest, Some(id)),
            None => (detail, None),
        };
        let (user_id, session_id) = match rest.split_once(Self::SESSION) {
            Some((user_id, id)) => (user_id, Some(id)),
            None => (rest, None),
        };
        Self {
            user_id,
            session_id,
            part_of,
        }
    }
}

/// Clips a text and removes NUL, which PostgreSQL refuses in texts.
fn clipped(text: &str, max: usize) -> String {
    text.chars().filter(|c| *c != '\0').take(max).collect()
}

/// Appends a row in the caller's transaction. It blocks other writers until the commit: call it last.
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
        actor_proof: chain::new_salt(),
        detail_proof: chain::new_salt(),
        attested_by: None,
    };
    erasure::mask(&mut *connection, &mut row).await?;
    row.hash = chain::hash(&before, &row);
    sqlx::query(
        "INSERT INTO audit (seq, at_ms, actor_id, actor_name, via, address, action, subject, detail, result, hash, \
         actor_proof, detail_proof) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
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
    .bind(row.actor_proof)
    .bind(row.detail_proof)
    .execute(&mut *connection)
    .await?;
    sqlx::query("UPDATE audit_head SET hash = $1 WHERE id = 1")
        .bind(row.hash)
        .execute(&mut *connection)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::GoneRecording;

    #[test]
    fn gone_recording_is_parsed_from_its_text() {
        for (session_id, part_of) in [
            (None, None),
            (Some("s"), None),
            (None, Some("p")),
            (Some("s"), Some("p")),
        ] {
            let gone = GoneRecording {
                user_id: "u",
                session_id,
                part_of,
            };
            assert_eq!(GoneRecording::parse(&gone.to_text()), gone);
        }
    }
}
