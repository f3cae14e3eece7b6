//! Live view of a file that the recorder of an appliance writes. The recorder knows nothing of viewers: while there is
//! one, a task follows the durable length of the file, indexes what is new and announces it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use sortie_media::{EntryPoint, HEAD_ROOM, Indexer};

use super::{Edge, LiveFeed, Playable, ViewError};
use crate::storage::{Storage, StorageError};
use crate::uploads::registry::locked;

/// Interval at which the length of the file is read; fragments last half a second.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(250);
/// Bytes of one read while indexing.
const INDEX_READ: u64 = 16 * 1024;
/// Polls without a viewer after which the file is no longer followed.
const IDLE_POLLS: u32 = 40;

/// A file that another part of this process writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileProgress {
    /// Path in the storage while the file grows.
    pub(crate) growing_path: String,
    /// Path once it is finished.
    pub(crate) finished_path: String,
    /// Durable bytes of the file.
    pub(crate) size_bytes: u64,
}

/// One followed file.
pub(in crate::uploads) struct GrowingFile {
    pub(super) live: Arc<LiveFeed>,
    pub(super) growing_path: String,
    pub(super) finished_path: String,
    indexer: tokio::sync::Mutex<Indexer>,
}

/// Followed files; at most one, because an appliance writes one file at a time.
#[derive(Default)]
pub(super) struct GrowingFiles(Mutex<Option<Arc<GrowingFile>>>);

impl GrowingFiles {
    /// Returns the feed of the file in progress. `progress` returns the state of that file; `None` once it is finished.
    pub(super) async fn follow(
        self: &Arc<Self>,
        storage: &Arc<dyn Storage>,
        progress: impl Fn() -> Option<FileProgress> + Send + Sync + 'static,
    ) -> Result<Arc<GrowingFile>, ViewError> {
        let now = progress().ok_or(ViewError::NothingYet)?;
        let (file, is_new) = self.get_or_insert(&now);
        if is_new {
            let (files, storage) = (Arc::clone(self), Arc::clone(storage));
            let followed = Arc::clone(&file);
            tokio::spawn(async move {
                followed.run(&*storage, progress).await;
                files.remove(&followed);
            });
        }
        // Only the first caller reads the file; the others wait for it.
        file.advance(&**storage, now.size_bytes).await?;
        Ok(file)
    }

    fn get_or_insert(&self, now: &FileProgress) -> (Arc<GrowingFile>, bool) {
        let mut current = locked(&self.0);
        let known = current.as_ref();
        if let Some(known) = known.filter(|known| known.growing_path == now.growing_path) {
            return (Arc::clone(known), false);
        }
        let file = Arc::new(GrowingFile {
            live: Arc::default(),
            growing_path: now.growing_path.clone(),
            finished_path: now.finished_path.clone(),
            indexer: tokio::sync::Mutex::new(Indexer::new()),
        });
        *current = Some(Arc::clone(&file));
        (file, true)
    }

    fn remove(&self, file: &Arc<GrowingFile>) {
        locked(&self.0).take_if(|current| Arc::ptr_eq(current, file));
    }
}

impl GrowingFile {
    /// Follows the file until it is finished or no longer watched.
    async fn run(&self, storage: &dyn Storage, progress: impl Fn() -> Option<FileProgress>) {
        let mut idle_polls = 0;
        while idle_polls < IDLE_POLLS {
            tokio::time::sleep(FOLLOW_INTERVAL).await;
            idle_polls = match self.live.is_watched() {
                true => 0,
                false => idle_polls + 1,
            };
            let now = progress().filter(|now| now.growing_path == self.growing_path);
            let Some(now) = now else {
                self.live.end().await;
                return;
            };
            if let Err(error) = self.advance(storage, now.size_bytes).await {
                let path = &self.growing_path;
                tracing::info!(path, "cannot follow a growing file: {error}");
                break;
            }
        }
        self.live.close();
    }

    /// Indexes the bytes up to `size_bytes` of the file, and announces them.
    async fn advance(&self, storage: &dyn Storage, size_bytes: u64) -> Result<(), StorageError> {
        let mut indexer = self.indexer.lock().await;
        let length = size_bytes.saturating_sub(HEAD_ROOM);
        while indexer.received() < length {
            let remaining = length - indexer.received();
            let skippable = indexer.skippable().min(remaining);
            if skippable >= INDEX_READ {
                indexer.skip(skippable);
                continue;
            }
            let from = HEAD_ROOM + indexer.received();
            let range = from..from + INDEX_READ.min(remaining);
            let mut pieces = storage.read(&self.growing_path, range).await?;
            while let Some(piece) = pieces.next().await {
                indexer.push(&piece?);
            }
            // The recorder has written them.
            while indexer.poll_patch().is_some() {}
            // Only the keyframes are needed, not the sample tables.
            indexer.reduce_memory();
        }
        self.live
            .publish(playable(&indexer), || indexer.entry_points());
        Ok(())
    }

    pub(super) async fn entry_points(&self) -> Arc<[EntryPoint]> {
        self.indexer.lock().await.entry_points().into()
    }
}

fn playable(indexer: &Indexer) -> Playable {
    let media_type = || indexer.media_type().map(Arc::from);
    Edge::of(indexer, "mp4", media_type).map_or(Playable::NotYet, Playable::UpTo)
}
