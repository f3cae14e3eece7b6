//! Layout of a stored file, and reading it again after a restart.
//!
//! ```text
//! 0           HEAD_ROOM                         HEAD_ROOM + stream length
//! | head room | stream, exactly as received ... | index (finished files only) |
//! ```

use std::io;
use std::ops::Range;

use crate::container::Signature;
use crate::indexer::Indexer;
use crate::options::Options;
pub use crate::patch::HEAD_ROOM;
use crate::patch::Patch;
use crate::{mp4, webm};

/// Bytes from the start of a file that [`Layout::sniff`] and [`finished_mp4_stream`] examine: the head room and the
/// header of the stream's first element or box.
pub const SNIFF_SIZE: usize = HEAD_ROOM_SIZE + 16;

/// Buffer size for [`read_next`] that suits disks: 256 KiB. Seeking over fewer bytes than this costs more than
/// reading them.
pub const SCAN_BUFFER_SIZE: usize = 256 * 1024;

#[expect(clippy::cast_possible_truncation, reason = "4096")]
const HEAD_ROOM_SIZE: usize = HEAD_ROOM as usize;

/// Start of the stream within a file, recognised by the first bytes of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Layout {
    /// No head room: the file is itself the stream.
    Plain,
    /// A head room of zeros: the upload has just begun, or its container is unknown.
    Blank,
    /// A head of this crate, and a stream behind it.
    Headed,
    /// A head as this crate writes for MP4, followed by zeros or nothing: either a power cut lost the first bytes of
    /// the stream, or another program wrote an MP4 with a long `free` or `mdat` box.
    HeadOnly,
}

impl Layout {
    /// Recognises the layout of a file by its first [`SNIFF_SIZE`] bytes, or by all of a shorter file.
    #[must_use]
    pub fn sniff(start: &[u8]) -> Self {
        let (head, stream) = start.split_at(start.len().min(HEAD_ROOM_SIZE));
        if is_zero(head) {
            return Self::Blank;
        }
        if [head, stream].map(Signature::of) == [Some(Signature::Ebml); 2]
            && webm::is_stored_head(head)
        {
            return Self::Headed;
        }
        match (mp4::StoredHead::parse(head), Signature::of(stream)) {
            (Some(_), Some(Signature::Mp4)) => Self::Headed,
            (Some(_), _) if is_zero(&stream[..stream.len().min(8)]) => Self::HeadOnly,
            _ => Self::Plain,
        }
    }

    /// Returns the position of the stream's first byte in the file.
    #[must_use]
    pub fn stream_start(self) -> u64 {
        match self {
            Self::Plain => 0,
            Self::Blank | Self::Headed | Self::HeadOnly => HEAD_ROOM,
        }
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

/// Returns the range of the stream in a finished MP4 of `size` bytes, without the appended index. `None` for a file
/// that this crate did not finish.
///
/// `start` is the first [`SNIFF_SIZE`] bytes of the file.
#[must_use]
pub fn finished_mp4_stream(start: &[u8], size: u64) -> Option<Range<u64>> {
    let (head, stream) = start.split_at_checked(HEAD_ROOM_SIZE)?;
    if Signature::of(stream) != Some(Signature::Mp4) {
        return None;
    }
    let end = match mp4::StoredHead::parse(head)? {
        mp4::StoredHead::Indexed { end } => end,
        mp4::StoredHead::Fragmented => size,
        mp4::StoredHead::Growing => return None,
    };
    (HEAD_ROOM..=size).contains(&end).then_some(HEAD_ROOM..end)
}

/// Reads the next bytes of a stored stream that `indexer` needs, and skips those it does not need.
///
/// `length` is the length of the stream. `read_at` fills as much of a buffer as it can from a stream offset, and
/// returns how many bytes it read. The caller pushes the returned bytes to the indexer and calls again until the
/// result is `None`, the end of the stream.
///
/// # Errors
///
/// Errors of `read_at`; [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if it reads nothing in front of `length`.
pub fn read_next<'b>(
    indexer: &mut Indexer,
    length: u64,
    buffer: &'b mut [u8],
    read_at: impl FnOnce(u64, &mut [u8]) -> io::Result<usize>,
) -> io::Result<Option<&'b [u8]>> {
    loop {
        let remaining = length.saturating_sub(indexer.received());
        if remaining == 0 {
            return Ok(None);
        }
        let skippable = indexer.skippable().min(remaining);
        if skippable < buffer.len() as u64 {
            let wanted = usize::try_from(remaining).map_or(buffer.len(), |n| n.min(buffer.len()));
            let read = read_at(indexer.received(), &mut buffer[..wanted])?;
            return match read {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                _ => Ok(Some(&buffer[..read])),
            };
        }
        indexer.skip(skippable);
    }
}

