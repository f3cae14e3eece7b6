//! Reads the length of the encoded media from the timestamps of its WebM or Matroska stream.
//!
//! An encoder that is slower than the source drops pictures and falls behind the clock, although it still emits bytes.
//! Only the timestamps in the stream show the length of the recording. MP4 is not read: its fragments are rare, and the
//! browsers that write only MP4 encode in hardware.

use std::ops::Range;

/// Maximum size of an element's header and the value after it.
const WINDOW_BYTES: usize = 24;
/// Upper limit of the server for a last picture of unknown length.
const LONGEST_PICTURE_MS: u64 = 1_000;

const EBML: u32 = 0x1a45_dfa3;
const SEGMENT: u32 = 0x1853_8067;
const INFO: u32 = 0x1549_a966;
const TIMESTAMP_SCALE: u32 = 0x2a_d7b1;
const CLUSTER: u32 = 0x1f43_b675;
const TIMESTAMP: u32 = 0xe7;
const SIMPLE_BLOCK: u32 = 0xa3;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;

/// Walks over the elements of a stream that arrives in chunks. Payloads are skipped, and few bytes are copied.
#[derive(Clone, Debug)]
pub(crate) struct MediaTime {
    /// Offset of the next element; `None` for a stream that is not understood.
    next: Option<u64>,
    /// Bytes from `next` on whose element is not complete yet.
    pending: Vec<u8>,
    scale_ns: u64,
    cluster_ticks: u64,
    first_ms: Option<u64>,
    last_ms: u64,
    picture_ms: u64,
}

impl Default for MediaTime {
    fn default() -> Self {
        Self {
            next: Some(0),
            pending: Vec::new(),
            scale_ns: 1_000_000,
            cluster_ticks: 0,
            first_ms: None,
            last_ms: 0,
            picture_ms: 0,
        }
    }
}

impl MediaTime {
    /// Returns the time of the first picture in bytes that begin with a cluster, in ms of the stream.
    pub(crate) fn of_first_picture(cluster: &[u8]) -> Option<u64> {
        // Behind the beginning of a stream.
        let mut time = Self {
            next: Some(1),
            ..Self::default()
        };
        time.chunk(1..1 + cluster.len() as u64, |range| {
            let at = |offset| usize::try_from(offset - 1).unwrap_or(usize::MAX);
            cluster[at(range.start)..at(range.end)].to_vec()
        });
        time.first_ms
    }

    /// Takes the next chunk, the stream's bytes in `range`; `read` copies some of them.
    pub(crate) fn chunk(&mut self, range: Range<u64>, mut read: impl FnMut(Range<u64>) -> Vec<u8>) {
        while let Some(next) = self.next {
            let start = next + self.pending.len() as u64;
            let missing = WINDOW_BYTES.saturating_sub(self.pending.len()) as u64;
            if start >= range.end {
                return;
            }
            if start < range.start || missing == 0 {
                // A chunk is missing, or the bytes are no element.
                self.next = None;
                return;
            }
            self.pending
                .extend(read(start..range.end.min(start + missing)));
            self.walk();
        }
    }

    /// Reads the complete elements among the pending bytes.
    fn walk(&mut self) {
        while let (Some(at), Some((id, header, size))) = (self.next, element(&self.pending)) {
            if at == 0 && id != EBML {
                self.next = None;
                return;
            }
            let Some(skipped) = self.enter(id, header, size) else {
                return;
            };
            self.next = at.checked_add(skipped);
            let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
            self.pending.drain(..skipped.min(self.pending.len()));
        }
    }

    /// Returns the length of the media so far in milliseconds; `None` before the first picture and for other
    /// containers.
    pub(crate) fn length_ms(&self) -> Option<u64> {
        self.next?;
        let first_ms = self.first_ms?;
        Some(self.last_ms - first_ms + self.picture_ms.min(LONGEST_PICTURE_MS))
    }

    /// Reads an element and returns the number of bytes to the next one; `None` while its value is incomplete.
    fn enter(&mut self, id: u32, header: usize, size: Option<u64>) -> Option<u64> {
        let value = self.pending.get(header..).unwrap_or_default();
        let needed = match id {
            TIMESTAMP_SCALE | TIMESTAMP => size.unwrap_or_default().min(8),
            SIMPLE_BLOCK | BLOCK => 3,
            _ => 0,
        };
        if (value.len() as u64) < needed && self.pending.len() < WINDOW_BYTES {
            return None;
        }
        match id {
            TIMESTAMP_SCALE => self.scale_ns = number(value, needed),
            TIMESTAMP => self.cluster_ticks = number(value, needed),
            SIMPLE_BLOCK | BLOCK => {
                // Recorders have few tracks, so a track number takes one byte.
                if let [_, high, low, ..] = value {
                    self.picture(i16::from_be_bytes([*high, *low]));
                }
            }
            _ => {}
        }
        let is_parent = matches!(id, SEGMENT | INFO | CLUSTER | BLOCK_GROUP);
        match (is_parent, size) {
            (true, _) => Some(header as u64),
            (false, Some(size)) => size.checked_add(header as u64),
            (false, None) => Some(u64::MAX),
        }
    }

