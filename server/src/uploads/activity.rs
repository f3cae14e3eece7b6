//! Activity of recordings: of a growing one from its index, of a finished one from the database or a scan of its file.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use sortie_api::RecordingStatus;
use sortie_media::stored::SCAN_BUFFER_SIZE;
use sortie_media::{Activity, Indexer, Options};
use tokio::sync::{OnceCell, Semaphore};

use super::error::UploadError;
use super::registry::{Registry, locked};
use super::rows::Rows;
use crate::db::{MediaFacts, RecordingRow};
use crate::storage::{Storage, StorageError};

/// Longest wait for the next bytes of a growing recording.
const GROWING_WAIT: Duration = Duration::from_secs(2);
/// Files scanned at the same time.
const SCANS: usize = 2;

/// Outcome of a scan, shared by the requests that wait for it.
type ScanCell = Arc<OnceCell<Activity>>;

/// Determines the activity of recordings.
pub(super) struct Activities {
    rows: Rows,
    storage: Arc<dyn Storage>,
    registry: Arc<Registry>,
    permits: Semaphore,
    running: Mutex<HashMap<String, ScanCell>>,
}

impl Activities {
    pub(super) fn new(rows: Rows, storage: Arc<dyn Storage>, registry: Arc<Registry>) -> Self {
        Self {
            rows,
            storage,
            registry,
            permits: Semaphore::new(SCANS),
            running: Mutex::default(),
        }
    }

    /// Returns the activity of a recording. That of an open recording is known to the server that receives it; on other
    /// servers it is empty until the recording is finished.
    pub(super) async fn of(&self, row: &RecordingRow) -> Result<Activity, UploadError> {
        match row.status {
            RecordingStatus::Recording | RecordingStatus::Uploading => {
                Ok(self.of_growing(&row.id).await)
            }
            RecordingStatus::Processing | RecordingStatus::Failed | RecordingStatus::Trashed => {
                Ok(Activity::default())
            }
            RecordingStatus::Ready => match self.rows.database.activities().get(&row.id).await? {
                Some(activity) => Ok(activity),
                None => self.scan(row).await,
            },
        }
    }

    async fn of_growing(&self, id: &str) -> Activity {
        let Some(entry) = self.registry.find(id) else {
            return Activity::default();
        };
        // While a request writes, it holds the upload.
        if let Ok(open) = entry.upload.try_lock() {
            let activity = open.as_ref().and_then(|upload| upload.activity());
            return activity.unwrap_or_else(|| entry.activity.latest());
        }
        entry.activity.next(GROWING_WAIT).await
    }

    /// Scans the file of a recording that has no stored activity, and stores the result. Requests for the same recording
    /// share one scan.
    async fn scan(&self, row: &RecordingRow) -> Result<Activity, UploadError> {
        let cell = Arc::clone(locked(&self.running).entry(row.id.clone()).or_default());
        let scanned = cell
            .get_or_try_init(|| self.scan_and_store(row))
            .await
            .cloned();
        locked(&self.running).remove(&row.id);
        scanned
    }

    async fn scan_and_store(&self, row: &RecordingRow) -> Result<Activity, UploadError> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await.ok();
        let length = row.size_bytes.unsigned_abs();
        let facts = scan(&*self.storage, &row.storage_path, length).await?;
        self.rows.database.activities().set(&row.id, &facts).await?;
        Ok(facts.activity)
    }
}

/// Scans a finished file. Reads only its index if it has the sizes of the frames there, as an MP4 does.
async fn scan(storage: &dyn Storage, path: &str, length: u64) -> Result<MediaFacts, StorageError> {
    let mut indexer = Indexer::with(Options::default().stream_length(length));
    while indexer.received() < length {
        let skippable = indexer.skippable();
        if skippable >= SCAN_BUFFER_SIZE as u64 {
            indexer.skip(skippable.min(length - indexer.received()));
            continue;
        }
        let mut bytes = storage.read(path, indexer.received()..length).await?;
        while let Some(piece) = bytes.next().await {
            let piece = piece?;
            if piece.is_empty() {
                continue;
            }
            indexer.push(&piece);
            while indexer.poll_patch().is_some() {}
            if indexer.skippable() >= SCAN_BUFFER_SIZE as u64 {
                break;
            }
        }
        if indexer.received() < length && indexer.skippable() < SCAN_BUFFER_SIZE as u64 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    indexer.end();
    Ok(MediaFacts::of(&indexer))
}
