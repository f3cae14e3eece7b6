//! Staging folder of one recording: the parts that the store does not have yet, one file each, on the local disk.
//! Blocking.
//!
//! The folder holds `00000.part` (the first part, until the end), the unconfirmed parts, and the staged tail. Their
//! length is the offset of the recording, as with a local file.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sortie_media::{HEAD_ROOM, Patch};

use super::checkpoints::{CheckpointFile, CheckpointReader};
use super::snapshot;
use super::state::{CheckpointMark, State};
use crate::storage::{IndexCheckpoint, SeekableStream};

const EXTENSION: &str = ".part";
/// Extension of the copy of a part that the store has.
const KEPT: &str = "kept";

/// The parts of a growing object that are not in the store.
#[derive(Debug)]
pub(super) struct Staged {
    folder: PathBuf,
    part_size: u64,
    /// Length of the object.
    length: u64,
    /// Length that survives a power cut.
    durable: u64,
    /// Index and file of the last part, while it is being written.
    tail: Option<(u64, File)>,
    /// Whether the first part was patched since its last sync.
    head_dirty: bool,
    /// Whether a file was created since the last sync of the folder.
    names_dirty: bool,
    /// A failure has left more than the last call in doubt. The recording must be opened again.
    broken: bool,
    checkpoints: CheckpointFile,
}

pub(super) fn part_file(folder: &Path, index: u64) -> PathBuf {
    folder.join(format!("{index:05}{EXTENSION}"))
}

/// Copy of a part that the store has, for viewers.
pub(super) fn kept_file(folder: &Path, index: u64) -> PathBuf {
    folder.join(format!("{index:05}.{KEPT}"))
}

pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

impl Staged {
    /// Creates a folder with a reserved head, durably.
    pub(super) fn create(folder: &Path, part_size: u64) -> io::Result<(Self, State)> {
        std::fs::create_dir(folder)?;
        let state = State::new(part_size);
        let file = File::create_new(part_file(folder, 0))?;
        file.set_len(HEAD_ROOM)?;
        file.sync_all()?;
        // Saved last: a folder without a state was never reported to a client.
        state.save(folder)?;
        if let Some(parent) = folder.parent() {
            sync_folder(parent)?;
        }
        Ok((Self::open(folder, &state)?, state))
    }

