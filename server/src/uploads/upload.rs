//! A recording that is being written: its bytes, its index, and how it ends.

#[cfg(test)]
mod tests;

use std::io;

use bytes::Bytes;
use sortie_media::stored::{self, SCAN_BUFFER_SIZE};
use sortie_media::{HEAD_ROOM, Indexer, Options, Patch, Unplayable};
use sortie_tus::server::UploadLength;

use super::index_budget::IndexShare;
use crate::db::UploadKind;
use crate::left_out::Accounts;
use crate::storage::{
    AS_IT_CAME, Excerpt, Finishing, Reopened, SeekableStream, Settled, StorageError, Writer,
};

/// A scan pauses when so many patches wait.
const PATCHES_AT_ONCE: usize = 256;
/// The ending of a complete partial upload.
const PIECE: &str = "piece";
/// Largest description of an MP4's tracks and samples in a scan that waits for its turn.
const RESCAN_LIMIT: u64 = 64 << 20;

/// The writer and the index of one growing recording, kept in step.
pub(super) struct Growing {
    writer: Box<dyn Writer>,
    /// `None` for a piece of a recording: it is not looked into, and nothing in it is patched.
    indexer: Option<Indexer>,
    /// Accounts for the memory of the index; `None` where that has a permit of its own.
    share: Option<IndexShare>,
    /// Of what is indexed, but not appended yet; for a writer that seals.
    excerpts: Option<Vec<Excerpt>>,
    /// What its row says, once somebody has looked and found it open: as long as there is a writer, nobody else
    /// closes it or changes its length. It saves a query for every chunk.
    pub(super) open: Option<(UploadLength, UploadKind)>,
}

/// What becomes of a recording, decided before anything is changed.
pub(super) enum Ending {
    /// An ordinary file.
    Playable {
        finishing: Finishing,
        duration_ms: u64,
        /// Ranges that players do not get; see [`Accounts`].
        left_out: Option<String>,
    },
    /// A piece of a recording, all there. Its stream stays where it is, behind the unused head room.
    Piece(Finishing),
    /// Kept as it came.
    Unplayable { size_bytes: u64, reason: Unplayable },
}

impl Ending {
    /// How large the object will be.
    pub(super) fn size_bytes(&self) -> u64 {
        match self {
            Self::Playable { finishing, .. } | Self::Piece(finishing) => {
                finishing.keep + finishing.append.len() as u64
            }
            Self::Unplayable { size_bytes, .. } => *size_bytes,
        }
    }

    /// The ending of the object's name.
    pub(super) fn extension(&self) -> &'static str {
        match self {
            Self::Playable { finishing, .. } | Self::Piece(finishing) => finishing.extension,
            Self::Unplayable { .. } => AS_IT_CAME,
        }
    }
}

impl Growing {
    pub(super) fn new(
        writer: Box<dyn Writer>,
        kind: UploadKind,
        share: Option<IndexShare>,
    ) -> Self {
        Self {
            indexer: (kind != UploadKind::Partial).then(|| indexer_for(&*writer, share.as_ref())),
            share,
            excerpts: writer.seals().then(Vec::new),
            writer,
            open: None,
        }
    }

