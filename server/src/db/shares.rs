//! Share links, stored by the hash of their token.

use std::ops::Range;

use sortie_api::Role;
use sqlx::Row;
use sqlx::any::AnyRow;

use super::recordings::lock_recording;
use super::users::{lock_user_not_erased, roles_from_text};
use super::{Action, Actor, AuditEvent, Database, DatabaseError};

/// Largest number of unexpired share links of one recording.
pub(crate) const SHARES_MAX: u16 = 50;

const COLUMNS: &str = "s.id, s.recording_id, s.creator_id, s.token_hash, s.password_hash, s.label, s.created_ms, \
     s.expires_ms, s.views, s.last_viewed_ms, s.part, s.start_ms, s.end_ms, u.username, u.roles";

/// Span of a part that a link shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SharedRange {
    /// Number of the part.
    pub(crate) part: i64,
    /// Milliseconds in the part.
    pub(crate) times_ms: Range<u64>,
}

/// Row of a share link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShareRow {
    pub(crate) id: String,
    /// ID of the first part.
    pub(crate) recording_id: String,
    pub(crate) creator_id: String,
    /// SHA-256 of the token in hex.
    pub(crate) token_hash: String,
    /// Argon2id as a PHC string; `None`: no password.
    pub(crate) password_hash: Option<String>,
    /// Description by the creator; may be empty.
    pub(crate) label: String,
    /// Unix time in ms.
    pub(crate) created_ms: i64,
    /// Unix time in ms.
    pub(crate) expires_ms: i64,
    pub(crate) views: i64,
    /// Unix time in ms.
    pub(crate) last_viewed_ms: Option<i64>,
    /// `None`: the whole recording.
    pub(crate) range: Option<SharedRange>,
    /// Name of the creator. An insert ignores it.
    pub(crate) creator: String,
    /// Current roles of the creator. An insert ignores them.
    pub(crate) creator_roles: Vec<Role>,
}

impl ShareRow {
    /// Whether the creator may still access a recording of this owner.
    pub(crate) fn creator_may_access(&self, owner_id: &str) -> bool {
        self.creator_id == owner_id || self.creator_roles.contains(&Role::Admin)
    }
}

impl<'r> sqlx::FromRow<'r, AnyRow> for ShareRow {
    fn from_row(row: &'r AnyRow) -> Result<Self, sqlx::Error> {
        let password_hash: String = row.try_get("password_hash")?;
        let part: i64 = row.try_get("part")?;
        let [start_ms, end_ms] = ["start_ms", "end_ms"].map(|name| row.try_get::<i64, _>(name));
        let times_ms = start_ms?.unsigned_abs()..end_ms?.unsigned_abs();
        Ok(Self {
            id: row.try_get("id")?,
            recording_id: row.try_get("recording_id")?,
            creator_id: row.try_get("creator_id")?,
            token_hash: row.try_get("token_hash")?,
            password_hash: Some(password_hash).filter(|hash| !hash.is_empty()),
            label: row.try_get("label")?,
            created_ms: row.try_get("created_ms")?,
            expires_ms: row.try_get("expires_ms")?,
            views: row.try_get("views")?,
            last_viewed_ms: row.try_get("last_viewed_ms")?,
            range: (part != 0).then_some(SharedRange { part, times_ms }),
            creator: row.try_get("username")?,
            creator_roles: roles_from_text(row.try_get("roles")?)?,
        })
    }
}

/// Outcome of an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShareInsertion {
    Done,
    /// The recording has [`SHARES_MAX`] share links.
    TooMany,
    /// The recording is deleted.
    Gone,
    /// The creator is deleted or disabled.
    SignedOut,
}

/// Table `shares`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares<'d> {
    pub(super) database: &'d Database,
}

