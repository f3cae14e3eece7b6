//! One growing recording: its writer and its index, kept consistent.

#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sortie_media::stored::{self, SCAN_BUFFER_SIZE};
use sortie_media::{
    Activity, Container, EntryPoint, HEAD_ROOM, Indexer, Options, Patch, Unplayable,
};
use sortie_tus::server::UploadLength;

use super::index_budget::IndexReservation;
use super::live::{Edge, HEAD_LIMIT, Playable};
use super::rows::declared_length;
use crate::db::{MediaFacts, RecordingRow, UploadKind};
use crate::left_out::Accounts;
use crate::storage::{
    Finishing, ImmutablePrefix, IndexCheckpoint, RAW_EXTENSION, Reopened, SeekableStream,
    StorageError, UploadWriter,
};

/// A scan pauses at this many pending patches.
const PATCHES_AT_ONCE: usize = 256;
/// Extension of a complete partial upload.
const PIECE: &str = "piece";
/// Largest sample description of an MP4 in a scan that has a memory permit of its own.
const RESCAN_LIMIT: u64 = 64 << 20;

/// Writer and index of one growing recording.
pub(super) struct Upload {
    writer: Box<dyn UploadWriter>,
    /// `None` for a partial upload: it is neither indexed nor patched.
    indexer: Option<Indexer>,
    /// Memory of the index; `None` if it has a separate permit.
    reservation: Option<IndexReservation>,
    /// Checkpoints of bytes that are indexed but not appended yet; `None` if the writer does not seal.
    checkpoints: Option<Vec<IndexCheckpoint>>,
    /// Media type of the live stream, once there is a keyframe: the tracks do not change behind it.
    media_type: OnceLock<Arc<str>>,
    /// Length and kind of the row, once it was read and open. While this writer exists nothing else closes the row or
    /// changes its length, so this saves a query per chunk.
    pub(super) metadata: Option<(UploadLength, UploadKind)>,
}

/// Outcome of a recording, decided before anything is changed.
pub(super) enum Ending {
    Playable {
        finishing: Finishing,
        duration_ms: u64,
        media: MediaFacts,
        /// Ranges that are not played; see [`Accounts`].
        left_out: Option<String>,
    },
    /// A complete partial upload. Its stream stays behind the unused head.
    Piece(Finishing),
    /// Kept as raw data: the container is unknown.
    Unplayable { size_bytes: u64, reason: Unplayable },
}

impl Ending {
    /// Size of the finished object.
    pub(super) fn size_bytes(&self) -> u64 {
        match self {
            Self::Playable { finishing, .. } | Self::Piece(finishing) => {
                finishing.keep + finishing.append.len() as u64
            }
            Self::Unplayable { size_bytes, .. } => *size_bytes,
        }
    }

    /// Extension of the finished object.
    pub(super) fn extension(&self) -> &'static str {
        match self {
            Self::Playable { finishing, .. } | Self::Piece(finishing) => finishing.extension,
            Self::Unplayable { .. } => RAW_EXTENSION,
        }
    }
}

impl Upload {
    /// An upload whose stream is empty, or partial.
    pub(super) fn new(
        mut writer: Box<dyn UploadWriter>,
        kind: UploadKind,
        reservation: Option<IndexReservation>,
    ) -> Self {
        let seals = writer.sealing().is_some();
        Self {
            indexer: (kind != UploadKind::Partial)
                .then(|| Indexer::with(options_for(seals, reservation.as_ref()))),
            reservation,
            checkpoints: seals.then(Vec::new),
            writer,
            media_type: OnceLock::new(),
            metadata: None,
        }
    }

    /// Creates a new upload with the metadata of its row.
    pub(super) fn of_row(
        writer: Box<dyn UploadWriter>,
        row: &RecordingRow,
        reservation: IndexReservation,
    ) -> Self {
        Self {
            metadata: Some((declared_length(row), row.kind)),
            ..Self::new(writer, row.kind, Some(reservation))
        }
    }