    /// Takes up a recording after a restart: the index follows from the stored bytes. `planned`: how long the
    /// stream was when its finish began; what lies behind it is what an earlier attempt has appended.
    pub(super) async fn resume(
        reopened: Reopened,
        kind: UploadKind,
        planned: Option<u64>,
        share: Option<IndexShare>,
    ) -> Result<Self, StorageError> {
        let Reopened { mut writer, stream } = reopened;
        if kind == UploadKind::Partial {
            return Ok(Self::new(writer, kind, share));
        }
        let stored = writer.stream_length();
        let length = planned.map_or(stored, |planned| planned.min(stored));
        let mut scan = Scan {
            stream,
            indexer: indexer_for(&*writer, share.as_ref()),
            share,
            patches: Vec::new(),
            excerpts: writer.seals().then(Vec::new),
        };
        while scan.indexer.received() < length {
            let scanning = tokio::task::spawn_blocking(move || scan.run(length));
            scan = scanning
                .await
                .map_err(|error| StorageError::Io(io::Error::other(error)))??;
            // Most are there already; those that a crash swallowed are not.
            let patches = std::mem::take(&mut scan.patches);
            if !patches.is_empty() {
                writer.patch(patches).await?;
            }
        }
        let mut growing = Self {
            excerpts: writer.seals().then(Vec::new),
            writer,
            indexer: Some(scan.indexer),
            share: scan.share,
            open: None,
        };
        growing.settle(scan.excerpts.unwrap_or_default()).await?;
        Ok(growing)
    }

    /// Tells a writer that needs it what is final, and what must stay readable.
    async fn settle(&mut self, excerpts: Vec<Excerpt>) -> Result<(), StorageError> {
        if !self.writer.seals() {
            return Ok(());
        }
        let settled = match &self.indexer {
            Some(indexer) => Settled {
                length: indexer.immutable_prefix(),
                extension: self.format(),
            },
            // Of a piece nothing is cut off or patched.
            None => Settled {
                length: HEAD_ROOM + self.writer.stream_length(),
                extension: PIECE,
            },
        };
        self.writer.settle(settled, excerpts).await
    }

    /// The number under which it is written; see [`Writer::fence`].
    pub(super) fn fence(&self) -> Option<i64> {
        self.writer.fence()
    }

    pub(super) async fn is_current(&mut self) -> Result<bool, StorageError> {
        self.writer.is_current().await
    }

    /// How many bytes of the stream are there.
    pub(super) fn offset(&self) -> u64 {
        self.writer.stream_length()
    }

    pub(super) fn duration_ms(&self) -> u64 {
        self.indexer.as_ref().map_or(0, Indexer::duration_ms)
    }

    pub(super) fn format(&self) -> &'static str {
        self.indexer
            .as_ref()
            .and_then(Indexer::container)
            .map_or("", |container| container.extension())
    }

    /// Looks at bytes that are to be added by [`Growing::append`]: best as soon as they come, as long as they are in the
    /// processor's cache.
    pub(super) fn index(&mut self, bytes: &[u8]) {
        if let Some(indexer) = &mut self.indexer {
            index(indexer, bytes, self.excerpts.as_mut());
            account(indexer, self.share.as_mut());
        }
    }

    /// Memory that its end takes, beside the index, in bytes.
    pub(super) fn finish_bytes(&self) -> u64 {
        self.indexer.as_ref().map_or(0, Indexer::finish_bytes)
    }

    /// Whether it can only be finished after another scan, with more memory; see [`Indexer::needs_rescan`].
    pub(super) fn needs_rescan(&self) -> bool {
        self.indexer.as_ref().is_some_and(Indexer::needs_rescan)
    }

    /// The account of its index, to be kept until the index is written.
    pub(super) fn take_share(&mut self) -> Option<IndexShare> {
        self.share.take()
    }

    /// Adds what has been indexed; it is durable after [`Growing::sync`].
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
        let excerpts = self.excerpts.as_mut().map(std::mem::take);
        self.settle(excerpts.unwrap_or_default()).await
    }

    /// Whether its writer seals; see [`Writer::seals`].
    pub(super) fn seals(&self) -> bool {
        self.writer.seals()
    }

    /// Begins to write what was added; its memory is free again some time later.
    pub(super) async fn write_out(&mut self) -> Result<(), StorageError> {
        self.writer.write_out().await
    }

    #[tracing::instrument(
        target = "sortie::spans",
        level = "trace",
        name = "storage sync",
        skip_all,
        err(level = "trace")
    )]
    pub(super) async fn sync(&mut self) -> Result<(), StorageError> {
        self.writer.sync().await
    }

    /// Decides what becomes of it; [`conclude`] does it.
    pub(super) fn end(self) -> (Box<dyn Writer>, Ending) {
        let size_bytes = self.writer.stream_length();
        let Some(indexer) = self.indexer else {
            let piece = Finishing {
                keep: HEAD_ROOM + size_bytes,
                append: Vec::new(),
                patches: Vec::new(),
                extension: PIECE,
            };
            return (self.writer, Ending::Piece(piece));
        };
        let ending = match indexer.finish() {
            Ok(finish) => Ending::Playable {
                left_out: Accounts::new(&finish).to_text(),
                finishing: Finishing {
                    keep: finish.keep,
                    append: finish.append,
                    patches: finish.patches,
                    extension: finish.container.extension(),
                },
                duration_ms: finish.duration_ms,
            },
            Err(reason) => Ending::Unplayable { size_bytes, reason },
        };
        (self.writer, ending)
    }
}

