//! Joins the front matter of a recording with bytes from its middle into a well-formed file.
//!
//! Bytes from the middle of a cluster or fragment are no elements or boxes: a reader would interpret the first of them
//! as a size and might skip everything behind it. A filler, an EBML Void element or an MP4 `free` box, covers the bytes
//! up to the next cluster or fragment.

/// Overlap of two search windows, so that a start across their border is found.
pub(crate) const OVERLAP: usize = 7;

/// Container of a recorder's stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Ebml,
    Mp4,
}

impl Format {
    /// Returns the format of a stream that begins with `front`.
    pub(crate) fn of(front: &[u8]) -> Option<Self> {
        if front.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) {
            Some(Self::Ebml)
        } else if front.get(4..8) == Some(b"ftyp") {
            Some(Self::Mp4)
        } else {
            None
        }
    }

    /// Returns the offset of the first cluster or fragment in `bytes`. It needs four bytes (cluster) or eight bytes
    /// (fragment) to be recognised; the bytes behind them must fit as far as they are in `bytes`.
    pub(crate) fn media_start(self, bytes: &[u8]) -> Option<usize> {
        let is_start = match self {
            Self::Ebml => is_cluster,
            Self::Mp4 => is_fragment,
        };
        (0..bytes.len()).find(|&at| bytes.get(at..).is_some_and(is_start))
    }

    /// Returns the header of a filler that covers the `length` bytes behind it; `None` when `length` is too large.
    pub(crate) fn filler(self, length: u64) -> Option<Vec<u8>> {
        match self {
            Self::Ebml => {
                // All ones means an unknown size.
                let size = Some(length).filter(|it| *it < (1 << 56) - 1)?;
                let size = size | 1 << 56;
                Some([&[0xec], &size.to_be_bytes()[..]].concat())
            }
            Self::Mp4 => {
                let size = u32::try_from(length.checked_add(8)?).ok()?;
                Some([&size.to_be_bytes()[..], b"free"].concat())
            }
        }
    }
}

/// Whether `bytes` begin with a `Cluster` whose first child is a `Timestamp` or a `CRC-32`, as in every muxer's output.
fn is_cluster(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(&[0x1f, 0x43, 0xb6, 0x75]) else {
        return false;
    };
    let Some(&first) = rest.first() else {
        return true;
    };
    let width = first.leading_zeros() as usize + 1;
    let child = rest.get(width..).unwrap_or_default();
    width <= 8
        && match child {
            [] | [0xe7 | 0xbf] => true,
            [0xe7, size, ..] => (0x81..=0x88).contains(size),
            [0xbf, size, ..] => *size == 0x84,
            _ => false,
        }
}