    /// Opens a folder, and syncs bytes that a crash of the process left in the page cache only.
    pub(super) fn open(folder: &Path, state: &State) -> io::Result<Self> {
        let length = Self::measure(folder, state)?.max(HEAD_ROOM);
        let staged = Self {
            folder: folder.to_owned(),
            part_size: state.part_size,
            length,
            durable: length,
            tail: None,
            head_dirty: false,
            names_dirty: false,
            broken: false,
            checkpoints: CheckpointFile::open(folder, state.checkpoints, length - HEAD_ROOM)?,
        };
        if length == HEAD_ROOM {
            staged.open_part(0)?.set_len(HEAD_ROOM)?;
        }
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == KEPT) {
                std::fs::remove_file(path)?;
                continue;
            }
            let Some(index) = part_index(&path) else {
                continue;
            };
            // A confirmed part that was not removed yet, or a part behind a gap.
            if state.parts.contains_key(&index) || staged.start(index) > length {
                std::fs::remove_file(path)?;
            } else {
                File::open(path)?.sync_all()?;
            }
        }
        sync_folder(folder)?;
        Ok(staged)
    }

    /// Returns the length of the object: up to the first part that is not full.
    pub(super) fn measure(folder: &Path, state: &State) -> io::Result<u64> {
        let mut index = 0;
        loop {
            if !state.parts.contains_key(&index) {
                let part = match std::fs::metadata(part_file(folder, index)) {
                    Ok(metadata) => metadata.len(),
                    Err(error) if index > 0 && error.kind() == io::ErrorKind::NotFound => 0,
                    Err(error) => return Err(error),
                };
                if part < state.part_size {
                    return Ok(index * state.part_size + part);
                }
            }
            index += 1;
        }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn stream_length(&self) -> u64 {
        self.length - HEAD_ROOM
    }

    /// Whether everything survives a power cut.
    pub(super) fn is_durable(&self) -> bool {
        self.durable == self.length && !self.broken
    }

    /// Written end of the checkpoint file.
    pub(super) fn checkpoint_mark(&self) -> CheckpointMark {
        self.checkpoints.mark()
    }

    fn start(&self, index: u64) -> u64 {
        index * self.part_size
    }

    fn open_part(&self, index: u64) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(part_file(&self.folder, index))
            .map_err(not_staged)
    }

    /// Returns the file of the next byte.
    fn tail(&mut self) -> io::Result<&File> {
        let index = self.length / self.part_size;
        let file = match self.tail.take() {
            Some((known, file)) if known == index => file,
            Some((_, full)) => {
                // Synced before the next file exists, so that a crash cannot leave a gap.
                full.sync_data().inspect_err(|_| self.broken = true)?;
                self.new_part(index)?
            }
            None if self.length == self.start(index) => self.new_part(index)?,
            None => self.open_part(index)?,
        };
        Ok(&self.tail.insert((index, file)).1)
    }

    fn new_part(&mut self, index: u64) -> io::Result<File> {
        self.names_dirty = true;
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(part_file(&self.folder, index))
    }

    /// Appends bytes; a failure leaves the parts unchanged.
    pub(super) fn append<'a>(
        &mut self,
        pieces: impl IntoIterator<Item = &'a Bytes>,
    ) -> io::Result<()> {
        let start = self.length;
        let written = pieces
            .into_iter()
            .try_for_each(|piece| self.append_slice(piece));
        if written.is_err() && self.truncate(start).is_err() {
            self.broken = true;
        }
        written
    }

    fn append_slice(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let (part_size, length) = (self.part_size, self.length);
            let room = usize::try_from(part_size - length % part_size).unwrap_or(usize::MAX);
            let (fits, rest) = bytes.split_at(room.min(bytes.len()));
            self.tail()?.write_all_at(fits, length % part_size)?;
            self.length += fits.len() as u64;
            bytes = rest;
        }
        Ok(())
    }

    /// Truncates to `length`, which must lie in a staged part.
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.tail = None;
        // Files of empty parts are removed, except the first.
        let first_empty = length.div_ceil(self.part_size).max(1);
        for index in first_empty..=self.length / self.part_size {
            match std::fs::remove_file(part_file(&self.folder, index)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => self.names_dirty = true,
            }
        }
        if !length.is_multiple_of(self.part_size) {
            let index = length / self.part_size;
            self.open_part(index)?.set_len(length - self.start(index))?;
        }
        self.length = length;
        self.durable = self.durable.min(length);
        Ok(())
    }

    pub(super) fn patch(&mut self, patches: &[Patch]) -> io::Result<()> {
        for patch in patches {
            let mut position = patch.position;
            let mut bytes = patch.bytes.as_slice();
            if position + bytes.len() as u64 > self.length {
                return Err(io::Error::other(format!(
                    "a patch at {position} reaches beyond the object's {} bytes",
                    self.length
                )));
            }
            while !bytes.is_empty() {
                let index = position / self.part_size;
                let at = position % self.part_size;
                let room = usize::try_from(self.part_size - at).unwrap_or(usize::MAX);
                let (fits, rest) = bytes.split_at(room.min(bytes.len()));
                let file = self.open_part(index)?;
                file.write_all_at(fits, at)?;
                if index == 0 {
                    self.head_dirty = true;
                } else {
                    // Rare: the indexer of a writer that seals patches only the head.
                    file.sync_data()?;
                }
                position += fits.len() as u64;
                bytes = rest;
            }
        }
        Ok(())
    }

    /// Makes everything durable; a failure truncates to the durable length.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let synced = self.sync_dirty();
        if synced.is_ok() {
            self.durable = self.length;
        } else {
            // After a failed fdatasync the kernel may mark the lost pages clean.
            let _ = self.truncate(self.durable);
        }
        synced
    }

    fn sync_dirty(&mut self) -> io::Result<()> {
        if self.broken {
            return Err(io::Error::other("an earlier write failed"));
        }
        if let Some((_, tail)) = &self.tail {
            tail.sync_data()?;
        }
        if self.head_dirty {
            self.open_part(0)?.sync_data()?;
            self.head_dirty = false;
        }
        if self.names_dirty {
            sync_folder(&self.folder)?;
            self.names_dirty = false;
        }
        Ok(())
    }

    /// Stores index checkpoints. After a failure the next sync fails too.
    pub(super) fn add_checkpoints(
        &mut self,
        checkpoints: &[IndexCheckpoint],
    ) -> io::Result<CheckpointMark> {
        let position = self.stream_length();
        self.checkpoints
            .add(checkpoints, position)
            .inspect_err(|_| self.broken = true)?;
        Ok(self.checkpoint_mark())
    }

    /// Turns the staged parts into those of the finished object, in the same order of steps as a local file.
    pub(super) fn conclude(
        &mut self,
        keep: u64,
        append: Vec<u8>,
        patches: &[Patch],
    ) -> io::Result<()> {
        // From now on the bytes are no longer those that were indexed.
        snapshot::remove(&self.folder);
        self.truncate(keep)?;
        self.append(&[Bytes::from(append)])?;
        self.sync()?;
        self.patch(patches)?;
        self.sync()
    }
}

