//! Uploads whose server is gone, where several share a storage: one of the others finishes them.
//!
//! The lease table tells when a server was last heard, by the database's clock. That clock may be set, and the whole
//! installation may have been down: then every lease looks old. So an upload is taken over only if this server has seen
//! the same lease unchanged for a while of its own attended time, and has itself been there for the silence.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sortie_api::RecordingStatus;
use sortie_tus::server::UploadLength;

use super::entry::{Interrupted, declared_length, locked};
use super::{Inner, UploadError};
use crate::db::UploadKind;
use crate::storage::Stale;

/// A living server is heard about every ten seconds; one that is slow is not gone yet.
const GRACE: Duration = Duration::from_secs(20);

/// Uploads that look abandoned, with the attended time at which each was first seen so. Pure.
#[derive(Debug, Default)]
pub(super) struct StaleUploads {
    listening_since: Duration,
    seen: HashMap<String, (i64, Duration)>,
}

impl StaleUploads {
    /// The server answers from this attended time on.
    pub(super) fn start(&mut self, now: Duration) {
        self.listening_since = now;
        self.seen.clear();
    }

    /// Takes what the lease table shows at this attended time; returns what is abandoned.
    fn observe(&mut self, stale: Vec<Stale>, now: Duration, silence: Duration) -> Vec<Stale> {
        let mut seen = HashMap::with_capacity(stale.len());
        let here = now.saturating_sub(self.listening_since);
        let mut abandoned = Vec::new();
        for upload in stale {
            let first = match self.seen.get(&upload.id) {
                Some((heard_ms, first)) if *heard_ms == upload.heard_ms => *first,
                _ => now,
            };
            seen.insert(upload.id.clone(), (upload.heard_ms, first));
            let there = now.saturating_sub(first) >= GRACE;
            if there && (upload.processing || here >= silence) {
                abandoned.push(upload);
            }
        }
        self.seen = seen;
        abandoned
    }
}

/// Finishes uploads of which no server was heard for somewhat longer than the silence of a sender.
pub(super) async fn take_up(inner: &Arc<Inner>) {
    let stale = match inner.storage.stale(inner.silence).await {
        Ok(stale) => stale,
        Err(error) => {
            tracing::error!("cannot look for uploads of servers that are gone: {error}");
            return;
        }
    };
    let now = inner.attended();
    let abandoned = locked(&inner.stale).observe(stale, now, inner.silence);
    for upload in abandoned {
        let taken = match inner.storage.claim(&upload).await {
            Ok(true) => inner.take_up(&upload.id).await,
            Ok(false) => continue,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = taken {
            tracing::error!(
                recording = upload.id,
                "cannot take up a recording of another server, will try again: {error}"
            );
        }
    }
}

impl Inner {
    async fn take_up(&self, id: &str) -> Result<(), UploadError> {
        let slot = self.slot(id);
        let Ok(state) = slot.state.try_lock() else {
            // Its sender has come here meanwhile.
            return Ok(());
        };
        let row = self.row(id).await?;
        let interrupted = match row.status {
            RecordingStatus::Processing => row.interrupted,
            _ if row.kind == UploadKind::Final => false,
            _ => {
                let length = self.storage.growing_length(id).await?;
                declared_length(&row) != UploadLength::Known(length)
            }
        };
        tracing::info!(recording = id, "taking up a recording of another server");
        self.settle(&slot, state, Interrupted(interrupted)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(60);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(1000 + seconds)
    }

    fn stale(heard_ms: i64, processing: bool) -> Vec<Stale> {
        let id = "one".to_owned();
        vec![Stale {
            id,
            heard_ms,
            processing,
        }]
    }

    fn started() -> StaleUploads {
        let mut uploads = StaleUploads::default();
        uploads.start(seconds(0));
        uploads
    }

    #[test]
    fn upload_is_abandoned_after_silence_of_this_server_and_grace() {
        let mut uploads = started();
        let mut observe = |at| uploads.observe(stale(1, false), seconds(at), SILENCE).len();
        assert_eq!([0, 30, 59, 60].map(&mut observe), [0, 0, 0, 1]);
        let mut late = started();
        let mut observe = |at| late.observe(stale(1, false), seconds(at), SILENCE).len();
        assert_eq!([100, 119, 120].map(&mut observe), [0, 0, 1]);
    }

    #[test]
    fn pending_finish_waits_for_grace_only() {
        let mut uploads = started();
        let mut observe = |at| uploads.observe(stale(1, true), seconds(at), SILENCE).len();
        assert_eq!([0, 19, 20].map(&mut observe), [0, 0, 1]);
    }

    #[test]
    fn database_clock_that_was_set_takes_nothing_from_living_server() {
        let mut uploads = started();
        assert!(uploads.observe(vec![], seconds(100), SILENCE).is_empty());
        // The clock was set an hour ahead: all leases look old, until their servers are heard again.
        let set = uploads.observe(stale(1, false), seconds(105), SILENCE);
        assert!(set.is_empty());
        let heard = uploads.observe(stale(2, false), seconds(115), SILENCE);
        assert!(heard.is_empty());
        assert!(uploads.observe(vec![], seconds(120), SILENCE).is_empty());
        let again = uploads.observe(stale(2, false), seconds(125), SILENCE);
        assert!(again.is_empty(), "it was heard in between");
    }
}
