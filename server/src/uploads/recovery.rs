//! Recovery of uploads that an earlier run, or another server, left open.
//!
//! Where several servers share a storage, one of the others finishes the uploads of a dead server. The lease table
//! shows when a lease was last renewed, by the database's clock. That clock may be set, and the whole installation may
//! have been down: then every lease looks stale. So a server takes over an upload only after it has seen the same lease
//! unchanged for a while of its own attended time, and has itself been reachable for the silence limit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use sortie_api::RecordingStatus;
use sortie_tus::server::UploadLength;

use super::error::UploadError;
use super::reaper::Reaper;
use super::registry::{Interrupted, Registry, locked};
use super::rows::{Rows, declared_length};
use crate::db::{DatabaseError, UploadKind};
use crate::storage::{Replicated, StaleLease, Storage, is_shared};

/// A live server renews its leases about every ten seconds; a slow server is not dead yet.
const GRACE: Duration = Duration::from_secs(20);
/// Pending finishes that run concurrently after a start.
const CONCURRENT_FINISHES: usize = 4;

pub(super) struct Recovery {
    rows: Rows,
    storage: Arc<dyn Storage>,
    registry: Arc<Registry>,
    reaper: Arc<Reaper>,
    silence: Duration,
    /// Uploads of servers that seem to be dead.
    stale: Mutex<StaleUploads>,
}

impl Recovery {
    pub(super) fn new(
        rows: Rows,
        storage: Arc<dyn Storage>,
        registry: Arc<Registry>,
        reaper: Arc<Reaper>,
        silence: Duration,
    ) -> Self {
        Self {
            rows,
            storage,
            registry,
            reaper,
            silence,
            stale: Mutex::default(),
        }
    }

    /// Adds the open uploads of an earlier run to the registry.
    pub(super) async fn recover(&self) -> Result<(), DatabaseError> {
        for row in self.rows.database.recordings().unfinished().await? {
            // Another server may be writing to a shared upload. If not, its lease becomes stale.
            if !matches!(is_shared(&*self.storage, &row.id).await, Ok(false)) {
                continue;
            }
            let entry = self.registry.entry(&row.id);
            entry.touch();
            let length = self.storage.growing_length(&row.id).await;
            let size_bytes = length.unwrap_or_default();
            let mut state = locked(&entry.state);
            state.progress.size_bytes = size_bytes;
            let processing = row.status == RecordingStatus::Processing;
            if row.kind == UploadKind::Final {
                state.pending_finish = Some(Interrupted(false));
            } else if processing || declared_length(&row) == UploadLength::Known(size_bytes) {
                state.pending_finish = Some(Interrupted(row.interrupted));
            }
        }
        Ok(())
    }

    /// Starts the silence limit of every open upload: the server answers requests from now on.
    pub(super) fn start_silence(&self) {
        let clock = self.registry.clock();
        clock.tick();
        let now = clock.now();
        locked(&self.stale).start(now);
        for entry in self.registry.entries() {
            locked(&entry.state).last_activity = now;
        }
    }

    /// Finishes uploads that an earlier run had received completely.
    pub(super) async fn finish_pending(&self) {
        let entries = self.registry.entries().into_iter();
        let pending: Vec<_> = entries
            .filter_map(|entry| {
                let interrupted = entry.state().pending_finish?;
                Some((entry, interrupted))
            })
            .collect();
        stream::iter(pending)
            .for_each_concurrent(CONCURRENT_FINISHES, |(entry, interrupted)| async move {
                // A locked upload has a request already.
                let Ok(open) = entry.upload.try_lock() else {
                    return;
                };
                self.reaper.close_or_retry(&entry, open, interrupted).await;
            })
            .await;
    }