pub(super) fn read(folder: &Path, part_size: u64, range: Range<u64>) -> io::Result<Bytes> {
    let size = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(usize::MAX);
    let mut bytes = vec![0; size];
    let mut done = 0;
    while done < size {
        let position = range.start + done as u64;
        let at = position % part_size;
        let room = usize::try_from(part_size - at).unwrap_or(usize::MAX);
        let end = size.min(done.saturating_add(room));
        File::open(part_file(folder, position / part_size))
            .map_err(not_staged)?
            .read_exact_at(&mut bytes[done..end], at)?;
        done = end;
    }
    Ok(bytes.into())
}

/// Returns the position from which on all bytes of a growing object of `length` bytes are on this disk.
pub(super) fn readable_from(folder: &Path, part_size: u64, length: u64) -> u64 {
    let is_here = |index| part_file(folder, index).exists() || kept_file(folder, index).exists();
    let mut index = length.saturating_sub(1) / part_size;
    while index > 0 && is_here(index - 1) {
        index -= 1;
    }
    index * part_size
}

/// Reads a range of a growing object from the staged parts and the kept copies.
pub(super) fn read_growing(folder: &Path, part_size: u64, range: Range<u64>) -> io::Result<Bytes> {
    let at = range.start % part_size;
    let index = range.start / part_size;
    let end = range.end.min((index + 1) * part_size);
    let file = match File::open(part_file(folder, index)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            File::open(kept_file(folder, index)).map_err(not_staged)?
        }
        opened => opened?,
    };
    let size = usize::try_from(end.saturating_sub(range.start)).map_err(io::Error::other)?;
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes.into())
}

/// A missing part must not be reported as [`StorageError::Missing`](crate::storage::StorageError), which means the
/// object.
fn not_staged(error: io::Error) -> io::Error {
    io::Error::other(format!("a part is no longer staged: {error}"))
}

pub(super) fn part_index(path: &Path) -> Option<u64> {
    path.file_name()?
        .to_str()?
        .strip_suffix(EXTENSION)?
        .parse()
        .ok()
}

/// Stream of a reopened recording: read from the staged parts, and from the checkpoints of the others.
#[derive(Debug)]
pub(super) struct StagedStream {
    folder: PathBuf,
    state: State,
    length: u64,
    checkpoints: CheckpointReader,
    open: Option<(u64, File)>,
}

impl StagedStream {
    pub(super) fn new(folder: &Path, state: State, length: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            checkpoints: CheckpointReader::new(folder, state.checkpoints),
            state,
            length,
            open: None,
        }
    }
}

impl SeekableStream for StagedStream {
    fn read_at(&mut self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let at = HEAD_ROOM + position;
        let index = at / self.state.part_size;
        let part_start = index * self.state.part_size;
        let end = self.length.min(part_start + self.state.part_size);
        let size = usize::try_from(end.saturating_sub(at))
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let buffer = &mut buffer[..size];
        if self.state.parts.contains_key(&index) {
            self.checkpoints.read_at(position, buffer)?;
            return Ok(size);
        }
        let file = match self.open.take() {
            Some((known, file)) if known == index => file,
            _ if size == 0 => return Ok(0),
            _ => File::open(part_file(&self.folder, index))?,
        };
        file.read_exact_at(buffer, at - part_start)?;
        self.open = Some((index, file));
        Ok(size)
    }
}
