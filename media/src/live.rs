//! Playback of a growing file: where it can begin, and its media type.

use serde::{Deserialize, Serialize};

use crate::container::Container;
use crate::ebml::{
    ids,
    vint::{self, Parsed},
    write::Writer,
};
use crate::patch::HEAD_ROOM;
use crate::track::{Track, TrackKind};

/// Maximum number of entry points of an MP4.
const LIMIT: usize = 4096;
/// Number of entries after [`EntryPoints::shorten`].
const SHORT_LIMIT: usize = 1024;
/// Minimum distance between them until the list is full, in ms.
const FIRST_DISTANCE_MS: u64 = 500;

/// Keyframe at which playback of a growing file can begin: the head of the file, [`header`](Self::header), and the
/// stored bytes from [`position`](Self::position) on are a playable stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryPoint {
    /// Time of the keyframe in ms.
    pub time_ms: u64,
    /// Position in the stored file.
    pub position: u64,
    /// Timestamp of the cluster in ticks, if `position` is within a cluster.
    pub cluster_timestamp: Option<u64>,
}

impl EntryPoint {
    /// Entry point at the start of the cluster or fragment at stream offset `start`.
    pub(crate) fn at(time_ms: u64, start: u64) -> Self {
        Self {
            time_ms,
            position: HEAD_ROOM.saturating_add(start),
            cluster_timestamp: None,
        }
    }

    /// Entry point at the block at stream offset `block`, in a cluster with this timestamp in ticks.
    pub(crate) fn in_cluster(time_ms: u64, block: u64, timestamp: u64) -> Self {
        Self {
            cluster_timestamp: Some(timestamp),
            ..Self::at(time_ms, block)
        }
    }

    /// Returns the bytes to send between the head and the stored bytes: the start of a cluster of unknown size, if the
    /// keyframe is not the first of its cluster.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        if let Some(timestamp) = self.cluster_timestamp {
            writer.open(ids::CLUSTER, None);
            writer.uint(ids::TIMESTAMP, timestamp);
        }
        writer.into_bytes()
    }
}

/// Returns the head of a live stream for the head of the stored file, which ends at
/// [`Indexer::head_end`](crate::Indexer::head_end). Of WebM, only Info and Tracks remain: Chromium requires that nothing
/// is between them.
#[must_use]
pub fn live_head(stored: &[u8]) -> Vec<u8> {
    let mut writer = Writer::new();
    let mut at = 0;
    while let Some(rest) = stored.get(at..)
        && let Parsed::Item(header, width) = vint::header(rest)
    {
        if header.id == ids::SEGMENT {
            writer.open(ids::SEGMENT, None);
            at += width;
            continue;
        }
        let size = header.size.and_then(|size| usize::try_from(size).ok());
        let end = size.and_then(|size| width.checked_add(size));
        let Some(element) = end.and_then(|end| rest.get(..end)) else {
            break;
        };
        if matches!(header.id, ids::EBML | ids::INFO | ids::TRACKS) {
            writer.raw(element);
        }
        at += element.len();
    }
    match writer.len() {
        0 => stored.to_vec(),
        _ => writer.into_bytes(),
    }
}

/// Bounded list of entry points, evenly spread over a recording of any length.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct EntryPoints {
    entries: Vec<EntryPoint>,
    newest: Option<EntryPoint>,
    /// Minimum distance between entries in ms; 0 for [`FIRST_DISTANCE_MS`].
    distance_ms: u64,
}

impl EntryPoints {
    pub(crate) fn add(&mut self, entry: EntryPoint) {
        self.newest = Some(entry);
        self.distance_ms = self.distance_ms.max(FIRST_DISTANCE_MS);
        let last = self.entries.last();
        if last.is_some_and(|last| entry.time_ms < last.time_ms.saturating_add(self.distance_ms)) {
            return;
        }
        if self.entries.len() >= LIMIT {
            self.thin();
        }
        self.entries.push(entry);
    }

    /// Keeps the newest entry and a shorter list.
    pub(crate) fn shorten(&mut self) {
        while self.entries.len() > SHORT_LIMIT {
            self.thin();
        }
        self.entries.shrink_to_fit();
    }

    /// Drops every second entry.
    fn thin(&mut self) {
        halve(&mut self.entries);
        self.distance_ms = self.distance_ms.saturating_mul(2);
    }

    pub(crate) fn newest(&self) -> Option<EntryPoint> {
        self.newest
    }

    pub(crate) fn entries(&self) -> &[EntryPoint] {
        &self.entries
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<EntryPoint>()
    }
}

/// Removes every second element, and keeps the first one.
pub(crate) fn halve<T>(elements: &mut Vec<T>) {
    let mut odd = true;
    elements.retain(|_| {
        odd = !odd;
        !odd
    });
}

