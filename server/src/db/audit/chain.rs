//! Hash chain: each row's hash covers its fields and the hash of the previous row.
//!
//! Personal fields (name and address of the actor, detail) are covered by salted commitments, so that an erasure can replace
//! them: it keeps the commitments and forgets the salts. The hash of a row of an earlier version covers the fields
//! themselves; when such a row is erased, it gets commitments, and a later row (`audit.erase`) holds a digest of them.
//! Every replaced field has a fixed form, so that nothing else can be written in its place.
//!
//! The chain detects rows that were changed, removed, moved or inserted, and a tail that was cut off without `audit_head`.
//! It does not detect an attacker who can write the whole database and recomputes all hashes. Against that, keep an export
//! elsewhere: the hash of its last row pins all rows before it.

use std::collections::HashMap;

use sha2::{Digest, Sha256};
use sortie_api::AuditVerification;
use sqlx::{AnyConnection, AssertSqlSafe};

use super::super::DatabaseError;
use super::super::pool::is_sqlite;
use super::erasure::{ERASED_DETAIL, erased_name};
use super::{Action, AuditLog, AuditRow, log};
use crate::digest::{add_fields, to_hex};

/// Rows of one batch.
const BATCH: i64 = 1000;

const SALT: &str = "salt:";
const ERASED: &str = "erased:";

/// Personal fields that one commitment covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Name and address of the actor.
    Actor,
    Detail,
}

/// Returns the proof of a new row: a random salt.
pub(super) fn new_salt() -> String {
    format!("{SALT}{}", uuid::Uuid::new_v4().simple())
}

/// Whether the fields of a proof were erased.
pub(super) fn is_erased(proof: &str) -> bool {
    proof.starts_with(ERASED)
}

/// Returns the proof that replaces the salt of an erased part: its commitment.
pub(super) fn erased_proof(row: &AuditRow, part: Part) -> String {
    format!("{ERASED}{}", commitment(row, part))
}

fn proof(row: &AuditRow, part: Part) -> &str {
    match part {
        Part::Actor => &row.actor_proof,
        Part::Detail => &row.detail_proof,
    }
}

fn commitment(row: &AuditRow, part: Part) -> String {
    let proof = proof(row, part);
    if let Some(kept) = proof.strip_prefix(ERASED) {
        return kept.to_owned();
    }
    match part {
        Part::Actor => digest(["actor", proof, &row.actor_name, &row.address]),
        Part::Detail => digest(["detail", proof, &row.detail]),
    }
}

/// SHA-256 in hex over every field with its length.
fn digest<'a>(fields: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = Sha256::new();
    add_fields(&mut hasher, fields);
    to_hex(&hasher.finalize())
}

/// Hash of a row after the row with the hash `before`.
pub(super) fn hash(before: &str, row: &AuditRow) -> String {
    let (seq, at_ms) = (row.seq.to_string(), row.at_ms.to_string());
    // A row of an earlier version.
    if row.actor_proof.is_empty() && row.detail_proof.is_empty() {
        return digest([
            before,
            &seq,
            &at_ms,
            &row.actor_id,
            &row.actor_name,
            &row.via,
            &row.address,
            &row.action,
            &row.subject,
            &row.detail,
            &row.result,
        ]);
    }
    digest([
        "2",
        before,
        &seq,
        &at_ms,
        &row.actor_id,
        &commitment(row, Part::Actor),
        &row.via,
        &row.action,
        &row.subject,
        &commitment(row, Part::Detail),
        &row.result,
    ])
}

/// Digest of rows of an earlier version that got commitments, in the order of their numbers.
#[derive(Default)]
pub(super) struct Attestation {
    hasher: Sha256,
    rows: u64,
}

impl Attestation {
    /// Adds a row that has proofs.
    pub(super) fn add(&mut self, row: &AuditRow) {
        let (seq, at_ms) = (row.seq.to_string(), row.at_ms.to_string());
        let (actor, detail) = (commitment(row, Part::Actor), commitment(row, Part::Detail));
        add_fields(
            &mut self.hasher,
            [
                seq.as_str(),
                &at_ms,
                &row.actor_id,
                &actor,
                &row.via,
                &row.action,
                &row.subject,
                &detail,
                &row.result,
                &row.hash,
            ],
        );
        self.rows += 1;
    }

