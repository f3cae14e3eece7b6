//! Growing file, from its creation to a finished recording.
//!
//! ```text
//! NAME.part   head room │ ftyp moov │ moof mdat │ moof mdat │ …       playable from the first fragment on
//! NAME        ftyp mdat ( everything above )                  moov    the same bytes, patched and appended to
//! ```
//!
//! A power cut is harmless at any point: the durable bytes of `NAME.part` are scanned and finished at the next start,
//! by the same code and with the same result. The rename is the last step.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use sortie_media::stored::{self, Layout, SNIFF_SIZE};
use sortie_media::{HEAD_ROOM, Indexer, Unplayable};
use sortie_server::open_regular;

use super::volume::{Folder, Volume, VolumeFile};
use crate::pictures::PICTURES;

/// Suffix of a growing file.
pub const GROWING: &str = ".part";
/// Suffix of a file that cannot be played.
pub const DAMAGED: &str = ".damaged";
/// Longest head and track description. A longer file has a durable beginning; a shorter one that cannot be read has no
/// durable data.
const LONGEST_FRONT: u64 = HEAD_ROOM + 4096;
/// Position of the type of the stream's first box.
const STREAM_BOX_TYPE: Range<usize> = SNIFF_SIZE - 12..SNIFF_SIZE - 8;

/// A recording in progress.
pub(super) struct Growing<F> {
    file: F,
    indexer: Indexer,
    /// Length of the file, all of it durable.
    length: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    pub name: String,
    pub duration_ms: u64,
    pub size_bytes: u64,
}

/// Failure to finish a growing file.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file holds nothing playable.
    #[error(transparent)]
    Unplayable(#[from] Unplayable),
}

impl<F: VolumeFile> Growing<F> {
    /// Creates `name`.part with the beginning of its stream, durably: a longer file has a readable beginning.
    fn create<V: Volume<File = F>>(volume: &V, name: &str, front: &[u8]) -> io::Result<Self> {
        let part = format!("{name}{GROWING}");
        let mut growing = Self {
            file: volume.create(&part)?,
            indexer: Indexer::new(),
            length: HEAD_ROOM,
        };
        let made = growing.append(front).and_then(|()| volume.sync());
        if let Err(error) = made {
            // The disk is full; an empty file may stay.
            let _ = volume.remove(&part);
            return Err(error);
        }
        Ok(growing)
    }

    /// Appends whole fragments; they are durable on return.
    ///
    /// After an error, drop the value and scan the file again, because its content is unknown.
    pub(super) fn append(&mut self, fragments: &[u8]) -> io::Result<()> {
        let written = self.try_append(fragments);
        match written {
            Ok(()) => self.length += fragments.len() as u64,
            // A scan skips a partial fragment.
            Err(_) => drop(self.file.set_len(self.length)),
        }
        written
    }

    fn try_append(&mut self, fragments: &[u8]) -> io::Result<()> {
        self.file.write_at(self.length, fragments)?;
        self.indexer.push(fragments);
        while let Some(patch) = self.indexer.poll_patch() {
            self.file.write_at(patch.position, &patch.bytes)?;
        }
        self.file.sync()
    }

    /// Creates `wanted`.part, or a numbered name that neither a recording nor a growing file has.
    pub(super) fn create_new<V: Volume<File = F>>(
        volume: &V,
        wanted: &str,
        front: &[u8],
    ) -> io::Result<(String, Self)> {
        let mut number = 1;
        loop {
            let name = numbered(wanted, number);
            if !volume.exists(&name)? {
                match Self::create(volume, &name, front) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    created => return created.map(|growing| (name, growing)),
                }
            }
            number += 1;
        }
    }

    /// Returns the number of durable bytes of the file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Returns the durable and playable duration in ms.
    pub(super) fn duration_ms(&self) -> u64 {
        self.indexer.duration_ms()
    }

    /// Reopens a growing file after a crash.
    fn reopen(file: F) -> io::Result<Self> {
        let length = file.len()?.max(HEAD_ROOM);
        let stream = length - HEAD_ROOM;
        let indexer = scan(&file, HEAD_ROOM, stream)?;
        Ok(Self {
            file,
            indexer,
            length,
        })
    }

    /// Finishes the file: writes the index, at a cost that does not depend on the length.
    pub(super) fn finish<V: Volume<File = F>>(
        self,
        volume: &V,
        name: &str,
    ) -> Result<Finished, FinishError> {
        let finish = self.indexer.finish()?;
        self.file.set_len(finish.keep)?;
        self.file.write_at(finish.keep, &finish.append)?;
        self.file.sync()?;
        for patch in &finish.patches {
            self.file.write_at(patch.position, &patch.bytes)?;
        }
        self.file.sync()?;
        volume.rename(&format!("{name}{GROWING}"), name)?;
        volume.sync()?;
        Ok(Finished {
            name: name.to_owned(),
            duration_ms: finish.duration_ms,
            size_bytes: finish.keep + finish.append.len() as u64,
        })
    }
}