    /// Resumes an upload after a restart: indexes the stored bytes again. `planned`: length of the stream when its
    /// finish began; an earlier attempt has appended the bytes behind it.
    pub(super) async fn resume(
        reopened: Reopened,
        kind: UploadKind,
        planned: Option<u64>,
        reservation: Option<IndexReservation>,
    ) -> Result<Self, StorageError> {
        let Reopened {
            mut writer,
            stream,
            snapshot,
        } = reopened;
        if kind == UploadKind::Partial {
            return Ok(Self::new(writer, kind, reservation));
        }
        let seals = writer.sealing().is_some();
        let stored = writer.stream_length();
        let length = planned.map_or(stored, |planned| planned.min(stored));
        let options = options_for(seals, reservation.as_ref());
        // A finish that has begun may have cut and replaced bytes behind the last frame.
        let snapshot = snapshot.filter(|_| planned.is_none());
        let indexer = snapshot.and_then(|snapshot| Indexer::restore(&snapshot, options));
        let mut indexer = indexer.unwrap_or_else(|| Indexer::with(options));
        let mut reservation = reservation;
        account(&mut indexer, reservation.as_mut());
        let mut scan = Scan {
            stream,
            indexer,
            reservation,
            patches: Vec::new(),
            checkpoints: seals.then(Vec::new),
        };
        while scan.indexer.received() < length {
            let scanning = tokio::task::spawn_blocking(move || scan.run(length));
            scan = scanning
                .await
                .map_err(|error| StorageError::Io(io::Error::other(error)))??;
            // Most of these patches are applied already; those lost in a crash are not.
            let patches = std::mem::take(&mut scan.patches);
            if !patches.is_empty() {
                writer.patch(patches).await?;
            }
        }
        let mut upload = Self {
            checkpoints: seals.then(Vec::new),
            writer,
            indexer: Some(scan.indexer),
            reservation: scan.reservation,
            media_type: OnceLock::new(),
            metadata: None,
        };
        upload.seal(scan.checkpoints.unwrap_or_default()).await?;
        Ok(upload)
    }

    /// Reports the immutable prefix to a writer that seals.
    async fn seal(&mut self, checkpoints: Vec<IndexCheckpoint>) -> Result<(), StorageError> {
        let prefix = match &self.indexer {
            Some(indexer) => ImmutablePrefix {
                length: indexer.immutable_prefix(),
                extension: self.format(),
            },
            // A partial upload is neither cut nor patched.
            None => ImmutablePrefix {
                length: HEAD_ROOM + self.writer.stream_length(),
                extension: PIECE,
            },
        };
        match self.writer.sealing() {
            Some(sealing) => sealing.seal(prefix, checkpoints).await,
            None => Ok(()),
        }
    }

    /// Fencing token of the lease, if several servers share the upload.
    pub(super) fn fence(&mut self) -> Option<i64> {
        self.writer.leased().map(|leased| leased.fence())
    }

    /// Whether no other server has taken over the upload.
    pub(super) async fn is_current(&mut self) -> Result<bool, StorageError> {
        match self.writer.leased() {
            Some(leased) => leased.is_current().await,
            None => Ok(true),
        }
    }

    /// Closes an upload that another server has taken over.
    pub(super) async fn close_if_taken_over(open: &mut Option<Self>) -> Result<(), StorageError> {
        if let Some(upload) = open
            && !upload.is_current().await?
        {
            *open = None;
        }
        Ok(())
    }

    pub(super) fn offset(&self) -> u64 {
        self.writer.stream_length()
    }

    pub(super) fn duration_ms(&self) -> u64 {
        self.indexer.as_ref().map_or(0, Indexer::duration_ms)
    }

    /// Activity of the indexed bytes; `None` for a partial upload.
    pub(super) fn activity(&self) -> Option<Activity> {
        self.indexer.as_ref().map(Indexer::activity)
    }

