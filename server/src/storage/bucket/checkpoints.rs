//! Index checkpoints: the bytes of sealed parts that are needed to index them again.
//!
//! Parts of an unfinished multipart upload cannot be read back. This file keeps headers and frame headers, about thirty
//! bytes per frame. The indexer uses only the length of everything else, which may therefore be read as zeros.
//!
//! Format: records of stream offset (64 bits), length (32 bits), both little-endian, and the bytes.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::state::CheckpointMark;
use crate::storage::IndexCheckpoint;

/// File name in the staging folder of a recording.
pub(super) const FILE: &str = "excerpts";
const RECORD_HEADER: usize = 12;

/// Checkpoint file, open for appending.
#[derive(Debug)]
pub(super) struct CheckpointFile {
    file: File,
    mark: CheckpointMark,
}

impl CheckpointFile {
    /// Opens the file, creating it if necessary, and truncates it to `mark` or to the end of the stream: after a power
    /// cut other bytes may replace those that the checkpoints describe.
    pub(super) fn open(
        folder: &Path,
        mark: CheckpointMark,
        stream_length: u64,
    ) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join(FILE))?;
        if file.metadata()?.len() < mark.bytes {
            return Err(io::Error::other(
                "the checkpoint file is shorter than recorded",
            ));
        }
        let mark = if mark.position > stream_length {
            before(&file, mark, stream_length)?
        } else {
            mark
        };
        file.set_len(mark.bytes)?;
        Ok(Self { file, mark })
    }

    pub(super) fn mark(&self) -> CheckpointMark {
        self.mark
    }

    /// Appends the new ones of `checkpoints`, which are ordered and complete up to `position`. Durable after
    /// [`Self::sync`].
    pub(super) fn add(&mut self, checkpoints: &[IndexCheckpoint], position: u64) -> io::Result<()> {
        let mut records = Vec::new();
        for checkpoint in checkpoints {
            // The scan after a restart repeats checkpoints from the beginning of the stream.
            let known = self.mark.position.saturating_sub(checkpoint.position);
            let known = usize::try_from(known).unwrap_or(usize::MAX);
            let Some(new @ [_, ..]) = checkpoint.bytes.get(known..) else {
                continue;
            };
            let length = u32::try_from(new.len()).map_err(io::Error::other)?;
            records.extend((checkpoint.position + known as u64).to_le_bytes());
            records.extend(length.to_le_bytes());
            records.extend(new);
        }
        self.file.write_all_at(&records, self.mark.bytes)?;
        self.mark.bytes += records.len() as u64;
        self.mark.position = self.mark.position.max(position);
        Ok(())
    }

    /// Makes the appended checkpoints durable, through a separate handle.
    pub(super) fn sync(folder: &Path) -> io::Result<()> {
        File::open(folder.join(FILE))?.sync_data()
    }
}

/// Returns the last record boundary whose records end within `stream_length`.
fn before(file: &File, mark: CheckpointMark, stream_length: u64) -> io::Result<CheckpointMark> {
    let mut records = Records::new(file.try_clone()?, mark)?;
    let mut bytes = 0;
    while !records.current.bytes.is_empty() && records.current.end() <= stream_length {
        bytes += (RECORD_HEADER + records.current.bytes.len()) as u64;
        records.next()?;
    }
    let position = if records.current.bytes.is_empty() {
        stream_length
    } else {
        records.current.position.min(stream_length)
    };
    Ok(CheckpointMark { bytes, position })
}

/// Reads a stream from its checkpoints. Fast for non-decreasing positions.
#[derive(Debug)]
pub(super) struct CheckpointReader {
    path: PathBuf,
    mark: CheckpointMark,
    /// `None` until the first read.
    records: Option<Records>,
}

#[derive(Debug)]
struct Records {
    file: io::Take<BufReader<File>>,
    /// Current record; empty behind the last one.
    current: IndexCheckpoint,
    /// Positions before this require a restart from the first record.
    passed: u64,
}

impl CheckpointReader {
    pub(super) fn new(folder: &Path, mark: CheckpointMark) -> Self {
        Self {
            path: folder.join(FILE),
            mark,
            records: None,
        }
    }