/// Returns the media type with the codecs of the first video and the first audio track (RFC 6381), as `MediaSource`
/// expects it. Codecs that need parameters get those of a common profile; decoders read the real ones from the stream.
pub(crate) fn media_type(container: Container, tracks: &[Track]) -> String {
    let first = |kind| tracks.iter().find(|track| track.kind == kind);
    let tracks = [first(TrackKind::Video), first(TrackKind::Audio)];
    let codecs: Vec<_> = tracks.into_iter().flatten().map(codec).collect();
    format!("{}; codecs=\"{}\"", container.mime_type(), codecs.join(","))
}

fn codec(track: &Track) -> &str {
    match track.codec.as_str() {
        "V_VP8" | "vp08" => "vp8",
        "V_VP9" => "vp9",
        "vp09" => "vp09.00.41.08",
        "V_AV1" | "av01" => "av01.0.09M.08",
        "V_MPEG4/ISO/AVC" | "avc1" => "avc1.640033",
        "avc3" => "avc3.640033",
        "V_MPEGH/ISO/HEVC" | "hvc1" => "hvc1.1.6.L153.B0",
        "hev1" => "hev1.1.6.L153.B0",
        "A_OPUS" | "Opus" => "opus",
        "A_VORBIS" => "vorbis",
        "A_FLAC" | "fLaC" => "flac",
        "mp4a" => "mp4a.40.2",
        // No browser knows it; the identifier may contain characters that end a quoted string.
        other if other.bytes().all(|byte| byte.is_ascii_alphanumeric()) && !other.is_empty() => {
            other
        }
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_within_a_cluster_gets_a_cluster_of_unknown_size() {
        assert_eq!(EntryPoint::at(5, 100).header(), b"");
        let entry = EntryPoint::in_cluster(5, 100, 0x1234);
        let expected = b"\x1F\x43\xB6\x75\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xE7\x82\x12\x34";
        assert_eq!(entry.header(), expected);
        assert_eq!(entry.position, HEAD_ROOM + 100);
    }

    #[test]
    fn head_of_webm_is_reduced_to_info_and_tracks() {
        let mut writer = Writer::new();
        writer.master(ids::EBML, |w| w.string(ids::DOC_TYPE, "webm"));
        writer.open(ids::SEGMENT, Some(5000));
        writer.element(ids::SEEK_HEAD, b"seek");
        writer.element(ids::INFO, b"info");
        writer.element(ids::VOID, &[0; 3000]);
        writer.element(ids::TRACKS, b"tracks");
        writer.element(ids::TAGS, b"tags");
        let mut expected = Writer::new();
        expected.master(ids::EBML, |w| w.string(ids::DOC_TYPE, "webm"));
        expected.open(ids::SEGMENT, None);
        expected.element(ids::INFO, b"info");
        expected.element(ids::TRACKS, b"tracks");
        assert_eq!(live_head(&writer.into_bytes()), expected.into_bytes());
        let mp4 = b"\0\0\0\x08ftyp\0\0\0\x08moov";
        assert_eq!(live_head(mp4), mp4);
        assert_eq!(live_head(b""), b"");
    }

    #[test]
    fn entry_points_stay_bounded_and_the_newest_is_exact() {
        let mut points = EntryPoints::default();
        (0..100_000).for_each(|n| points.add(EntryPoint::at(n * 250, n)));
        assert_eq!(points.newest(), Some(EntryPoint::at(99_999 * 250, 99_999)));
        let entries = points.entries();
        assert!(entries.len() <= LIMIT && entries.len() > LIMIT / 4);
        let distances = entries
            .windows(2)
            .map(|pair| pair[1].time_ms - pair[0].time_ms);
        assert!(distances.clone().max() <= distances.min().map(|least| least * 2));
        points.shorten();
        let entries = points.entries();
        assert!(entries.len() <= SHORT_LIMIT && entries.len() > SHORT_LIMIT / 4);
        assert_eq!(entries[0], EntryPoint::at(0, 0));
    }

    #[test]
    fn media_type_names_the_codecs() {
        let track = |kind, codec: &str| Track::new(1, kind, codec.to_owned());
        let tracks = [
            track(TrackKind::Audio, "A_OPUS"),
            track(TrackKind::Video, "V_VP9"),
        ];
        let found = media_type(Container::WebM, &tracks);
        assert_eq!(found, "video/webm; codecs=\"vp9,opus\"");
        let hostile = media_type(Container::Mp4, &[track(TrackKind::Video, "a\"\r\n")]);
        assert_eq!(hostile, "video/mp4; codecs=\"unknown\"");
    }
}