    fn picture(&mut self, relative: i16) {
        let ticks = self.cluster_ticks.saturating_add_signed(relative.into());
        let at_ms = ticks.saturating_mul(self.scale_ns) / 1_000_000;
        self.first_ms = Some(self.first_ms.map_or(at_ms, |it| it.min(at_ms)));
        if at_ms > self.last_ms {
            self.picture_ms = at_ms - self.last_ms;
            self.last_ms = at_ms;
        }
    }
}

/// Returns ID, bytes of ID and size, and size of the first element; an unknown size is `None`.
fn element(bytes: &[u8]) -> Option<(u32, usize, Option<u64>)> {
    let id_width = bytes.first()?.leading_zeros() as usize + 1;
    let size_width = bytes.get(id_width)?.leading_zeros() as usize + 1;
    let header = id_width + size_width;
    if id_width > 4 || size_width > 8 {
        return None;
    }
    let id = number(bytes.get(..id_width)?, 4);
    let unknown = (1 << (7 * size_width)) - 1;
    let size = number(bytes.get(id_width..header)?, 8) & unknown;
    let size = Some(size).filter(|it| *it != unknown);
    Some((u32::try_from(id).ok()?, header, size))
}

/// Returns the first `length` bytes as a big-endian number.
fn number(bytes: &[u8], length: u64) -> u64 {
    let bytes = bytes.iter().take(usize::try_from(length).unwrap_or(8));
    bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use sortie_media::{Indexer, Options};

    use super::*;

    const CHROMIUM: &[u8] = include_bytes!("../../../media/tests/data/chromium-vp9-opus.webm");
    const FIREFOX: &[u8] = include_bytes!("../../../media/tests/data/firefox-vp8-opus.webm");
    const MATROSKA: &[u8] = include_bytes!("../../../media/tests/data/chromium-avc1-opus-mkv.mkv");
    const MP4: &[u8] = include_bytes!("../../../media/tests/data/chromium-mp4.mp4");

    /// Reads `stream` as it arrives in chunks of `size`.
    fn read(stream: &[u8], size: usize) -> MediaTime {
        let mut time = MediaTime::default();
        for (i, chunk) in stream.chunks(size).enumerate() {
            let start = (i * size) as u64;
            time.chunk(start..start + chunk.len() as u64, |range| {
                let at = |offset: u64| usize::try_from(offset - start).expect("small");
                chunk[at(range.start)..at(range.end)].to_vec()
            });
        }
        time
    }

    #[track_caller]
    fn check(stream: &[u8]) {
        let mut indexer = Indexer::with(Options::default());
        indexer.push(stream);
        let duration_ms = indexer.report().duration_ms;
        for size in [1, 7, 1_000, 65_536, stream.len()] {
            let length_ms = read(stream, size).length_ms().expect("pictures");
            assert!(
                length_ms.abs_diff(duration_ms) < 300,
                "{length_ms} of {duration_ms} ms in chunks of {size}"
            );
        }
    }

    #[test]
    fn length_is_that_of_the_finished_file() {
        check(CHROMIUM);
        check(FIREFOX);
        check(MATROSKA);
    }

    #[test]
    fn length_of_other_containers_is_unknown() {
        for stream in [
            &b"hello, this is text and no recording"[..],
            MP4,
            &[0xff; 64],
            &[0; 64],
        ] {
            assert_eq!(read(stream, 10).length_ms(), None);
        }
        assert_eq!(read(&CHROMIUM[..40], 40).length_ms(), None);
    }

    #[test]
    fn first_picture_of_a_cluster_has_its_time_in_the_stream() {
        let mut times = Vec::new();
        for at in 0..CHROMIUM.len() {
            if CHROMIUM[at..].starts_with(&CLUSTER.to_be_bytes()) {
                times.extend(MediaTime::of_first_picture(
                    &CHROMIUM[at..CHROMIUM.len().min(at + 64)],
                ));
            }
        }
        assert!(times.len() > 1 && times.is_sorted(), "{times:?}");
        assert_eq!(times.first(), Some(&0));
        assert_eq!(MediaTime::of_first_picture(&CHROMIUM[..0]), None);
        assert_eq!(MediaTime::of_first_picture(&[0xff; 64]), None);
    }

    #[test]
    fn damaged_sizes_end_the_walk() {
        let mut stream = CHROMIUM.to_vec();
        let at = stream.len() / 2;
        stream[at..at + 64].fill(0);
        let _any_length = read(&stream, 1_000).length_ms();
    }
}