impl Shares<'_> {
    /// Inserts a share link of the actor and audits it. Removes expired ones of the same recording.
    pub(crate) async fn insert(
        self,
        row: &ShareRow,
        actor: &Actor,
        detail: &str,
    ) -> Result<ShareInsertion, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        if !lock_user_not_erased(&mut transaction, &row.creator_id).await? {
            return Ok(ShareInsertion::SignedOut);
        }
        if !lock_recording(&mut transaction, &row.recording_id).await? {
            return Ok(ShareInsertion::Gone);
        }
        sqlx::query("DELETE FROM shares WHERE recording_id = $1 AND expires_ms <= $2")
            .bind(&row.recording_id)
            .bind(row.created_ms)
            .execute(&mut *transaction)
            .await?;
        let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM shares WHERE recording_id = $1")
            .bind(&row.recording_id)
            .fetch_one(&mut *transaction)
            .await?;
        if count >= i64::from(SHARES_MAX) {
            return Ok(ShareInsertion::TooMany);
        }
        let range = row.range.as_ref();
        let done = sqlx::query(
            "INSERT INTO shares (id, recording_id, creator_id, token_hash, password_hash, label, created_ms, expires_ms, \
             part, start_ms, end_ms) SELECT $1, $2, u.id, $3, $4, $5, $6, $7, $9, $10, $11 FROM users AS u \
             WHERE u.id = $8 AND u.disabled = 0",
        )
        .bind(&row.id)
        .bind(&row.recording_id)
        .bind(&row.token_hash)
        .bind(row.password_hash.as_deref().unwrap_or_default())
        .bind(&row.label)
        .bind(row.created_ms)
        .bind(row.expires_ms)
        .bind(&row.creator_id)
        .bind(range.map_or(0, |range| range.part))
        .bind(milliseconds(range.map_or(0, |range| range.times_ms.start)))
        .bind(milliseconds(range.map_or(0, |range| range.times_ms.end)))
        .execute(&mut *transaction)
        .await?;
        let event = AuditEvent::done(actor, Action::ShareCreate, &row.recording_id).detail(detail);
        let is_inserted = done.rows_affected() == 1;
        let log = self.database.audit();
        let is_inserted = log.commit_change(transaction, is_inserted, row.created_ms, &event);
        Ok(match is_inserted.await? {
            true => ShareInsertion::Done,
            false => ShareInsertion::SignedOut,
        })
    }

    /// Returns the unexpired share links of a recording, newest first.
    pub(crate) async fn of(
        self,
        recording_id: &str,
        now_ms: i64,
    ) -> Result<Vec<ShareRow>, DatabaseError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM shares AS s JOIN users AS u ON u.id = s.creator_id \
             WHERE s.recording_id = $1 AND s.expires_ms > $2 ORDER BY s.created_ms DESC, s.id DESC"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(recording_id)
            .bind(now_ms)
            .fetch_all(&self.database.pool)
            .await?)
    }

    /// Returns the share link of a token, expired or not, unless its creator is disabled.
    pub(crate) async fn by_hash(self, token_hash: &str) -> Result<Option<ShareRow>, DatabaseError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM shares AS s JOIN users AS u ON u.id = s.creator_id AND u.disabled = 0 \
             WHERE s.token_hash = $1"
        );
        Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
            .bind(token_hash)
            .fetch_optional(&self.database.pool)
            .await?)
    }

    /// Deletes a share link of a recording and audits it; `false` if it does not exist.
    pub(crate) async fn delete(
        self,
        recording_id: &str,
        id: &str,
        actor: &Actor,
        now_ms: i64,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let done = sqlx::query("DELETE FROM shares WHERE recording_id = $1 AND id = $2")
            .bind(recording_id)
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        let detail = format!("share {id}");
        let event = AuditEvent::done(actor, Action::ShareRevoke, recording_id).detail(&detail);
        let log = self.database.audit();
        log.commit_change(transaction, done.rows_affected() == 1, now_ms, &event)
            .await
    }

    /// Counts a view and audits it; `false` if the share link does not exist any more.
    pub(crate) async fn count_view(
        self,
        id: &str,
        now_ms: i64,
        event: &AuditEvent<'_>,
    ) -> Result<bool, DatabaseError> {
        let mut transaction = self.database.begin().await?;
        let done =
            sqlx::query("UPDATE shares SET views = views + 1, last_viewed_ms = $1 WHERE id = $2")
                .bind(now_ms)
                .bind(id)
                .execute(&mut *transaction)
                .await?;
        let log = self.database.audit();
        log.commit_change(transaction, done.rows_affected() == 1, now_ms, event)
            .await
    }
}

fn milliseconds(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// Deletes the share links that a user has created.
pub(super) async fn delete_of_creator(
    connection: &mut sqlx::AnyConnection,
    creator_id: &str,
) -> Result<(), DatabaseError> {
    sqlx::query("DELETE FROM shares WHERE creator_id = $1")
        .bind(creator_id)
        .execute(connection)
        .await?;
    Ok(())
}
