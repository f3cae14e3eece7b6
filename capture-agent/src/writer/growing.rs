//! One file, from its creation to an ordinary recording.
//!
//! ```text
//! NAME.part   head room │ ftyp moov │ moof mdat │ moof mdat │ …       playable from the first fragment on
//! NAME        ftyp mdat ( everything above )                  moov    the same bytes, patched and appended to
//! ```
//!
//! It never matters where the power is cut: what is durable in `NAME.part` is scanned and finished at the next
//! start, by the same code and with the same result, and the name changes last.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, SystemTime};

use sortie_media::stored::{self, Layout, SNIFF_SIZE};
use sortie_media::{HEAD_ROOM, Indexer, Unplayable};
use sortie_server::open_regular;

use super::volume::{Folder, Volume, VolumeFile};

/// What the name of a growing file ends with.
pub const GROWING: &str = ".part";
/// What the name of one ends with that cannot be played.
pub const DAMAGED: &str = ".damaged";
/// Every front of ours ends before this. In a file that is no longer and cannot be read, not even the front was
/// durable, so nothing behind it was.
const LONGEST_FRONT: u64 = HEAD_ROOM + 4096;
/// Position of the type of the stream's first box.
const STREAM_BOX_TYPE: Range<usize> = SNIFF_SIZE - 12..SNIFF_SIZE - 8;

/// A recording that is being written.
pub(super) struct Growing<F> {
    file: F,
    indexer: Indexer,
    /// The file's length, all of it durable.
    length: u64,
}

/// An ordinary recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its file name.
    pub name: String,
    /// How long it is, in milliseconds.
    pub duration_ms: u64,
    /// How large the file is, in bytes.
    pub size_bytes: u64,
}

/// Why a growing file did not become a recording.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// The disk.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// There is nothing to play in it.
    #[error(transparent)]
    Unplayable(#[from] Unplayable),
}

impl<F: VolumeFile> Growing<F> {
    /// Makes `name`.part with what its stream begins with, durably: a file that is longer has a front that can
    /// be read.
    fn create<V: Volume<File = F>>(volume: &V, name: &str, front: &[u8]) -> io::Result<Self> {
        let part = format!("{name}{GROWING}");
        let mut growing = Self {
            file: volume.create(&part)?,
            indexer: Indexer::new(),
            length: HEAD_ROOM,
        };
        let made = growing.append(front).and_then(|()| volume.sync());
        if let Err(error) = made {
            // A full disk; nobody misses it.
            let _ = volume.remove(&part);
            return Err(error);
        }
        Ok(growing)
    }

