//! Replaces a user's personal data in the audit log.
//!
//! The name becomes a pseudonym; address and detail are removed. The proofs keep the commitments, so that the hash of a row
//! still covers what it held, and lose the salts, so that a guess cannot be compared with a commitment. A row of an
//! earlier version, whose hash covers the texts themselves, gets commitments that the marker row of this batch attests.

use sha2::{Digest, Sha256};
use sqlx::{AnyConnection, AssertSqlSafe, FromRow as _, Row as _};

use super::super::DatabaseError;
use super::chain::{self, Attestation, Part};
use super::{Action, Actor, AuditEvent, AuditLog, AuditRow, append, log};
use crate::digest::to_hex;

/// Rows per transaction, which blocks other writers of the log.
const BATCH: i64 = if cfg!(test) { 3 } else { 200 };
/// Replaces an erased detail.
pub(super) const ERASED_DETAIL: &str = "erased";

/// Selects the rows with personal data of a user.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Personal<'a> {
    /// Rows about the user's actions.
    Actor(&'a str),
    /// Rows about the user or one of the user's recordings.
    Subject(&'a str),
}

/// Returns the name that replaces the name of an erased user.
pub(crate) fn pseudonym(user_id: &str) -> String {
    format!("erased-{}", to_hex(&Sha256::digest(user_id)[..6]))
}

impl Personal<'_> {
    fn id(&self) -> &str {
        match self {
            Self::Actor(id) | Self::Subject(id) => id,
        }
    }

    fn erases_actor(&self, row: &AuditRow) -> bool {
        matches!(self, Self::Actor(_)) && !chain::is_erased(&row.actor_proof)
    }

    /// Whether the detail may hold personal data. The details of events hold IDs; those of settings and runs of the
    /// server name no user.
    fn erases_detail(&self, row: &AuditRow) -> bool {
        let action = row.action.as_str();
        let is_personal = match self {
            Self::Subject(_) => true,
            Self::Actor(_) => ["recording.", "session.", "sign_in", "user.", "token."]
                .iter()
                .any(|prefix| action.starts_with(prefix)),
        };
        let holds_id = matches!(action, "session.delete" | "recording.gone");
        let is_about_erasure = [Action::UserErase, Action::AuditErase]
            .iter()
            .any(|it| it.name() == action);
        is_personal
            && !holds_id
            && !is_about_erasure
            && !row.detail.is_empty()
            && !chain::is_erased(&row.detail_proof)
    }
}

/// Erases personal data in some rows after `after`. Returns the position of the last row that was read.
pub(super) async fn erase_batch(
    log: AuditLog<'_>,
    personal: Personal<'_>,
    after: Option<(i64, i64)>,
    now_ms: i64,
) -> Result<Option<(i64, i64)>, DatabaseError> {
    let column = match personal {
        Personal::Actor(_) => "actor_id",
        Personal::Subject(_) => "subject",
    };
    let (at_ms, seq) = after.unwrap_or((i64::MIN, i64::MIN));
    let mut transaction = log.database.pool.begin().await?;
    // Locks the head first: the marker row of this batch has the next number.
    let head: i64 =
        sqlx::query_scalar("UPDATE audit_head SET seq = seq WHERE id = 1 RETURNING seq")
            .fetch_one(&mut *transaction)
            .await?;
    let sql = format!(
        "{} WHERE {column} = $1 AND (at_ms, seq) > ($2, $3) ORDER BY at_ms, seq LIMIT {BATCH}",
        log::SELECT
    );
    let found = sqlx::query(AssertSqlSafe(sql))
        .bind(personal.id().to_owned())
        .bind(at_ms)
        .bind(seq)
        .fetch_all(&mut *transaction)
        .await?;
    let mut rows = Vec::with_capacity(found.len());
    for row in &found {
        rows.push(AuditRow::from_row(row)?);
    }
    let last = rows.last().map(|row| (row.at_ms, row.seq));
    rows.retain(|row| personal.erases_actor(row) || personal.erases_detail(row));
    if rows.is_empty() {
        transaction.rollback().await?;
        return Ok(last);
    }
    // Verification reads rows in the order of their numbers.
    rows.sort_by_key(|row| row.seq);
    let mut attestation = Attestation::default();
    for row in &mut rows {
        if row.actor_proof.is_empty() {
            let is_intact =
                row.hash == chain::hash(&hash_before(&mut transaction, row).await?, row);
            row.actor_proof = chain::new_salt();
            row.detail_proof = chain::new_salt();
            // A row that was changed before stays a broken one.
            if is_intact {
                attestation.add(row);
                row.attested_by = Some(head + 1);
            }
        }
        let (actor, detail) = (personal.erases_actor(row), personal.erases_detail(row));
        if actor {
            row.actor_proof = chain::erased_proof(row, Part::Actor);
            row.actor_name = pseudonym(&row.actor_id);
            row.address = String::new();
        }
        if detail {
            row.detail_proof = chain::erased_proof(row, Part::Detail);
            ERASED_DETAIL.clone_into(&mut row.detail);
        }
        update(&mut transaction, row).await?;
    }
    let actor = Actor::system();
    let detail = attestation.to_text(rows.len());
    let event = AuditEvent::done(&actor, Action::AuditErase, personal.id()).detail(&detail);
    append(&mut transaction, now_ms, &event).await?;
    transaction.commit().await?;
    Ok(last)
}

/// Hash of the row before.
async fn hash_before(
    connection: &mut AnyConnection,
    row: &AuditRow,
) -> Result<String, DatabaseError> {
    let before = sqlx::query("SELECT hash FROM audit WHERE seq = $1")
        .bind(row.seq - 1)
        .fetch_optional(connection)
        .await?;
    Ok(match before {
        Some(before) => before.try_get("hash")?,
        None => String::new(),
    })
}

async fn update(connection: &mut AnyConnection, row: &AuditRow) -> Result<(), DatabaseError> {
    sqlx::query(
        "UPDATE audit SET actor_name = $1, address = $2, detail = $3, actor_proof = $4, detail_proof = $5, \
         attested_by = $6 WHERE seq = $7",
    )
    .bind(&row.actor_name)
    .bind(&row.address)
    .bind(&row.detail)
    .bind(&row.actor_proof)
    .bind(&row.detail_proof)
    .bind(row.attested_by)
    .bind(row.seq)
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
