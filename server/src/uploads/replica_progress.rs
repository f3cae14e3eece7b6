//! What other servers can show of a recording that grows here, where several share a storage.

use super::Inner;
use super::entry::locked;
use crate::db::Growth;

impl Inner {
    /// Writes down how far those recordings are that have grown here since the last time: one statement for all of them,
    /// and none where this is the only server. It is for lists; nothing is decided by it.
    pub(super) async fn tell_growth(&self) {
        let slots: Vec<_> = locked(&self.slots).values().cloned().collect();
        let (mut grown, mut told) = (Vec::new(), Vec::new());
        for slot in slots {
            let seen = *locked(&slot.seen);
            let progress = seen.progress;
            if progress.size_bytes <= seen.told_bytes
                || !matches!(self.storage.is_shared(&slot.id).await, Ok(true))
            {
                continue;
            }
            grown.push(Growth {
                id: slot.id.clone(),
                size_bytes: progress.size_bytes,
                duration_ms: progress.duration_ms,
                format: progress.format,
            });
            told.push((slot, progress.size_bytes));
        }
        if let Err(error) = self.database.note_growth(&grown).await {
            tracing::info!("cannot tell other servers how far recordings are: {error}");
            return;
        }
        for (slot, size_bytes) in told {
            locked(&slot.seen).told_bytes = size_bytes;
        }
    }
}