    /// Adds whole fragments; they are durable when it returns.
    ///
    /// After an error this must be dropped: what counts is what the file holds then, so it is scanned again.
    pub(super) fn append(&mut self, fragments: &[u8]) -> io::Result<()> {
        let written = self.try_append(fragments);
        match written {
            Ok(()) => self.length += fragments.len() as u64,
            // Half a fragment is no harm to a scan, only more to pass over.
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

    /// Makes `wanted`.part, or one with the first number whose name is neither a recording's nor growing.
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

    /// Bytes of the file, all of them durable.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Milliseconds that can be played, all of them durable.
    pub(super) fn duration_ms(&self) -> u64 {
        self.indexer.duration_ms()
    }

    /// Takes up a growing file that a crash has left.
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

    /// Makes an ordinary file of it: the cost of the index, whatever the length.
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

/// Files of a folder that are not known yet.
#[derive(Debug, Default)]
pub struct Found {
    /// Ordinary recordings.
    pub recordings: Vec<Finished>,
    /// Whether there are files that another program may still be writing.
    pub unsettled: bool,
}

/// A file that changed within this time may still be written by another program.
const SETTLED: Duration = Duration::from_secs(10);

/// Whether a file has not changed lately.
#[must_use]
pub fn is_settled(metadata: &Metadata, now: SystemTime) -> bool {
    let Ok(modified) = metadata.modified() else {
        return true;
    };
    // A time in the future is of another clock.
    now.duration_since(modified).is_ok_and(|age| age >= SETTLED)
        || modified
            .duration_since(now)
            .is_ok_and(|ahead| ahead >= SETTLED)
}

/// The ordinary recordings in a folder, without those of these names. What cannot be read is left out.
#[must_use]
pub fn finished(folder: &Path, known: &HashSet<String>, now: SystemTime) -> Found {
    let names = Folder::new(folder).names().unwrap_or_default();
    let new = names
        .into_iter()
        .filter(|name| name.ends_with(".mp4") && !known.contains(name));
    let mut found = Found::default();
    for name in new {
        let Ok(file) = open_regular(&folder.join(&name)) else {
            continue;
        };
        if file
            .metadata()
            .is_ok_and(|metadata| !is_settled(&metadata, now))
        {
            found.unsettled = true;
            continue;
        }
        found.recordings.extend(rescan(&file, name));
    }
    found
}

/// Length and size of a recording, as its file has them; `None` when it cannot be read.
#[must_use]
pub fn rescan(file: &File, name: String) -> Option<Finished> {
    let size_bytes = VolumeFile::len(file).ok()?;
    let report = scan(file, 0, size_bytes).ok()?.report();
    report.indexed.then_some(Finished {
        name,
        duration_ms: report.duration_ms,
        size_bytes,
    })
}

/// The files in a folder that were put aside because they cannot be played, without those of these names.
#[must_use]
pub fn damaged(folder: &Path, known: &HashSet<String>) -> Vec<String> {
    let mut names = Folder::new(folder).names().unwrap_or_default();
    names.retain(|name| {
        let of = name.strip_suffix(DAMAGED);
        of.is_some_and(|name| name.ends_with(".mp4")) && !known.contains(name)
    });
    names
}

/// What became of a growing file that was left behind.
#[derive(Debug)]
pub enum Leftover {
    /// It is a recording now.
    Finished(Finished),
    /// Nothing had become durable; it was removed.
    Empty(String),
    /// It cannot be played, so it was put aside under this name.
    Damaged(String, Unplayable),
    /// Another program is writing it.
    InUse(String),
    /// It stays as it is (and plays in most players), because the disk is full or fails.
    Stays(String, io::Error),
}

/// Finishes what a crash has left in a folder, in the order of the names.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn finish_leftovers(volume: &impl Volume) -> io::Result<Vec<Leftover>> {
    let names = volume.names()?;
    let leftovers = names.iter().filter_map(|part| {
        let name = part.strip_suffix(GROWING)?;
        name.ends_with(".mp4").then_some(())?;
        let leftover = finish_leftover(volume, name);
        leftover.unwrap_or_else(|error| Some(Leftover::Stays(part.clone(), error)))
    });
    Ok(leftovers.collect())
}

/// Finishes `name`.part; `None` when it is not ours, or not there.
pub(super) fn finish_leftover(volume: &impl Volume, name: &str) -> io::Result<Option<Leftover>> {
    let part = format!("{name}{GROWING}");
    let file = match volume.open(&part) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Ok(Some(Leftover::InUse(part)));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if !is_ours(&file)? {
        return Ok(None);
    }
    let to = free_name(volume, name)?;
    // What a process that was killed left in the page cache only is made durable before anybody relies on it.
    file.sync()?;
    let growing = Growing::reopen(file)?;
    let length = growing.length();
    // Two names at once never: the last moment before the rename decides.
    if to != name {
        volume.rename(&part, &format!("{to}{GROWING}"))?;
    }
    let part = format!("{to}{GROWING}");
    match growing.finish(volume, &to) {
        Ok(finished) => Ok(Some(Leftover::Finished(finished))),
        Err(FinishError::Io(error)) => Err(error),
        Err(FinishError::Unplayable(reason))
            if reason == Unplayable::NoFrames || length <= LONGEST_FRONT =>
        {
            volume.remove(&part)?;
            volume.sync()?;
            Ok(Some(Leftover::Empty(part)))
        }
        Err(FinishError::Unplayable(reason)) => {
            let aside = format!("{to}{DAMAGED}");
            volume.rename(&part, &aside)?;
            volume.sync()?;
            Ok(Some(Leftover::Damaged(aside, reason)))
        }
    }
}

/// Whether this agent wrote a file: other programs use the same extension for their unfinished files.
fn is_ours(file: &impl VolumeFile) -> io::Result<bool> {
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
        // Created; nothing, or only the start of the stream, became durable.
        Layout::Blank => {
            let begun = start.get(STREAM_BOX_TYPE).unwrap_or_default();
            begun == b"ftyp" || begun.iter().all(|byte| *byte == 0)
        }
        _ => false,
    })
}

/// The first of `name` and its numbered forms that neither a recording has nor, but for `name` itself, a growing file.
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

/// `recording_2026-11-21_16-00-00_2.mp4`; the first has no number.
fn numbered(name: &str, number: u32) -> String {
    match name.rsplit_once('.') {
        _ if number == 1 => name.to_owned(),
        Some((stem, extension)) => format!("{stem}_{number}.{extension}"),
        None => format!("{name}_{number}"),
    }
}