    /// Returns what can be watched while the recording grows. Called when every indexed byte is durable.
    pub(super) fn playable(&self) -> Playable {
        let Some(indexer) = &self.indexer else {
            return Playable::NotYet;
        };
        let media_type = || self.media_type(indexer).map(Arc::clone);
        if let Some(edge) = Edge::of(indexer, self.format(), media_type) {
            return Playable::UpTo(edge);
        }
        let (end, head_end) = (indexer.playable_end(), indexer.head_end());
        let has_tracks = !indexer.tracks().is_empty();
        match indexer.container() == Some(Container::Mp4) && has_tracks {
            true if head_end.is_none() || end > 0 => Playable::Never,
            false if head_end > Some(HEAD_LIMIT) => Playable::Never,
            _ => Playable::NotYet,
        }
    }

    /// Determined once, because every chunk asks for it.
    fn media_type(&self, indexer: &Indexer) -> Option<&Arc<str>> {
        if self.media_type.get().is_none() {
            let _ = self.media_type.set(indexer.media_type()?.into());
        }
        self.media_type.get()
    }

    /// Returns the keyframes at which playback can begin.
    pub(super) fn entry_points(&self) -> Vec<EntryPoint> {
        let indexer = self.indexer.as_ref();
        indexer.map(Indexer::entry_points).unwrap_or_default()
    }

    pub(super) fn format(&self) -> &'static str {
        self.indexer
            .as_ref()
            .and_then(Indexer::container)
            .map_or("", |container| container.extension())
    }

    /// Indexes bytes that [`Upload::append`] adds later. Called as soon as they arrive, while they are in the CPU
    /// cache.
    pub(super) fn index(&mut self, bytes: &[u8]) {
        if let Some(indexer) = &mut self.indexer {
            index(indexer, bytes, self.checkpoints.as_mut());
            account(indexer, self.reservation.as_mut());
        }
    }

    /// Memory that finishing needs besides the index, in bytes.
    pub(super) fn finish_bytes(&self) -> u64 {
        self.indexer.as_ref().map_or(0, Indexer::finish_bytes)
    }

    /// Whether finishing needs another scan, with more memory; see [`Indexer::needs_rescan`].
    pub(super) fn needs_rescan(&self) -> bool {
        self.indexer.as_ref().is_some_and(Indexer::needs_rescan)
    }

    /// Returns the reservation of the index, to be kept until the index is written.
    pub(super) fn take_reservation(&mut self) -> Option<IndexReservation> {
        self.reservation.take()
    }

    /// Appends indexed bytes; durable after [`Upload::sync`].
    #[tracing::instrument(
        target = "sortie::spans",
        level = "trace",
        name = "storage append",
        skip_all,
        err(level = "trace")
    )]
    pub(super) async fn append(&mut self, bytes: Vec<Bytes>) -> Result<(), StorageError> {
        self.writer.append(bytes).await?;
        if let Some(indexer) = &mut self.indexer {
            let patches: Vec<_> = std::iter::from_fn(|| indexer.poll_patch()).collect();
            if !patches.is_empty() {
                self.writer.patch(patches).await?;
            }
        }
        match self.checkpoints.as_mut().map(std::mem::take) {
            Some(checkpoints) => self.seal(checkpoints).await,
            None => Ok(()),
        }
    }

    /// Whether the writer seals parts; see [`Sealing`](crate::storage::Sealing).
    pub(super) fn seals(&self) -> bool {
        self.checkpoints.is_some()
    }

    /// Starts writing appended bytes, whose memory is released some time later.
    pub(super) async fn start_writing(&mut self) -> Result<(), StorageError> {
        self.writer.start_writing().await
    }

    #[tracing::instrument(
        target = "sortie::spans",
        level = "trace",
        name = "storage sync",
        skip_all,
        err(level = "trace")
    )]
    pub(super) async fn sync(&mut self) -> Result<(), StorageError> {
        self.writer.sync().await?;
        if let Some(indexer) = &self.indexer
            && self.writer.wants_snapshot()
            // Further bytes may be indexed before they are appended.
            && indexer.received() == self.writer.stream_length()
            && let Some(snapshot) = indexer.snapshot()
        {
            self.writer.save_snapshot(snapshot);
        }
        Ok(())
    }

    /// Decides how the recording ends; [`conclude`] carries it out.
    pub(super) fn end(self) -> (Box<dyn UploadWriter>, Ending) {
        let size_bytes = self.writer.stream_length();
        let Some(mut indexer) = self.indexer else {
            let piece = Finishing {
                keep: HEAD_ROOM + size_bytes,
                append: Vec::new(),
                patches: Vec::new(),
                extension: PIECE,
            };
            return (self.writer, Ending::Piece(piece));
        };
        indexer.end();
        let media = MediaFacts::of(&indexer);
        let ending = match indexer.finish() {
            Ok(finish) => Ending::Playable {
                media,
                left_out: Accounts::new(&finish).to_text(),
                duration_ms: finish.duration_ms,
                finishing: finish.into(),
            },
            Err(reason) => Ending::Unplayable { size_bytes, reason },
        };
        (self.writer, ending)
    }
}