    /// Finishes the uploads of dead servers.
    pub(super) async fn take_over_abandoned(&self) {
        let Some(replicated) = self.storage.replicated() else {
            return;
        };
        let stale = match replicated.stale(self.silence).await {
            Ok(stale) => stale,
            Err(error) => {
                tracing::error!("cannot look for uploads of dead servers: {error}");
                return;
            }
        };
        let now = self.registry.clock().now();
        let abandoned = locked(&self.stale).observe(stale, now, self.silence);
        for lease in abandoned {
            if let Err(error) = self.take_over(replicated, &lease).await {
                tracing::error!(
                    recording = lease.id,
                    "cannot take over a recording of another server, will try again: {error}"
                );
            }
        }
    }

    async fn take_over(
        &self,
        replicated: &dyn Replicated,
        lease: &StaleLease,
    ) -> Result<(), UploadError> {
        if !replicated.claim(lease).await? {
            return Ok(());
        }
        let id = &lease.id;
        let entry = self.registry.entry(id);
        let Ok(open) = entry.upload.try_lock() else {
            // The sender has reached this server meanwhile.
            return Ok(());
        };
        let row = self.rows.row(id).await?;
        let interrupted = match row.status {
            RecordingStatus::Processing => row.interrupted,
            _ if row.kind == UploadKind::Final => false,
            _ => {
                let length = self.storage.growing_length(id).await?;
                declared_length(&row) != UploadLength::Known(length)
            }
        };
        tracing::info!(recording = id, "taking over a recording of another server");
        self.reaper
            .close(&entry, open, Interrupted(interrupted))
            .await
    }
}

/// Stale leases, with the attended time at which each was first seen. Pure.
#[derive(Debug, Default)]
struct StaleUploads {
    reachable_since: Duration,
    seen: HashMap<String, (i64, Duration)>,
}

impl StaleUploads {
    /// The server answers requests from this attended time on.
    fn start(&mut self, now: Duration) {
        self.reachable_since = now;
        self.seen.clear();
    }

    /// Compares the stale leases at this attended time with the earlier ones; returns those that are abandoned.
    fn observe(
        &mut self,
        stale: Vec<StaleLease>,
        now: Duration,
        silence: Duration,
    ) -> Vec<StaleLease> {
        let mut seen = HashMap::with_capacity(stale.len());
        let reachable = now.saturating_sub(self.reachable_since);
        let mut abandoned = Vec::new();
        for lease in stale {
            let first = match self.seen.get(&lease.id) {
                Some((renewed_ms, first)) if *renewed_ms == lease.renewed_ms => *first,
                _ => now,
            };
            seen.insert(lease.id.clone(), (lease.renewed_ms, first));
            let unchanged = now.saturating_sub(first) >= GRACE;
            if unchanged && (lease.processing || reachable >= silence) {
                abandoned.push(lease);
            }
        }
        self.seen = seen;
        abandoned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(60);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(1000 + seconds)
    }

    fn stale(renewed_ms: i64, processing: bool) -> Vec<StaleLease> {
        let id = "one".to_owned();
        vec![StaleLease {
            id,
            renewed_ms,
            processing,
        }]
    }

    fn started() -> StaleUploads {
        let mut uploads = StaleUploads::default();
        uploads.start(seconds(0));
        uploads
    }

    #[test]
    fn upload_is_abandoned_after_grace_and_reachability_of_this_server() {
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
    fn set_database_clock_abandons_no_upload_of_a_live_server() {
        let mut uploads = started();
        assert!(uploads.observe(vec![], seconds(100), SILENCE).is_empty());
        // The clock was set an hour ahead: all leases look stale until their servers renew them.
        let set = uploads.observe(stale(1, false), seconds(105), SILENCE);
        assert!(set.is_empty());
        let renewed = uploads.observe(stale(2, false), seconds(115), SILENCE);
        assert!(renewed.is_empty());
        assert!(uploads.observe(vec![], seconds(120), SILENCE).is_empty());
        let again = uploads.observe(stale(2, false), seconds(125), SILENCE);
        assert!(again.is_empty(), "renewed in between");
    }
}