    /// Detail of the marker row of a batch that replaced fields in `replaced` rows.
    pub(super) fn to_text(&self, replaced: usize) -> String {
        format!("rows: {replaced}{}", self.suffix())
    }

    fn suffix(&self) -> String {
        format!(
            "; of earlier versions: {}, digest {}",
            self.rows,
            to_hex(&self.hasher.clone().finalize())
        )
    }
}

/// Verifies the chain from its beginning.
struct Follower {
    expected_seq: i64,
    before: String,
    /// Attested rows by the number of their marker, with the number of the first.
    attested: HashMap<i64, (i64, Attestation)>,
    /// Erased users and recordings whose marker must follow, with the number of the first row.
    erased: HashMap<String, i64>,
}

impl Follower {
    fn new() -> Self {
        Self {
            expected_seq: 1,
            before: String::new(),
            attested: HashMap::new(),
            erased: HashMap::new(),
        }
    }

    /// Takes the next row; returns the number of the first row that does not follow.
    fn follow(&mut self, row: &AuditRow) -> Result<(), i64> {
        let is_next = row.seq == self.expected_seq && self.has_valid_content(row);
        if !is_next {
            return Err(self.expected_seq);
        }
        self.expected_seq += 1;
        self.before.clone_from(&row.hash);
        Ok(())
    }

    fn has_valid_content(&mut self, row: &AuditRow) -> bool {
        match row.attested_by {
            Some(marker) if marker > row.seq && !row.actor_proof.is_empty() => {
                let (_, attestation) = self.attested.entry(marker).or_insert_with(|| {
                    let attestation = Attestation::default();
                    (row.seq, attestation)
                });
                attestation.add(row);
            }
            Some(_) => return false,
            None if row.hash != hash(&self.before, row) => return false,
            None => {}
        }
        if is_erased(&row.actor_proof) {
            if row.actor_name != erased_name(row) || !row.address.is_empty() {
                return false;
            }
            let erased = match row.actor_id.as_str() {
                "" => row.subject.as_str(),
                actor_id => actor_id,
            };
            self.erased.entry(erased.to_owned()).or_insert(row.seq);
        }
        if is_erased(&row.detail_proof) {
            if row.detail != ERASED_DETAIL {
                return false;
            }
            if !is_erased(&row.actor_proof) {
                self.erased.entry(row.subject.clone()).or_insert(row.seq);
            }
        }
        if row.action == Action::AuditErase.name() {
            self.erased.remove(&row.subject);
            let attested = self.attested.remove(&row.seq);
            let expected = attested.map(|(_, rows)| rows).unwrap_or_default();
            return row.detail.ends_with(&expected.suffix());
        }
        true
    }

    /// Number of the first erased row whose marker is missing.
    fn without_marker(&self) -> Option<i64> {
        let attested = self.attested.values().map(|(seq, _)| *seq);
        attested.chain(self.erased.values().copied()).min()
    }
}

/// Verifies the whole chain. Memory depends on the number of erased users only. Rows that are appended meanwhile may be
/// skipped.
pub(super) async fn verify(log: AuditLog<'_>) -> Result<AuditVerification, DatabaseError> {
    // One snapshot: an erasure that commits meanwhile must be seen with its marker or not at all.
    let is_sqlite = is_sqlite(&*log.database.pool.acquire().await?);
    let begin = if is_sqlite {
        "BEGIN"
    } else {
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    };
    let mut snapshot = log.database.pool.begin_with(begin).await?;
    let verification = verify_snapshot(&mut snapshot).await?;
    snapshot.rollback().await?;
    Ok(verification)
}

