//! Viewers: admission, and the stream of bytes that each receives.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use sortie_media::EntryPoint;

use super::LiveFeed;
use super::feed::{Edge, Playable, Step};
use super::growing_file::{FileProgress, GrowingFile, GrowingFiles};
use crate::storage::{Storage, StorageError, is_shared};
use crate::uploads::registry::{Registry, UploadEntry, locked};

/// Limit of the live views of one user.
const VIEWS_PER_USER: usize = 8;
/// Limit of all live views of this server.
const VIEWS: usize = 256;

/// Why a recording cannot be watched live.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ViewError {
    /// No keyframe has arrived since the server started.
    #[error("no keyframe has arrived yet")]
    NothingYet,
    /// Bytes have arrived, but playback cannot begin at any of them.
    #[error("the container cannot be played while it grows")]
    NotStreamable,
    /// Another server receives the recording.
    #[error("another server receives the recording")]
    Elsewhere,
    /// The user has too many live views.
    #[error("the user watches too many recordings")]
    TooManyOfUser,
    /// The recording, or the server, has too many viewers.
    #[error("too many viewers")]
    TooMany,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Live views by user.
#[derive(Default)]
pub(in crate::uploads) struct Views(Mutex<HashMap<String, usize>>);

impl Views {
    fn admit(self: &Arc<Self>, user_id: &str) -> Result<Ticket, ViewError> {
        let mut views = locked(&self.0);
        if views.values().sum::<usize>() >= VIEWS {
            return Err(ViewError::TooMany);
        }
        let of_user = views.entry(user_id.to_owned()).or_default();
        if *of_user >= VIEWS_PER_USER {
            return Err(ViewError::TooManyOfUser);
        }
        *of_user += 1;
        Ok(Ticket {
            views: Arc::clone(self),
            user_id: user_id.to_owned(),
        })
    }
}

/// One of a user's live views, until it is dropped.
pub(in crate::uploads) struct Ticket {
    views: Arc<Views>,
    user_id: String,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut views = locked(&self.views.0);
        if let Some(of_user) = views.get_mut(&self.user_id) {
            *of_user -= 1;
            if *of_user == 0 {
                views.remove(&self.user_id);
            }
        }
    }
}

/// Admits viewers.
pub(in crate::uploads) struct Viewers {
    storage: Arc<dyn Storage>,
    registry: Arc<Registry>,
    files: Arc<GrowingFiles>,
    views: Arc<Views>,
}

/// Origin of the bytes of a growing recording.
#[derive(Clone)]
enum Origin {
    Upload(Arc<UploadEntry>),
    /// File of the recorder of an appliance.
    File(Arc<GrowingFile>),
}

impl Origin {
    fn live(&self) -> &Arc<LiveFeed> {
        match self {
            Self::Upload(entry) => &entry.live,
            Self::File(file) => &file.live,
        }
    }

    async fn entry_points(&self) -> Arc<[EntryPoint]> {
        match self {
            Self::Upload(entry) => entry.entry_points().await,
            Self::File(file) => file.entry_points().await,
        }
    }

    /// Lowest position that can be read besides the head.
    async fn start(&self, storage: &dyn Storage) -> Result<u64, StorageError> {
        match self {
            Self::Upload(entry) => storage.growing_start(&entry.id).await,
            Self::File(_) => Ok(0),
        }
    }

    fn growing_path(&self, storage: &dyn Storage) -> String {
        match self {
            Self::Upload(entry) => storage.growing_path(&entry.id),
            Self::File(file) => file.growing_path.clone(),
        }
    }

    fn finished_path(&self, storage: &dyn Storage, extension: &str) -> String {
        match self {
            Self::Upload(entry) => storage.finished_path(&entry.id, extension),
            Self::File(file) => file.finished_path.clone(),
        }
    }
}

/// A growing recording that can be watched.
pub(crate) struct WatchedRecording {
    origin: Origin,
    edge: Edge,
    storage: Arc<dyn Storage>,
    views: Arc<Views>,
}

impl Viewers {
    pub(in crate::uploads) fn new(storage: Arc<dyn Storage>, registry: Arc<Registry>) -> Self {
        Self {
            storage,
            registry,
            files: Arc::default(),
            views: Arc::default(),
        }
    }

    /// Finds a growing recording.
    pub(in crate::uploads) async fn find(&self, id: &str) -> Result<WatchedRecording, ViewError> {
        let entry = self.registry.find(id);
        // The entry of an upload that moved to another server remains until it is idle.
        if let (Some(_), Some(replicated)) = (&entry, self.storage.replicated())
            && !replicated.renew(id).await?
        {
            return Err(ViewError::Elsewhere);
        }
        let edge = entry.as_ref().map(|entry| entry.live.edge());
        match (entry, edge) {
            (Some(entry), Some(Ok(edge))) => Ok(WatchedRecording {
                origin: Origin::Upload(entry),
                edge,
                storage: Arc::clone(&self.storage),
                views: Arc::clone(&self.views),
            }),
            (_, Some(Err(error @ ViewError::NotStreamable))) => Err(error),
            (Some(entry), _) if entry.state().progress.size_bytes > 0 => Err(ViewError::NothingYet),
            _ if is_shared(&*self.storage, id).await? => Err(ViewError::Elsewhere),
            _ => Err(ViewError::NothingYet),
        }
    }

    /// Finds the file in progress of the recorder of an appliance. `progress` returns its state; `None` once it is
    /// finished.
    pub(in crate::uploads) async fn find_file(
        &self,
        progress: impl Fn() -> Option<FileProgress> + Send + Sync + 'static,
    ) -> Result<WatchedRecording, ViewError> {
        let file = self.files.follow(&self.storage, progress).await?;
        Ok(WatchedRecording {
            edge: file.live.edge()?,
            origin: Origin::File(file),
            storage: Arc::clone(&self.storage),
            views: Arc::clone(&self.views),
        })
    }
}

