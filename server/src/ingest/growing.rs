//! A recording that is being written: its bytes, its index, and how it ends.

use std::io;

use bytes::Bytes;
use sortie_media::{HEAD_ROOM, Indexer, Unplayable};

use crate::catalog::UploadKind;
use crate::storage::{AS_IT_CAME, Finishing, Reopened, SeekableStream, StorageError, Writer};

/// How much of a stored stream is read at once when it is scanned again.
const SCAN_SIZE: usize = 256 * 1024;
/// The ending of a complete partial upload.
const PIECE: &str = "piece";

/// The writer and the index of one growing recording, kept in step.
pub(super) struct Growing {
    writer: Box<dyn Writer>,
    /// `None` for a piece of a recording: it is not looked into, and nothing in it is patched.
    indexer: Option<Indexer>,
}

/// What becomes of a recording, decided before anything is changed.
pub(super) enum Ending {
    /// An ordinary file.
    Playable {
        finishing: Finishing,
        duration_ms: u64,
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
    pub(super) fn new(writer: Box<dyn Writer>, kind: UploadKind) -> Self {
        Self {
            writer,
            indexer: (kind != UploadKind::Partial).then(Indexer::new),
        }
    }

    /// Takes up a recording after a restart: the index follows from the stored bytes.
    pub(super) async fn resume(reopened: Reopened, kind: UploadKind) -> Result<Self, StorageError> {
        let Reopened { writer, mut stream } = reopened;
        if kind == UploadKind::Partial {
            return Ok(Self::new(writer, kind));
        }
        let length = writer.stream_length();
        let scanned = tokio::task::spawn_blocking(move || scan(&mut *stream, length)).await;
        let indexer = scanned.map_err(|error| StorageError::Io(io::Error::other(error)))??;
        Ok(Self {
            writer,
            indexer: Some(indexer),
        })
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

    /// Adds bytes; they are durable after [`Growing::sync`].
    pub(super) async fn append(&mut self, bytes: Vec<Bytes>) -> Result<(), StorageError> {
        // Bytes are cheap to clone: the pieces are shared, not copied.
        self.writer.append(bytes.clone()).await?;
        let Some(indexer) = &mut self.indexer else {
            return Ok(());
        };
        for piece in &bytes {
            indexer.push(piece);
        }
        let patches: Vec<_> = std::iter::from_fn(|| indexer.poll_patch()).collect();
        if !patches.is_empty() {
            self.writer.patch(patches).await?;
        }
        Ok(())
    }

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
pub(super) async fn conclude(writer: Box<dyn Writer>, ending: Ending) -> Result<(), StorageError> {
    match ending {
        Ending::Playable { finishing, .. } | Ending::Piece(finishing) => {
            writer.finish(finishing).await
        }
        Ending::Unplayable { .. } => writer.keep_as_it_came().await,
    }
}

/// Indexes a stored stream, reading only what the index needs.
fn scan(stream: &mut dyn SeekableStream, length: u64) -> io::Result<Indexer> {
    let mut indexer = Indexer::new();
    let mut buffer = vec![0; SCAN_SIZE];
    while indexer.received() < length {
        let skippable = indexer.skippable().min(length - indexer.received());
        // Jumping over less than a buffer costs more than reading it.
        if skippable >= SCAN_SIZE as u64 {
            indexer.skip(skippable);
            continue;
        }
        let wanted = usize::try_from(length - indexer.received())
            .unwrap_or(SCAN_SIZE)
            .min(SCAN_SIZE);
        let read = stream.read_at(indexer.received(), &mut buffer[..wanted])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        indexer.push(&buffer[..read]);
    }
    // Patches to what is stored already were written when the bytes came, and are written again by finish.
    while indexer.poll_patch().is_some() {}
    Ok(indexer)
}
