//! Hash chain: each row's hash covers its fields and the hash of the previous row.
//!
//! It detects rows that were changed, removed, moved or inserted, and a tail that was cut off without `audit_head`. It
//! does not detect an attacker who can write the whole database and recomputes all hashes. Against that, keep an export
//! elsewhere: the hash of its last row pins all rows before it.

use sha2::{Digest, Sha256};
use sortie_api::AuditVerification;

use super::super::DatabaseError;
use super::{AuditLog, AuditRow};

/// Rows of one batch.
const BATCH: i64 = 1000;

/// SHA-256 in hex over the previous hash and every field with its length, so that no two rows have the same input.
pub(super) fn hash(before: &str, row: &AuditRow) -> String {
    let (seq, at_ms) = (row.seq.to_string(), row.at_ms.to_string());
    let mut hasher = Sha256::new();
    for field in [
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
    ] {
        hasher.update((field.len() as u64).to_be_bytes());
        hasher.update(field.as_bytes());
    }
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Verifies the chain from its beginning.
struct Follower {
    expected_seq: i64,
    before: String,
}

impl Follower {
    fn new() -> Self {
        Self {
            expected_seq: 1,
            before: String::new(),
        }
    }

    /// Takes the next row; returns the number of the first row that does not follow.
    fn follow(&mut self, row: &AuditRow) -> Result<(), i64> {
        if row.seq != self.expected_seq || row.hash != hash(&self.before, row) {
            return Err(self.expected_seq);
        }
        self.expected_seq += 1;
        self.before.clone_from(&row.hash);
        Ok(())
    }
}

/// Verifies the whole chain in constant memory. Rows that are appended meanwhile may be skipped.
pub(super) async fn verify(log: AuditLog<'_>) -> Result<AuditVerification, DatabaseError> {
    // Head first: rows appended between the two reads are behind it.
    let newest: Option<i64> = sqlx::query_scalar("SELECT MAX(seq) FROM audit")
        .fetch_one(&log.database.pool)
        .await?;
    let head: Option<(i64, String)> =
        sqlx::query_as("SELECT seq, hash FROM audit_head WHERE id = 1")
            .fetch_optional(&log.database.pool)
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
        .fetch_one(&log.database.pool)
        .await?;
    if strays > 0 {
        return Ok(bad(strays, 1));
    }
    while follower.expected_seq <= head_seq {
        let rows = log.after(follower.expected_seq - 1, BATCH).await?;
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
        }
    }

    #[test]
    fn moving_text_between_fields_changes_the_hash() {
        assert_ne!(hash("", &row(1, "ab", "c")), hash("", &row(1, "a", "bc")));
    }

    #[test]
    fn every_field_and_the_previous_row_change_the_hash() {
        let plain = row(1, "s", "d");
        let changes: [fn(&mut AuditRow); 10] = [
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
        ];
        let mut seen = vec![hash("", &plain), hash("x", &plain)];
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