/// Indexes a complete stored stream of `length` bytes, for inspection and repair.
///
/// `read_at` reads as in [`read_next`]. `patch` receives the patches in order, and may drop them if only the index is
/// of interest.
///
/// # Errors
///
/// Errors of [`read_next`] and of `patch`.
pub fn scan(
    length: u64,
    mut read_at: impl FnMut(u64, &mut [u8]) -> io::Result<usize>,
    mut patch: impl FnMut(&Patch) -> io::Result<()>,
) -> io::Result<Indexer> {
    let mut indexer = Indexer::with(Options::default().stream_length(length));
    let mut buffer = vec![0; SCAN_BUFFER_SIZE];
    while let Some(bytes) = read_next(&mut indexer, length, &mut buffer, &mut read_at)? {
        indexer.push(bytes);
        while let Some(found) = indexer.poll_patch() {
            patch(&found)?;
        }
    }
    Ok(indexer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEBM: &[u8] = b"\x1A\x45\xDF\xA3\x80 and so on";
    const MP4: &[u8] = b"\0\0\0\x18ftypisom";

    fn file(head: &[u8], stream: &[u8]) -> Vec<u8> {
        let mut bytes = head.to_vec();
        bytes.resize(HEAD_ROOM_SIZE, 0);
        bytes.extend_from_slice(stream);
        bytes
    }

    /// An `ftyp` of 16 bytes, then `boxes`.
    fn head(boxes: &[&[u8]]) -> Vec<u8> {
        [b"\0\0\0\x10ftypisom\0\0\0\0", boxes.concat().as_slice()].concat()
    }

    fn indexed_head(stream_length: u64) -> Vec<u8> {
        let size = HEAD_ROOM - 16 + stream_length;
        head(&[b"\0\0\0\x01mdat", &size.to_be_bytes()])
    }

    #[test]
    fn layout_is_recognised_by_head_and_stream() {
        let webm_head = b"\x1A\x45\xDF\xA3 Sortie Recording";
        let free = head(&[b"\0\0\x0F\xF0free"]);
        let moov_and_free = head(&[b"\0\0\0\x08moov", b"\0\0\x10\0free"]);
        let short_free = head(&[b"\0\0\x0F\xEFfree"]);
        for (start, expected) in [
            (file(b"", WEBM), Layout::Blank),
            (file(b"", b""), Layout::Blank),
            (Vec::new(), Layout::Blank),
            (file(webm_head, WEBM), Layout::Headed),
            (file(WEBM, WEBM), Layout::Plain),
            (file(webm_head, MP4), Layout::Plain),
            (file(&free, MP4), Layout::Headed),
            (file(&free, b"whatever"), Layout::Plain),
            (file(&free, &[0; 16]), Layout::HeadOnly),
            (free.clone(), Layout::HeadOnly),
            (file(&short_free, MP4), Layout::Plain),
            (file(&moov_and_free, MP4), Layout::Headed),
            (file(&indexed_head(1000), MP4), Layout::Headed),
            (b"Hello".to_vec(), Layout::Plain),
            (MP4.to_vec(), Layout::Plain),
            (vec![0xFF; SNIFF_SIZE], Layout::Plain),
        ] {
            assert_eq!(Layout::sniff(&start), expected, "{start:02x?}");
        }
    }

    #[test]
    fn stream_of_finished_mp4_ends_before_index() {
        let start = file(&indexed_head(1000), MP4);
        assert_eq!(finished_mp4_stream(&start, 6000), Some(4096..5096));
        assert_eq!(finished_mp4_stream(&start, 5000), None, "truncated");
        let fragmented = head(&[b"\0\0\0\x08moov", b"\0\0\x10\0free"]);
        let start = file(&fragmented, MP4);
        assert_eq!(finished_mp4_stream(&start, 9000), Some(4096..9000));
    }

    #[test]
    fn other_files_have_no_stream_behind_head_room() {
        let overflowing = head(&[b"\0\0\0\x01mdat", &u64::MAX.to_be_bytes()]);
        for start in [
            Vec::new(),
            b"\0\0\0\x10ftyp".to_vec(),
            file(b"", MP4),
            file(&overflowing, MP4),
            file(&indexed_head(1000), b"\0\0\0\x18xtypisom"),
            file(&head(&[b"\0\0\x0F\xF0free"]), MP4),
            vec![0xFF; SNIFF_SIZE],
        ] {
            assert_eq!(finished_mp4_stream(&start, 5096), None, "{start:02x?}");
        }
    }

    #[test]
    fn scan_reads_only_what_the_indexer_needs() {
        let mut stream = include_bytes!("../tests/data/chromium-vp8.webm").to_vec();
        let expected = {
            let mut indexer = Indexer::new();
            indexer.push(&stream);
            indexer.report()
        };
        // A Void element of 64 MiB at the end.
        let void = 64u64 << 20;
        stream.extend([0xEC, 0x01, 0, 0, 0]);
        stream.extend(u32::try_from(void).expect("small").to_be_bytes());
        let length = stream.len() as u64 + void;
        let mut read = 0;
        let read_at = |at: u64, buffer: &mut [u8]| {
            let at = usize::try_from(at).expect("small").min(stream.len());
            let rest = &stream[at..];
            let count = if rest.is_empty() {
                buffer.fill(0);
                buffer.len()
            } else {
                let count = rest.len().min(buffer.len());
                buffer[..count].copy_from_slice(&rest[..count]);
                count
            };
            read += count;
            Ok(count)
        };
        let mut patches = 0;
        let indexer = scan(length, read_at, |_| {
            patches += 1;
            Ok(())
        });
        let indexer = indexer.expect("readable");
        assert_eq!(indexer.received(), length);
        assert_eq!(indexer.report().frame_stats, expected.frame_stats);
        assert!(patches > 0);
        assert!(read < stream.len() + SCAN_BUFFER_SIZE, "{read}");
    }

    #[test]
    fn scan_of_truncated_file_is_unexpected_eof() {
        let error = scan(10, |_, _| Ok(0), |_| Ok(())).expect_err("too short");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
