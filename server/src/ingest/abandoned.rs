//! Uploads whose server is gone, where several share a storage: one of the others finishes them.

use std::sync::Arc;
use std::time::Duration;

use sortie_api::RecordingStatus;
use sortie_tus::server::UploadLength;

use super::slot::{Interrupted, declared_length};
use super::{IngestError, Inner};
use crate::catalog::UploadKind;

/// A server says about every five seconds that it is at it; one that is slow to say so is not gone yet. What is silent
/// at a living server that one sees to.
const GRACE: Duration = Duration::from_secs(20);

/// Takes up what no server has been heard of for somewhat longer than a silent sender is waited for.
pub(super) async fn take_up(inner: &Arc<Inner>) {
    let abandoned = match inner.storage.abandoned(inner.silence + GRACE).await {
        Ok(abandoned) => abandoned,
        Err(error) => {
            tracing::error!("cannot look for uploads of servers that are gone: {error}");
            return;
        }
    };
    for id in abandoned {
        if let Err(error) = inner.take_up(&id).await {
            tracing::error!(
                recording = id,
                "cannot take up a recording of another server, will try again: {error}"
            );
        }
    }
}

impl Inner {
    async fn take_up(&self, id: &str) -> Result<(), IngestError> {
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
