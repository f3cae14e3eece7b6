//! Replays the changes that a client missed while it was not connected.

use super::changes::{Notices, Wanted, last_changes};
use super::{Notice, Source};
use crate::db::{Database, DatabaseError};

/// Largest number of audit rows that are read for a resumed stream.
const ROWS_MAX: i64 = 1000;

/// Changes that a client has missed.
pub(crate) struct Replay {
    pub(crate) notices: Vec<Notice>,
    /// Number of the last audit row that the notices cover.
    pub(crate) seq: i64,
}

/// Reads the changes after the audit row `last_seq`. `None` if they are too many, or if the log has no such row because
/// the database was restored: the client must reload everything.
pub(crate) async fn replay(
    database: &Database,
    source: impl Source,
    last_seq: i64,
    wanted: Wanted<'_>,
) -> Result<Option<Replay>, DatabaseError> {
    let head = database.audit().head().await?;
    if last_seq < 0 || last_seq > head || head - last_seq > ROWS_MAX {
        return Ok(None);
    }
    let rows = database.audit().after(last_seq, ROWS_MAX).await?;
    let seq = rows.last().map_or(last_seq, |row| row.seq);
    let notices_of = Notices {
        database: database.clone(),
        source,
    };
    let notices = notices_of.of_rows(&last_changes(rows)?, wanted).await?;
    Ok(Some(Replay { notices, seq }))
}