/// Indexes the `length` bytes of a file behind `from`. What a crash left behind the last durable fragment may be
/// anything; patches are dropped, because the caller finishes the file or only reads it.
fn scan(file: &impl VolumeFile, from: u64, length: u64) -> io::Result<Indexer> {
    let read_at = |offset, buffer: &mut [u8]| file.read_at(from + offset, buffer);
    stored::scan(length, read_at, |_| Ok(()))
}

/// Unknown files in a folder.
#[derive(Debug, Default)]
pub struct Found {
    pub recordings: Vec<Finished>,
    /// Files that cannot be played and have not changed for some minutes.
    pub unplayable: Vec<(String, Unplayable)>,
    /// Whether another program may still write one of the files.
    pub unsettled: bool,
}

/// Whether a file of this name is a recording. Hidden files are unfinished copies and metadata of other programs.
#[must_use]
pub fn is_recording_name(name: &str) -> bool {
    name.ends_with(".mp4") && !name.starts_with('.')
}

/// Time after its last change during which a file may still be written.
const SETTLED: Duration = Duration::from_secs(10);

/// Time after its last change during which a file that cannot be played may still be an interrupted copy.
const ABANDONED: Duration = Duration::from_secs(600);

/// Whether neither content nor attributes of a file have changed recently. A program that copies a file can set its
/// modification time, but not its change time.
#[must_use]
pub fn is_settled(metadata: &Metadata, now: SystemTime) -> bool {
    let changed = u64::try_from(metadata.ctime()).unwrap_or_default();
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(changed);
    is_unchanged(metadata, now, SETTLED) && is_older(changed, now, SETTLED)
}

/// Whether a file that cannot be played is no interrupted copy: its content has not changed for some minutes.
#[must_use]
pub fn is_abandoned(metadata: &Metadata, now: SystemTime) -> bool {
    is_unchanged(metadata, now, ABANDONED)
}

fn is_unchanged(metadata: &Metadata, now: SystemTime, time: Duration) -> bool {
    let modified = metadata.modified();
    modified.map_or(true, |modified| is_older(modified, now, time))
}

fn is_older(changed: SystemTime, now: SystemTime, time: Duration) -> bool {
    // A time in the future comes from another clock.
    now.duration_since(changed).is_ok_and(|age| age >= time)
        || changed.duration_since(now).is_ok_and(|ahead| ahead >= time)
}

/// Lists the recordings in a folder except `known`. Files that cannot be read from the disk are skipped, and all
/// further files once `cancelled` is set.
#[must_use]
pub fn finished(
    folder: &Path,
    known: &HashSet<String>,
    now: SystemTime,
    cancelled: &AtomicBool,
) -> Found {
    let names = Folder::new(folder).names().unwrap_or_default();
    let new = names
        .into_iter()
        .filter(|name| is_recording_name(name) && !known.contains(name));
    let mut found = Found::default();
    for name in new {
        if cancelled.load(Ordering::Relaxed) {
            break;
        }
        let Ok(file) = open_regular(&folder.join(&name)) else {
            continue;
        };
        let Ok(metadata) = file.metadata() else {
            continue;
        };
        if !is_settled(&metadata, now) {
            found.unsettled = true;
            continue;
        }
        match rescan(&file, &name, cancelled) {
            Ok(recording) => found.recordings.push(recording),
            Err(FinishError::Unplayable(reason)) if is_abandoned(&metadata, now) => {
                found.unplayable.push((name, reason));
            }
            Err(FinishError::Unplayable(_)) => {}
            Err(FinishError::Io(error)) => tracing::error!("{name} cannot be read: {error}"),
        }
    }
    found
}

/// Reads duration and size of a recording. A fragmented MP4 has no index and plays without one.
///
/// # Errors
///
/// The file cannot be read or played, or `cancelled` was set meanwhile.
pub fn rescan(file: &File, name: &str, cancelled: &AtomicBool) -> Result<Finished, FinishError> {
    let size_bytes = VolumeFile::len(file)?;
    let read_at = |offset, buffer: &mut [u8]| {
        if cancelled.load(Ordering::Relaxed) {
            return Err(io::Error::other("cancelled"));
        }
        VolumeFile::read_at(file, offset, buffer)
    };
    let indexer = stored::scan(size_bytes, read_at, |_| Ok(()))?;
    let report = indexer.report();
    if !report.indexed {
        indexer.finish()?;
    }
    Ok(Finished {
        name: name.to_owned(),
        duration_ms: report.duration_ms,
        size_bytes,
    })
}

/// Lists the damaged files in a folder except `known`.
#[must_use]
pub fn damaged(folder: &Path, known: &HashSet<String>) -> Vec<String> {
    let mut names = Folder::new(folder).names().unwrap_or_default();
    names.retain(|name| {
        let of = name.strip_suffix(DAMAGED);
        of.is_some_and(|name| name.ends_with(".mp4")) && !known.contains(name)
    });
    names
}