    /// Fills `buffer` with the stream from `position` on: the bytes of checkpoints, zeros elsewhere.
    pub(super) fn read_at(&mut self, position: u64, buffer: &mut [u8]) -> io::Result<()> {
        buffer.fill(0);
        let end = position + buffer.len() as u64;
        if self
            .records
            .as_ref()
            .is_none_or(|records| position < records.passed)
        {
            self.records = Some(Records::new(File::open(&self.path)?, self.mark)?);
        }
        let Some(records) = &mut self.records else {
            return Ok(());
        };
        while !records.current.bytes.is_empty() && records.current.position < end {
            let current = &records.current;
            let from = current.position.max(position);
            let to = current.end().min(end);
            if from < to {
                let [target, source] = [position, current.position]
                    .map(|base| usize::try_from(from - base).unwrap_or(usize::MAX));
                let length = usize::try_from(to - from).unwrap_or(usize::MAX);
                buffer[target..target + length]
                    .copy_from_slice(&current.bytes[source..source + length]);
            }
            if current.end() > end {
                break;
            }
            records.passed = current.end();
            records.next()?;
        }
        Ok(())
    }
}

impl Records {
    fn new(mut file: File, mark: CheckpointMark) -> io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        let mut records = Self {
            file: BufReader::new(file).take(mark.bytes),
            current: IndexCheckpoint::default(),
            passed: 0,
        };
        records.next()?;
        Ok(records)
    }

    fn next(&mut self) -> io::Result<()> {
        self.current = IndexCheckpoint::default();
        let mut header = [0; RECORD_HEADER];
        if self.file.limit() < RECORD_HEADER as u64 {
            return Ok(());
        }
        self.file.read_exact(&mut header)?;
        let (position, length) = header.split_at(8);
        let position = u64::from_le_bytes(position.try_into().map_err(io::Error::other)?);
        let length = u32::from_le_bytes(length.try_into().map_err(io::Error::other)?);
        if u64::from(length) > self.file.limit() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        self.file.read_exact(&mut bytes)?;
        self.current = IndexCheckpoint { position, bytes };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(position: u64, bytes: &[u8]) -> IndexCheckpoint {
        IndexCheckpoint {
            position,
            bytes: bytes.to_vec(),
        }
    }

    #[test]
    fn bytes_between_checkpoints_read_as_zeros() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let mut checkpoints = CheckpointFile::open(folder.path(), CheckpointMark::default(), 0)?;
        checkpoints.add(&[checkpoint(0, b"abc"), checkpoint(5, b"de")], 9)?;
        checkpoints.add(&[checkpoint(9, b"fgh")], 14)?;
        let expected = b"abc\0\0de\0\0fgh\0\0";
        for size in 1..=expected.len() {
            let mut reader = CheckpointReader::new(folder.path(), checkpoints.mark());
            let mut read = Vec::new();
            while read.len() < expected.len() {
                let mut buffer = vec![b'?'; size.min(expected.len() - read.len())];
                reader.read_at(read.len() as u64, &mut buffer)?;
                read.extend(buffer);
            }
            assert_eq!(read, expected, "in pieces of {size}");
            let mut again = [b'?'; 2];
            reader.read_at(1, &mut again)?;
            assert_eq!(&again, b"bc", "backwards");
        }
        Ok(())
    }

    #[test]
    fn repeated_checkpoints_are_not_stored_again() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let mut checkpoints = CheckpointFile::open(folder.path(), CheckpointMark::default(), 0)?;
        checkpoints.add(&[checkpoint(0, b"abc")], 3)?;
        let mark = checkpoints.mark();
        checkpoints.add(&[checkpoint(3, b"torn")], 7)?;
        drop(checkpoints);

        let mut checkpoints = CheckpointFile::open(folder.path(), mark, 7)?;
        checkpoints.add(&[checkpoint(0, b"abcdef")], 6)?;
        let mut all = [0; 6];
        CheckpointReader::new(folder.path(), checkpoints.mark()).read_at(0, &mut all)?;
        assert_eq!(&all, b"abcdef");
        assert_eq!(
            checkpoints.mark().bytes,
            2 * RECORD_HEADER as u64 + 6,
            "each byte once"
        );
        Ok(())
    }

    #[test]
    fn checkpoints_behind_the_stream_are_dropped() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let mut checkpoints = CheckpointFile::open(folder.path(), CheckpointMark::default(), 0)?;
        checkpoints.add(&[checkpoint(0, b"ab"), checkpoint(4, b"cdef")], 20)?;
        let mark = checkpoints.mark();
        for (stream_length, position) in [(20, 20), (10, 10), (8, 8), (7, 4), (3, 3), (1, 0)] {
            let mut checkpoints = CheckpointFile::open(folder.path(), mark, stream_length)?;
            assert_eq!(checkpoints.mark().position, position, "{stream_length}");
            checkpoints.add(&[checkpoint(0, b"ab"), checkpoint(4, b"cdef")], 20)?;
            assert_eq!(checkpoints.mark(), mark, "the same again");
        }
        Ok(())
    }
}
