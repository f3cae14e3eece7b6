//! Progress of growing recordings, published to the other servers that share the storage.

use std::sync::Arc;

use super::registry::{Registry, locked};
use super::rows::Rows;
use crate::db::Growth;
use crate::storage::{Storage, is_shared};

/// Publishes progress through the database.
pub(super) struct ProgressPublisher {
    rows: Rows,
    storage: Arc<dyn Storage>,
    registry: Arc<Registry>,
}

impl ProgressPublisher {
    pub(super) fn new(rows: Rows, storage: Arc<dyn Storage>, registry: Arc<Registry>) -> Self {
        Self {
            rows,
            storage,
            registry,
        }
    }

    /// Publishes the progress of all shared recordings that have grown since the last call, in one statement. Lists
    /// show it; no decision depends on it.
    pub(super) async fn publish(&self) {
        let (mut grown, mut published) = (Vec::new(), Vec::new());
        for entry in self.registry.entries() {
            let state = entry.state();
            let progress = state.progress;
            if progress.size_bytes <= state.published_bytes
                || !matches!(is_shared(&*self.storage, &entry.id).await, Ok(true))
            {
                continue;
            }
            grown.push(Growth {
                id: entry.id.clone(),
                size_bytes: progress.size_bytes,
                duration_ms: progress.duration_ms,
                format: progress.format,
            });
            published.push((entry, progress.size_bytes));
        }
        if let Err(error) = self.rows.database.upload_progress().note(&grown).await {
            tracing::info!("cannot publish the progress of recordings to other servers: {error}");
            return;
        }
        for (entry, size_bytes) in published {
            locked(&entry.state).published_bytes = size_bytes;
        }
    }
}