/// Outcome for an unfinished file of an earlier run.
#[derive(Debug)]
pub enum RecoveredFile {
    Finished(Finished),
    /// The file held nothing durable and was removed.
    Empty(String),
    /// The file cannot be played and was renamed to this name.
    Damaged(String, Unplayable),
    /// Another program is writing the file.
    InUse(String),
    /// The file could not be finished because the disk is full or fails; most players play it.
    Stays(String, io::Error),
}

/// Finishes the unfinished files in a folder, in the order of their names.
///
/// # Errors
///
/// The folder cannot be read.
pub fn recover_files(volume: &impl Volume) -> io::Result<Vec<RecoveredFile>> {
    let names = volume.names()?;
    let recovered = names.iter().filter_map(|part| {
        let name = part.strip_suffix(GROWING)?;
        name.ends_with(".mp4").then_some(())?;
        let recovered = finish_leftover(volume, name);
        recovered.unwrap_or_else(|error| Some(RecoveredFile::Stays(part.clone(), error)))
    });
    Ok(recovered.collect())
}

/// Finishes `name`.part; `None` if another program wrote it or it does not exist.
pub(super) fn finish_leftover(
    volume: &impl Volume,
    name: &str,
) -> io::Result<Option<RecoveredFile>> {
    let part = format!("{name}{GROWING}");
    let file = match volume.open(&part) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Ok(Some(RecoveredFile::InUse(part)));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !is_ours(&file)? {
        return Ok(None);
    }
    let to = free_name(volume, name)?;
    // Makes durable what a killed process left in the page cache only.
    file.sync()?;
    let growing = Growing::reopen(file)?;
    let length = growing.length();
    // Checked immediately before the rename, because the name may be taken meanwhile.
    if to != name {
        // First, so that a repetition after a crash finds the recording under its old name.
        let pictures = format!("{name}{PICTURES}");
        if volume.exists(&pictures)? {
            volume.rename(&pictures, &format!("{to}{PICTURES}"))?;
        }
        volume.rename(&part, &format!("{to}{GROWING}"))?;
    }
    let part = format!("{to}{GROWING}");
    match growing.finish(volume, &to) {
        Ok(finished) => Ok(Some(RecoveredFile::Finished(finished))),
        Err(FinishError::Io(error)) => Err(error),
        Err(FinishError::Unplayable(reason))
            if reason == Unplayable::NoFrames || length <= LONGEST_FRONT =>
        {
            volume.remove(&part)?;
            volume.sync()?;
            Ok(Some(RecoveredFile::Empty(part)))
        }
        Err(FinishError::Unplayable(reason)) => {
            let aside = format!("{to}{DAMAGED}");
            volume.rename(&part, &aside)?;
            volume.sync()?;
            Ok(Some(RecoveredFile::Damaged(aside, reason)))
        }
    }
}

/// Whether this agent wrote a file: other programs use the same extension for their unfinished files.
///
/// # Errors
///
/// The file cannot be read.
pub fn is_ours(file: &impl VolumeFile) -> io::Result<bool> {
    let mut start = vec![0; SNIFF_SIZE];
    let mut read = 0;
    while read < start.len() {
        match file.read_at(read as u64, &mut start[read..])? {
            0 => break,
            bytes => read += bytes,
        }
    }
    start.truncate(read);
    Ok(match Layout::sniff(&start) {
        Layout::Headed | Layout::HeadOnly => true,
        // The file was created, but nothing, or only the start of the stream, became durable.
        Layout::Blank => {
            let begun = start.get(STREAM_BOX_TYPE).unwrap_or_default();
            begun == b"ftyp" || begun.iter().all(|byte| *byte == 0)
        }
        _ => false,
    })
}

/// Returns the first of `name` and its numbered forms that neither a recording nor another growing file has.
fn free_name(volume: &impl Volume, name: &str) -> io::Result<String> {
    let mut number = 1;
    loop {
        let candidate = numbered(name, number);
        let growing = number > 1 && volume.exists(&format!("{candidate}{GROWING}"))?;
        if !growing && !volume.exists(&candidate)? {
            return Ok(candidate);
        }
        number += 1;
    }
}

/// Returns `recording_2026-11-21_16-00-00_2.mp4`; the first form has no number.
fn numbered(name: &str, number: u32) -> String {
    match name.rsplit_once('.') {
        _ if number == 1 => name.to_owned(),
        Some((stem, extension)) => format!("{stem}_{number}.{extension}"),
        None => format!("{name}_{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cancelled_comparison_reads_no_further_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.mp4"), b"no video").unwrap();
        let later = SystemTime::from(jiff::Timestamp::now()) + 2 * ABANDONED;
        let cancelled = AtomicBool::new(false);
        let found = finished(folder.path(), &HashSet::new(), later, &cancelled);
        assert_eq!(found.unplayable.len(), 1);
        cancelled.store(true, Ordering::Relaxed);
        let found = finished(folder.path(), &HashSet::new(), later, &cancelled);
        assert!(found.unplayable.is_empty());
        let file = File::open(folder.path().join("a.mp4")).unwrap();
        let stopped = rescan(&file, "a.mp4", &cancelled);
        assert!(matches!(stopped, Err(FinishError::Io(_))), "{stopped:?}");
    }
}