/// Does what was decided.
#[tracing::instrument(
    target = "sortie::spans",
    level = "trace",
    name = "storage finish",
    skip_all,
    err(level = "trace")
)]
pub(super) async fn conclude(writer: Box<dyn Writer>, ending: Ending) -> Result<(), StorageError> {
    match ending {
        Ending::Playable { finishing, .. } | Ending::Piece(finishing) => {
            writer.finish(finishing).await
        }
        Ending::Unplayable { .. } => writer.keep_as_it_came().await,
    }
}

/// An index that asks for no more than the storage can do.
fn indexer_for(writer: &dyn Writer, share: Option<&IndexShare>) -> Indexer {
    let options = Options::default().patch_clusters(!writer.seals());
    Indexer::with(match share {
        Some(_) => options,
        None => options.description_limit(RESCAN_LIMIT),
    })
}

/// Accounts for the memory of an index, and makes it small if that is too much.
fn account(indexer: &mut Indexer, share: Option<&mut IndexShare>) {
    let Some(share) = share else { return };
    if !share.resize(indexer.memory_bytes()) {
        tracing::debug!("the memory for indexes is used up: one is reduced");
        indexer.reduce_memory();
        share.force(indexer.memory_bytes());
    }
}

/// Indexes bytes; copies those that the index does not just pass over, if somebody wants them.
fn index(indexer: &mut Indexer, bytes: &[u8], excerpts: Option<&mut Vec<Excerpt>>) {
    let Some(excerpts) = excerpts else {
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
        // Byte by byte: only of the next one it is certain that it is looked at.
        let (start, position) = (at, indexer.received());
        while at < bytes.len() && indexer.skippable() == 0 {
            indexer.push(&bytes[at..=at]);
            at += 1;
        }
        excerpts.push(Excerpt {
            position,
            bytes: bytes[start..at].to_vec(),
        });
    }
}

/// A stored stream that is indexed again.
struct Scan {
    stream: Box<dyn SeekableStream>,
    indexer: Indexer,
    share: Option<IndexShare>,
    patches: Vec<Patch>,
    /// For a writer that seals.
    excerpts: Option<Vec<Excerpt>>,
}

impl Scan {
    /// Reads what the index needs, to the end or until some patches wait to be applied. Blocking.
    fn run(mut self, length: u64) -> io::Result<Self> {
        let mut buffer = vec![0; SCAN_BUFFER_SIZE];
        while self.patches.len() < PATCHES_AT_ONCE {
            let (indexer, stream) = (&mut self.indexer, &mut self.stream);
            let read_at = |offset, buffer: &mut [u8]| stream.read_at(offset, buffer);
            let Some(bytes) = stored::read_next(indexer, length, &mut buffer, read_at)? else {
                break;
            };
            index(indexer, bytes, self.excerpts.as_mut());
            account(indexer, self.share.as_mut());
            self.patches
                .extend(std::iter::from_fn(|| indexer.poll_patch()));
        }
        Ok(self)
    }
}