/// Carries out an [`Ending`].
#[tracing::instrument(
    target = "sortie::spans",
    level = "trace",
    name = "storage finish",
    skip_all,
    err(level = "trace")
)]
pub(super) async fn conclude(
    writer: Box<dyn UploadWriter>,
    ending: Ending,
) -> Result<(), StorageError> {
    match ending {
        Ending::Playable { finishing, .. } | Ending::Piece(finishing) => {
            writer.finish(finishing).await
        }
        Ending::Unplayable { .. } => writer.keep_raw().await,
    }
}

/// Options of an indexer that patches only what the storage can patch.
fn options_for(seals: bool, reservation: Option<&IndexReservation>) -> Options {
    let options = Options::default().patch_clusters(!seals);
    match reservation {
        Some(_) => options,
        None => options.description_limit(RESCAN_LIMIT),
    }
}

/// Accounts for the memory of an index, and reduces the index if the budget is exhausted.
fn account(indexer: &mut Indexer, reservation: Option<&mut IndexReservation>) {
    let Some(reservation) = reservation else {
        return;
    };
    if !reservation.resize(indexer.memory_bytes()) {
        tracing::debug!("the memory budget of indexes is exhausted: one index is reduced");
        indexer.reduce_memory();
        reservation.force(indexer.memory_bytes());
    }
}

/// Indexes bytes, and copies those that the indexer reads into checkpoints.
fn index(indexer: &mut Indexer, bytes: &[u8], checkpoints: Option<&mut Vec<IndexCheckpoint>>) {
    let Some(checkpoints) = checkpoints else {
        return indexer.push(bytes);
    };
    let mut at = 0;
    while at < bytes.len() {
        let skippable = indexer.skippable().min((bytes.len() - at) as u64);
        if skippable > 0 {
            indexer.skip(skippable);
            at += usize::try_from(skippable).unwrap_or(usize::MAX);
            continue;
        }
        // Byte by byte: it is only certain that the indexer reads the next byte.
        let (start, position) = (at, indexer.received());
        while at < bytes.len() && indexer.skippable() == 0 {
            indexer.push(&bytes[at..=at]);
            at += 1;
        }
        checkpoints.push(IndexCheckpoint {
            position,
            bytes: bytes[start..at].to_vec(),
        });
    }
}

/// Indexing of a stored stream.
struct Scan {
    stream: Box<dyn SeekableStream>,
    indexer: Indexer,
    reservation: Option<IndexReservation>,
    patches: Vec<Patch>,
    /// `None` if the writer does not seal.
    checkpoints: Option<Vec<IndexCheckpoint>>,
}

impl Scan {
    /// Reads what the indexer needs, to the end or until enough patches are pending. Blocking.
    fn run(mut self, length: u64) -> io::Result<Self> {
        let mut buffer = vec![0; SCAN_BUFFER_SIZE];
        while self.patches.len() < PATCHES_AT_ONCE {
            let (indexer, stream) = (&mut self.indexer, &mut self.stream);
            let read_at = |offset, buffer: &mut [u8]| stream.read_at(offset, buffer);
            let Some(bytes) = stored::read_next(indexer, length, &mut buffer, read_at)? else {
                break;
            };
            index(indexer, bytes, self.checkpoints.as_mut());
            account(indexer, self.reservation.as_mut());
            self.patches
                .extend(std::iter::from_fn(|| indexer.poll_patch()));
        }
        Ok(self)
    }
}