async fn verify_snapshot(
    connection: &mut AnyConnection,
) -> Result<AuditVerification, DatabaseError> {
    let newest: Option<i64> = sqlx::query_scalar("SELECT MAX(seq) FROM audit")
        .fetch_one(&mut *connection)
        .await?;
    let head: Option<(i64, String)> =
        sqlx::query_as("SELECT seq, hash FROM audit_head WHERE id = 1")
            .fetch_optional(&mut *connection)
            .await?;
    let (head_seq, head_hash) = head.unwrap_or_default();
    let mut follower = Follower::new();
    let bad = |rows: i64, seq: i64| AuditVerification {
        ok: false,
        rows: rows.unsigned_abs(),
        first_bad_seq: Some(seq.unsigned_abs()),
    };
    // Compares counts, not numbers: a row renumbered to 0 is an additional row.
    let strays: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM audit WHERE seq < 1")
        .fetch_one(&mut *connection)
        .await?;
    if strays > 0 {
        return Ok(bad(strays, 1));
    }
    while follower.expected_seq <= head_seq {
        let sql = format!("{} WHERE seq > $1 ORDER BY seq LIMIT {BATCH}", log::SELECT);
        let rows: Vec<AuditRow> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(follower.expected_seq - 1)
            .fetch_all(&mut *connection)
            .await?;
        if rows.is_empty() {
            break;
        }
        for row in rows.iter().take_while(|row| row.seq <= head_seq) {
            if let Err(seq) = follower.follow(row) {
                return Ok(bad(seq, seq));
            }
        }
        if rows.last().is_some_and(|row| row.seq > head_seq) {
            break;
        }
    }
    let followed = follower.expected_seq - 1;
    let whole = followed == head_seq
        && follower.before == head_hash
        && newest.unwrap_or_default() <= head_seq;
    if !whole {
        // A tail is missing, or rows follow the end in the head row.
        let first_bad = if followed < head_seq {
            followed + 1
        } else if newest.unwrap_or_default() > head_seq {
            head_seq + 1
        } else {
            followed.max(1)
        };
        return Ok(bad(followed, first_bad));
    }
    if let Some(seq) = follower.without_marker() {
        return Ok(bad(followed, seq));
    }
    Ok(AuditVerification {
        ok: true,
        rows: followed.unsigned_abs(),
        first_bad_seq: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seq: i64, subject: &str, detail: &str) -> AuditRow {
        AuditRow {
            seq,
            at_ms: 1_795_253_400_000 + seq,
            actor_id: "u".to_owned(),
            actor_name: "ann".to_owned(),
            via: "cookie".to_owned(),
            address: "192.0.2.1".to_owned(),
            action: "recording.view".to_owned(),
            subject: subject.to_owned(),
            detail: detail.to_owned(),
            result: "ok".to_owned(),
            hash: String::new(),
            actor_proof: "salt:1".to_owned(),
            detail_proof: "salt:2".to_owned(),
            attested_by: None,
        }
    }

    /// The same row as written by an earlier version.
    fn old(row: AuditRow) -> AuditRow {
        AuditRow {
            actor_proof: String::new(),
            detail_proof: String::new(),
            ..row
        }
    }

    #[test]
    fn erasure_keeps_the_hash_of_a_row() {
        let mut row = row(1, "s", "d");
        let before = hash("", &row);
        row.actor_proof = erased_proof(&row, Part::Actor);
        row.actor_name = erased_name(&row);
        row.address = String::new();
        assert_eq!(hash("", &row), before);
        row.detail_proof = erased_proof(&row, Part::Detail);
        ERASED_DETAIL.clone_into(&mut row.detail);
        assert_eq!(hash("", &row), before);
    }

    #[test]
    fn moving_text_between_fields_changes_the_hash() {
        assert_ne!(hash("", &row(1, "ab", "c")), hash("", &row(1, "a", "bc")));
    }

    #[test]
    fn every_field_and_the_previous_row_change_the_hash() {
        for plain in [row(1, "s", "d"), old(row(1, "s", "d"))] {
            check_changes(&plain);
        }
    }

    fn check_changes(plain: &AuditRow) {
        let changes: [fn(&mut AuditRow); 12] = [
            |row| row.seq += 1,
            |row| row.at_ms += 1,
            |row| row.actor_id.push('x'),
            |row| row.actor_name.push('x'),
            |row| row.via.push('x'),
            |row| row.address.push('x'),
            |row| row.action.push('x'),
            |row| row.subject.push('x'),
            |row| row.detail.push('x'),
            |row| row.result.push('x'),
            |row| row.actor_proof.push('x'),
            |row| row.detail_proof.push('x'),
        ];
        let mut seen = vec![hash("", plain), hash("x", plain)];
        for change in changes {
            let mut changed = plain.clone();
            change(&mut changed);
            seen.push(hash("", &changed));
        }
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }
}
