//! Live viewing of growing recordings.
//!
//! The receive loop only announces durable bytes ([`LiveFeed::publish`]). For a watched recording, one task reads them
//! back from the storage, with the patches of the indexer applied, and all viewers share what it has read. So a viewer
//! costs the sender nothing, however slow it is.

mod feed;
mod growing_file;
mod viewers;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use sortie_media::EntryPoint;
use tokio::sync::watch;
use tokio::time::Instant;

use feed::Feed;
pub(super) use feed::{Edge, HEAD_LIMIT, Playable};
pub(crate) use growing_file::FileProgress;
use viewers::Ticket;
pub(super) use viewers::Viewers;
pub(crate) use viewers::{LiveStream, ViewError, WatchedRecording};

use super::on_demand::OnDemand;
use super::registry::locked;
use crate::storage::{Storage, StorageError};

/// Longest wait for the reads of a recording that ends.
const END_WAIT: Duration = Duration::from_secs(2);
/// Longest wait for the list of keyframes of a recording whose upload is busy.
const ENTRIES_WAIT: Duration = Duration::from_secs(2);

/// Feed of one growing recording.
pub(super) struct LiveFeed {
    feed: Mutex<Feed<Ticket>>,
    /// Changes with every change that a viewer or the reading task may wait for.
    changed: watch::Sender<()>,
    /// Keyframes of the recording, determined when a viewer asks for an earlier time.
    entries: OnDemand<Arc<[EntryPoint]>>,
    /// Origin of the times that the feed is passed.
    begun: Instant,
}

impl Default for LiveFeed {
    fn default() -> Self {
        Self {
            feed: Mutex::default(),
            changed: watch::Sender::new(()),
            entries: OnDemand::default(),
            begun: Instant::now(),
        }
    }
}

impl LiveFeed {
    /// Announces durable bytes. `entries` is called if a viewer waits for the list of keyframes.
    pub(super) fn publish(&self, playable: Playable, entries: impl FnOnce() -> Vec<EntryPoint>) {
        locked(&self.feed).advance(playable);
        self.entries.offer(false, || Some(entries().into()));
        self.changed.send_replace(());
    }

    /// Whether a viewer waits for new bytes.
    pub(super) fn is_watched(&self) -> bool {
        locked(&self.feed).is_watched()
    }

    /// Waits for the next announcement, or [`ENTRIES_WAIT`], and returns the keyframes.
    pub(super) async fn entries(&self) -> Arc<[EntryPoint]> {
        self.entries.next(ENTRIES_WAIT).await
    }

    /// Ends the recording: viewers receive what is in the ring. Waits until every announced byte is there, so that the
    /// object may be renamed or removed.
    pub(super) async fn end(&self) {
        let mut changed = self.changed.subscribe();
        let read = async {
            while locked(&self.feed).wanted().is_some() && changed.changed().await.is_ok() {}
        };
        let _ = tokio::time::timeout(END_WAIT, read).await;
        locked(&self.feed).end();
        self.changed.send_replace(());
    }

    /// Drops all viewers, unless the recording has ended.
    pub(super) fn close(&self) {
        locked(&self.feed).close();
        self.changed.send_replace(());
    }

    /// Reads announced bytes into the ring as long as there is a viewer.
    /// `finished`: path of the file once it is finished, if another part of this process finishes it.
    async fn fill(&self, storage: Arc<dyn Storage>, path: String, finished: Option<String>) {
        let mut changed = self.changed.subscribe();
        loop {
            changed.borrow_and_update();
            let wanted = {
                let mut feed = locked(&self.feed);
                if feed.ends_reading() {
                    return;
                }
                feed.wanted()
            };
            let Some(range) = wanted else {
                if changed.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let mut read = self.read(&*storage, &path, range.start, range.end).await;
            // Media has the same position in the finished file.
            if read.is_err()
                && let Some(finished) = &finished
            {
                let left = locked(&self.feed).wanted();
                if let Some(range) = left {
                    read = self.read(&*storage, finished, range.start, range.end).await;
                }
            }
            if let Err(error) = read {
                tracing::info!(
                    path,
                    "cannot read a growing recording for its viewers: {error}"
                );
                locked(&self.feed).drop_viewers();
                self.changed.send_replace(());
            }
        }
    }

    async fn read(
        &self,
        storage: &dyn Storage,
        path: &str,
        mut at: u64,
        end: u64,
    ) -> Result<(), StorageError> {
        let mut pieces = storage.read(path, at..end).await?;
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            let position = at;
            at += piece.len() as u64;
            locked(&self.feed).push(position, piece, self.begun.elapsed());
            self.changed.send_replace(());
        }
        match at == end {
            true => Ok(()),
            false => Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
        }
    }
}