/// Whether `bytes` begin with a `moof` whose first child is an `mfhd`, as ISO/IEC 14496-12 requires.
fn is_fragment(bytes: &[u8]) -> bool {
    const CHILD: &[u8] = b"\0\0\0\x10mfhd";
    let child = bytes.get(8..).unwrap_or_default();
    let length = child.len().min(CHILD.len());
    bytes.get(4..8) == Some(b"moof") && child.get(..length) == CHILD.get(..length)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use sortie_media::{Finish, Indexer, Options, Report};

    use super::*;

    const CHROMIUM: &[u8] = include_bytes!("../../media/tests/data/chromium-vp9-opus.webm");
    const FIREFOX: &[u8] = include_bytes!("../../media/tests/data/firefox-vp8-opus.webm");
    const MATROSKA: &[u8] = include_bytes!("../../media/tests/data/chromium-avc1-opus-mkv.mkv");
    const MP4: &[u8] = include_bytes!("../../media/tests/data/chromium-mp4.mp4");

    fn index(stream: &[u8]) -> (Report, Finish) {
        let mut indexer = Indexer::with(Options::default().patch_clusters(false));
        indexer.push(stream);
        let report = indexer.report();
        (report, indexer.finish().expect("a playable stream"))
    }

    /// Returns the offsets of all clusters or fragments.
    fn starts(format: Format, stream: &[u8]) -> Vec<usize> {
        let mut starts = Vec::new();
        while let Some(at) = format.media_start(&stream[starts.last().map_or(0, |it| it + 1)..]) {
            starts.push(at + starts.last().map_or(0, |it| it + 1));
        }
        starts
    }

    /// Returns front matter, filler and the bytes of `stream` from `split` on.
    fn splice(format: Format, stream: &[u8], split: usize) -> Option<Vec<u8>> {
        let front = &stream[..format.media_start(stream)?];
        let tail = &stream[split..];
        let filler = match format.media_start(tail)? {
            0 => Vec::new(),
            length => format.filler(length as u64)?,
        };
        Some([front, &filler, tail].concat())
    }

    /// Returns splits around each cluster or fragment, and some between them.
    fn splits(starts: &[usize]) -> impl Iterator<Item = usize> {
        let last = starts[starts.len() - 1];
        let around = |at: &usize| -> Range<usize> { at - 20..(at + 40).min(last + 1) };
        let around: Vec<_> = starts.iter().flat_map(around).collect();
        (1..=last).step_by(11).chain(around)
    }

    #[track_caller]
    fn check(stream: &[u8], format: Format) {
        assert_eq!(Format::of(stream), Some(format));
        let starts = starts(format, stream);
        assert!(starts.len() > 2, "{starts:?}");
        // Compares with the same clusters or fragments directly behind the front matter, without filler.
        let clean = |at: usize| index(&[&stream[..starts[0]], &stream[at..]].concat());
        let clean: Vec<_> = starts.iter().map(|&at| clean(at)).collect();
        for split in splits(&starts) {
            let spliced = splice(format, stream, split).expect("media behind the split");
            assert!(spliced.ends_with(&stream[split..]), "bytes lost at {split}");
            let (report, finish) = index(&spliced);
            let (clean_report, clean) = &clean[starts.partition_point(|&at| at < split)];
            assert_eq!(
                report.frame_stats, clean_report.frame_stats,
                "frames, split at {split}"
            );
            assert_eq!(report.damage.count, 0, "damage, split at {split}");
            assert_eq!(finish.duration_ms, clean.duration_ms, "split at {split}");
            assert_eq!(finish.keyframes, clean.keyframes, "split at {split}");
            assert_eq!(finish.tracks, clean.tracks, "split at {split}");
            assert_eq!(finish.hidden, [], "split at {split}");
            let lengths = |it: &Finish| it.left_out.iter().map(|it| it.length).collect::<Vec<_>>();
            assert_eq!(lengths(&finish), lengths(clean), "split at {split}");
        }
    }

    #[test]
    fn any_split_of_chromium_webm_keeps_all_following_clusters() {
        check(CHROMIUM, Format::Ebml);
    }

    #[test]
    fn any_split_of_firefox_webm_keeps_all_following_clusters() {
        check(FIREFOX, Format::Ebml);
    }

    #[test]
    fn any_split_of_chromium_matroska_keeps_all_following_clusters() {
        check(MATROSKA, Format::Ebml);
    }

    #[test]
    fn any_split_of_chromium_mp4_keeps_all_following_fragments() {
        check(MP4, Format::Mp4);
    }

    #[test]
    fn search_in_windows_finds_the_same_start() {
        for (stream, format) in [(CHROMIUM, Format::Ebml), (MP4, Format::Mp4)] {
            let start = format.media_start(stream);
            for end in start.unwrap_or_default() + 1..stream.len().min(2_000) {
                let found = format.media_start(&stream[..end]).or_else(|| {
                    let next = end - OVERLAP;
                    Some(next + format.media_start(&stream[next..])?)
                });
                assert_eq!(found, start, "window ends at {end}");
            }
        }
    }

    #[test]
    fn identifiers_within_a_frame_are_not_recognised() {
        let cluster = b"\x1f\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff";
        let bytes = [&cluster[..], b"\xa3\x81", cluster, b"\xe7\x81\0"].concat();
        assert_eq!(Format::Ebml.media_start(&bytes), Some(14));
        assert_eq!(
            Format::Ebml.media_start(b"\x1f\x43\xb6\x75\0\xe7\x81\0"),
            None
        );
        let bytes = b"\0\0\0\x20moof in a text, \0\0\0\x20moof\0\0\0\x10mfhd";
        assert_eq!(Format::Mp4.media_start(bytes), Some(20));
    }

    #[test]
    fn filler_refuses_an_unencodable_length() {
        assert_eq!(Format::Ebml.filler(u64::MAX), None);
        assert_eq!(Format::Ebml.filler((1 << 56) - 1), None);
        assert_eq!(Format::Mp4.filler(u64::MAX), None);
        assert_eq!(Format::Mp4.filler(u64::from(u32::MAX)), None);
    }

    #[test]
    fn format_of_unknown_front_matter_is_none() {
        for front in [&b""[..], b"\x1a\x45\xdf", b"RIFF....AVI "] {
            assert_eq!(Format::of(front), None);
        }
    }
}
