//! Replaces a user's personal data in the audit log.
//!
//! The name becomes a pseudonym; address and detail are removed. The proofs keep the commitments, so that the hash of a row
//! still covers what it held, and lose the salts, so that a guess cannot be compared with a commitment. A row of an
//! earlier version, whose hash covers the texts themselves, gets commitments that the marker row of this batch attests.

use sha2::{Digest, Sha256};
use sqlx::{AnyConnection, AssertSqlSafe, FromRow as _, Row as _};

use super::super::DatabaseError;
use super::chain::{self, Attestation, Part};
use super::{Action, Actor, AuditEvent, AuditLog, AuditRow, GoneRecording, append, log};
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
    /// Rows about the user, or one of the user's recordings or API tokens.
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

    /// Whether name and address are those of the user. A row without an actor, such as a failed sign-in, has the address of
    /// a client that has named the subject.
    fn erases_actor(&self, row: &AuditRow) -> bool {
        let is_personal = match self {
            Self::Actor(_) => true,
            Self::Subject(_) => row.actor_id.is_empty() && !row.address.is_empty(),
        };
        is_personal && !chain::is_erased(&row.actor_proof)
    }

    fn erases_detail(&self, row: &AuditRow) -> bool {
        has_personal_detail(&row.action)
            && !row.detail.is_empty()
            && !chain::is_erased(&row.detail_proof)
    }
}

/// Whether details of this action may hold texts of users, such as names of files. Other details are words of the server,
/// IDs, and settings; webhooks and event streams read some of them.
fn has_personal_detail(action: &str) -> bool {
    if action == Action::UserErase.name() {
        return false;
    }
    [Action::Change, Action::Sweep]
        .iter()
        .any(|it| it.name() == action)
        || ["sign_in", "user.", "token."]
            .iter()
            .any(|prefix| action.starts_with(prefix))
}

/// Returns the name of the actor of an erased row.
pub(super) fn erased_name(row: &AuditRow) -> String {
    if row.actor_id.is_empty() {
        return String::new();
    }
    pseudonym(&row.actor_id)
}

/// Removes personal data from a new row if the erasure of its actor or subject was requested: a server may know a deleted
/// user for some seconds. Call it under the lock of the log's head, for which erasures wait, too.
pub(super) async fn mask(
    connection: &mut AnyConnection,
    row: &mut AuditRow,
) -> Result<(), DatabaseError> {
    let erased: Vec<String> =
        sqlx::query_scalar("SELECT user_id FROM erasures WHERE user_id IN ($1, $2)")
            .bind(&row.actor_id)
            .bind(&row.subject)
            .fetch_all(connection)
            .await?;
    for personal in erased
        .iter()
        .flat_map(|id| [Personal::Actor(id), Personal::Subject(id)])
    {
        let is_meant = match personal {
            Personal::Actor(id) => row.actor_id == id,
            Personal::Subject(id) => row.subject == id,
        };
        if !is_meant {
            continue;
        }
        if personal.erases_actor(row) {
            row.actor_name = erased_name(row);
            row.address = String::new();
        }
        if personal.erases_detail(row) {
            ERASED_DETAIL.clone_into(&mut row.detail);
        }
    }
    Ok(())
}

/// Returns some objects whose rows may hold personal data of a user: recordings that are deleted, further parts among
/// them, and API tokens. `after` is the position (time and number of a row) that the previous call returned, `None` after
/// the last objects.
pub(super) async fn objects(
    log: AuditLog<'_>,
    user_id: &str,
    after: Option<(i64, i64)>,
) -> Result<(Vec<String>, Option<(i64, i64)>), DatabaseError> {
    let (at_ms, seq) = after.unwrap_or((i64::MIN, i64::MIN));
    // The detail begins with the owner. The condition on other rows skips objects without such data.
    let rows = sqlx::query(
        "SELECT g.at_ms, g.seq, g.subject, g.detail, g.action FROM audit AS g \
         WHERE ((g.action = 'recording.gone' AND g.detail LIKE $1) OR (g.action = 'token.create' AND g.actor_id = $2)) \
         AND (g.at_ms, g.seq) > ($3, $4) AND EXISTS (SELECT 1 FROM audit AS o WHERE o.subject = g.subject \
         AND o.action IN ('recording.change', 'recording.sweep', 'token.create', 'token.revoke') \
         AND o.detail NOT IN ('', 'erased')) ORDER BY g.at_ms, g.seq LIMIT $5",
    )
    .bind(format!("{user_id}%"))
    .bind(user_id.to_owned())
    .bind(at_ms)
    .bind(seq)
    .bind(BATCH)
    .fetch_all(&log.database.pool)
    .await?;
    let mut ids = Vec::with_capacity(rows.len());
    for row in &rows {
        let detail: &str = row.try_get("detail")?;
        let is_token = row.try_get::<&str, _>("action")? == Action::TokenCreate.name();
        if is_token || GoneRecording::parse(detail).user_id == user_id {
            ids.push(row.try_get("subject")?);
        }
    }
    let last = rows.last().map(|row| {
        let position = (row.try_get("at_ms")?, row.try_get("seq")?);
        Ok::<_, sqlx::Error>(position)
    });
    Ok((ids, last.transpose()?))
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
    let mut transaction = log.database.begin().await?;
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
            row.actor_name = erased_name(row);
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