impl WatchedRecording {
    /// Media type with codecs.
    pub(crate) fn media_type(&self) -> &str {
        &self.edge.media_type
    }

    /// Adds a viewer that begins at the last keyframe at or before `from_ms`, or at the newest keyframe.
    pub(crate) async fn watch(
        self,
        user_id: &str,
        from_ms: Option<u64>,
    ) -> Result<LiveStream, ViewError> {
        let ticket = self.views.admit(user_id)?;
        let start = self.origin.start(&*self.storage).await?;
        let entries = match from_ms {
            Some(_) => self.origin.entry_points().await,
            None => Arc::default(),
        };
        // Read again: bytes may have arrived in the meantime.
        let edge = self.origin.live().edge()?;
        let entry_point = edge.entry_point(from_ms, &entries, start);
        if entry_point.position < start {
            return Err(ViewError::NothingYet);
        }
        let path = self.origin.growing_path(&*self.storage);
        let mut head = Vec::new();
        let mut stored = self.storage.read(&path, 0..edge.head_end).await?;
        while let Some(bytes) = stored.next().await {
            head.extend(bytes.map_err(StorageError::from)?);
        }
        let mut head = sortie_media::live_head(&head);
        head.extend(entry_point.header());
        let number = self.join(&path, entry_point, ticket);
        Ok(LiveStream {
            head: Some(head.into()),
            reading: None,
            number: number.ok_or(ViewError::TooMany)?,
            origin: self.origin,
            storage: self.storage,
            path,
            extension: edge.extension,
        })
    }
}

impl WatchedRecording {
    /// Adds a viewer, and starts the reading task with the first one. `None` if there are too many.
    fn join(&self, path: &str, entry_point: EntryPoint, ticket: Ticket) -> Option<u64> {
        let mut feed = locked(&self.origin.live().feed);
        let number = feed.join(entry_point.position, ticket)?;
        if feed.begin_reading() {
            let finished = match &self.origin {
                Origin::Upload(_) => None,
                Origin::File(file) => Some(file.finished_path.clone()),
            };
            let (live, path) = (Arc::clone(self.origin.live()), path.to_owned());
            let storage = Arc::clone(&self.storage);
            tokio::spawn(async move { live.fill(storage, path, finished).await });
        }
        Some(number)
    }
}

/// Bytes that one viewer receives. Dropping it removes the viewer.
pub(crate) struct LiveStream {
    /// Bytes in front of the media.
    head: Option<Bytes>,
    reading: Option<Reading>,
    number: u64,
    origin: Origin,
    storage: Arc<dyn Storage>,
    path: String,
    /// Extension of the finished object.
    extension: &'static str,
}

/// A read from the storage.
struct Reading {
    bytes: BoxStream<'static, io::Result<Bytes>>,
    /// Bytes that are missing.
    left: u64,
}

impl LiveStream {
    /// Returns the next bytes; `None` at the end of the recording. Cancel-safe.
    ///
    /// # Errors
    /// The viewer was dropped, or the recording cannot be read.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut changed = self.origin.live().changed.subscribe();
        loop {
            if let Some(reading) = &mut self.reading {
                if let Some(bytes) = reading.next().await? {
                    let length = bytes.len() as u64;
                    locked(&self.origin.live().feed).sent(self.number, length);
                    return Ok(Some(bytes));
                }
                self.reading = None;
            }
            if let Some(head) = self.head.take() {
                return Ok(Some(head));
            }
            changed.borrow_and_update();
            let step = locked(&self.origin.live().feed).next(self.number);
            match step {
                Step::Send(bytes) => return Ok(Some(bytes)),
                Step::Read(range) => self.read(range).await?,
                // The sender lives as long as the entry.
                Step::Wait => drop(changed.changed().await),
                Step::Ended => return Ok(None),
                Step::Dropped => {
                    return Err(io::Error::new(
                        io::ErrorKind::ConnectionAborted,
                        "the viewer is too slow, or the recording is gone",
                    ));
                }
            }
        }
    }

    async fn read(&mut self, range: Range<u64>) -> io::Result<()> {
        let left = range.end - range.start;
        let mut bytes = self.storage.read(&self.path, range.clone()).await;
        if bytes.is_err() && locked(&self.origin.live().feed).has_ended() {
            // Media has the same position in the finished object.
            let finished = self.origin.finished_path(&*self.storage, self.extension);
            bytes = self.storage.read(&finished, range).await;
        }
        self.reading = Some(Reading {
            bytes: bytes.map_err(io::Error::other)?,
            left,
        });
        Ok(())
    }
}

impl Reading {
    /// Returns the next bytes; `None` once all were read.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        let bytes = self.bytes.next().await.transpose()?;
        let bytes = bytes.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.left = self.left.saturating_sub(bytes.len() as u64);
        Ok(Some(bytes))
    }
}

impl Drop for LiveStream {
    fn drop(&mut self) {
        locked(&self.origin.live().feed).leave(self.number);
        // The reading task ends without a viewer.
        self.origin.live().changed.send_replace(());
    }
}

impl LiveFeed {
    fn edge(&self) -> Result<Edge, ViewError> {
        match locked(&self.feed).playable() {
            Playable::UpTo(edge) => Ok(edge.clone()),
            Playable::Never => Err(ViewError::NotStreamable),
            Playable::NotYet => Err(ViewError::NothingYet),
        }
    }
}
