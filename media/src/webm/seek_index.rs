//! Reader for the index of a finished WebM or Matroska file.

use std::ops::Range;

use super::info::{DocType, Info};
use super::track_source::TrackSource;
use super::tracks::{TRACKS_LIMIT, Tracks};
use crate::container::Container;
use crate::ebml::{
    ids,
    read::{Children, float, uint},
    vint::{self, Header, Parsed},
};
use crate::seek_index::{Keyframe, NoSeekIndex, Progress, Window};
use crate::track::{Track, TrackKind};

/// Largest Cues. Ours have less than 256 KiB.
const CUES_LIMIT: u64 = 1 << 20;
/// Most level-1 elements in front of the first cluster.
const ELEMENTS: u32 = 64;
/// Longest plausible duration: a year.
const LONGEST_NS: f64 = 366.0 * 86_400.0 * 1e9;

/// An entry of Cues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SeekPoint {
    pub(super) ticks: u64,
    /// Position of the cluster in the file.
    pub(super) cluster: u64,
    pub(super) relative_position: Option<u64>,
}

/// Incremental reader of the elements in front of the first cluster, and of Cues behind the last.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// Position of the next element.
    at: u64,
    elements: u32,
    doc_type: Option<DocType>,
    /// Position of the Segment's payload, and end of the Segment.
    segment: Option<(u64, u64)>,
    info: Info,
    duration_ticks: f64,
    /// Complete element Tracks, and its contents.
    tracks: Option<(Vec<u8>, Tracks)>,
    /// Positions of Tracks and Cues by the SeekHead.
    tracks_at: Option<u64>,
    cues_at: Option<u64>,
    first_cluster: Option<u64>,
    /// Payload of Cues.
    cues: Option<Vec<u8>>,
    /// End of the clusters.
    media_end: u64,
}

impl Reader {
    /// Examines bytes from the next element on.
    pub(crate) fn examine(&mut self, window: Window<'_>) -> Progress {
        loop {
            if self.is_complete() {
                return Progress::Complete;
            }
            let bytes = window.from(self.at);
            let (header, width) = match vint::header(bytes) {
                Parsed::Incomplete => return self.request(window, bytes.len() as u64 + 1),
                Parsed::Malformed => return Progress::Failed(NoSeekIndex::Missing),
                Parsed::Item(header, width) => (header, width),
            };
            self.elements += 1;
            if self.elements > ELEMENTS {
                return Progress::Failed(NoSeekIndex::Missing);
            }
            let payload = self.at.saturating_add(width as u64);
            match header.id {
                ids::SEGMENT if self.doc_type.is_some() && self.segment.is_none() => {
                    let end = header.size.and_then(|size| payload.checked_add(size));
                    let end = end.unwrap_or(window.size).min(window.size);
                    self.segment = Some((payload, end));
                    self.media_end = end;
                    self.at = payload;
                    continue;
                }
                ids::CLUSTER => {
                    self.first_cluster.get_or_insert(self.at);
                    match self.missing() {
                        Some(at) => self.at = at,
                        None => return Progress::Failed(NoSeekIndex::Missing),
                    }
                    continue;
                }
                _ => {}
            }
            let Some(size) = header.size else {
                return Progress::Failed(NoSeekIndex::Missing);
            };
            let end = payload.saturating_add(size);
            let is_needed = match self.limit(&header) {
                None => false,
                Some(limit) if size > limit => {
                    return Progress::Failed(NoSeekIndex::TooLarge);
                }
                Some(_) => true,
            };
            if is_needed {
                let element = usize::try_from(end - self.at).unwrap_or(usize::MAX);
                let Some(element) = bytes.get(..element) else {
                    self.elements -= 1;
                    return self.request(window, end - self.at);
                };
                if !self.element(&header, element, width) {
                    return Progress::Failed(NoSeekIndex::Missing);
                }
            }
            self.at = match self.first_cluster {
                Some(_) => self.missing().unwrap_or(end),
                None => end,
            };
        }
    }

    fn request(&self, window: Window<'_>, length: u64) -> Progress {
        window.request(self.at, length)
    }

    fn is_complete(&self) -> bool {
        self.first_cluster.is_some() && self.cues.is_some() && self.tracks.is_some()
    }

    /// Position of an element that was not in front of the first cluster.
    fn missing(&mut self) -> Option<u64> {
        match (&self.tracks, &self.cues) {
            (None, _) => self.tracks_at.take(),
            (_, None) => self.cues_at.take(),
            // Complete.
            _ => Some(self.at),
        }
    }

    /// Largest payload of an element that is needed.
    fn limit(&self, header: &Header) -> Option<u64> {
        match header.id {
            ids::EBML if self.doc_type.is_none() => Some(DocType::LIMIT),
            _ if self.segment.is_none() => None,
            ids::SEEK_HEAD | ids::INFO => Some(Info::LIMIT),
            ids::TRACKS if self.tracks.is_none() => Some(TRACKS_LIMIT),
            ids::CUES if self.cues.is_none() => Some(CUES_LIMIT),
            _ => None,
        }
    }

    /// Takes a complete element; `false` if it is invalid.
    fn element(&mut self, header: &Header, element: &[u8], width: usize) -> bool {
        let payload = &element[width..];
        match header.id {
            ids::EBML => {
                self.doc_type = DocType::parse(payload);
                return self.doc_type.is_some();
            }
            ids::INFO => {
                self.info = Info::parse(payload);
                let mut children = Children::of(payload);
                let duration = children.find(|&(id, _)| id == ids::DURATION);
                let ticks = duration.and_then(|(_, value)| float(value));
                self.duration_ticks = ticks.unwrap_or(0.0);
            }
            ids::SEEK_HEAD => self.seek_head(payload),
            ids::TRACKS => self.tracks = Some((element.to_vec(), Tracks::parse(payload))),
            ids::CUES => {
                self.cues = Some(payload.to_vec());
                if self.first_cluster.is_some_and(|cluster| self.at > cluster) {
                    self.media_end = self.media_end.min(self.at);
                }
            }
            _ => {}
        }
        true
    }

    fn seek_head(&mut self, payload: &[u8]) {
        let Some((base, _)) = self.segment else {
            return;
        };
        for (_, seek) in Children::of(payload).filter(|&(id, _)| id == ids::SEEK) {
            let (mut target, mut position) = (0, None);
            for (id, value) in Children::of(seek) {
                match id {
                    ids::SEEK_ID => target = uint(value).unwrap_or(0),
                    ids::SEEK_POSITION => position = uint(value),
                    _ => {}
                }
            }
            let position = position.and_then(|position| position.checked_add(base));
            if target == u64::from(ids::TRACKS) {
                self.tracks_at = position;
            } else if target == u64::from(ids::CUES) {
                self.cues_at = position;
            }
        }
    }

    pub(crate) fn finish(self) -> Result<Index, NoSeekIndex> {
        let missing = NoSeekIndex::Missing;
        let doc_type = self.doc_type.ok_or(missing)?;
        let (tracks_element, tracks) = self.tracks.ok_or(missing)?;
        let first = |kind| {
            let mut list = tracks.list.iter();
            list.find(|track| track.kind == kind)
        };
        let main = first(TrackKind::Video).or_else(|| first(TrackKind::Audio));
        let track = main.map(|track: &Track| track.number).ok_or(missing)?;
        let (base, _) = self.segment.ok_or(missing)?;
        let first_cluster = self.first_cluster.ok_or(missing)?;
        let cues = self.cues.ok_or(missing)?;
        let clusters = first_cluster..self.media_end;
        let mut points: Vec<_> = Children::of(&cues)
            .filter(|&(id, _)| id == ids::CUE_POINT)
            .filter_map(|(_, point)| seek_point(point, track, base))
            .filter(|point| clusters.contains(&point.cluster))
            .collect();
        points.sort_by_key(|point| (point.ticks, point.cluster));
        let last = points.last().ok_or(missing)?;
        let scale_ns = self.info.scale_ns;
        let index = Index {
            end_ticks: end_ticks(self.duration_ticks, scale_ns, last.ticks),
            doc_type,
            info: self.info,
            tracks_element,
            track,
            points,
            clusters,
        };
        Ok(index)
    }
}

/// Returns a valid duration in ticks, behind the last entry of Cues.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float is what the format has; it is positive and not large"
)]
fn end_ticks(declared: f64, scale_ns: u64, last: u64) -> u64 {
    let is_plausible = declared > 0.0 && declared * scale_ns as f64 <= LONGEST_NS;
    let declared = if is_plausible {
        declared.ceil() as u64
    } else {
        0
    };
    declared.max(last.saturating_add(1))
}

/// Parses a CuePoint; `None` if it has no position of the track.
fn seek_point(point: &[u8], track: u64, base: u64) -> Option<SeekPoint> {
    let mut children = Children::of(point);
    let (_, time) = children.find(|&(id, _)| id == ids::CUE_TIME)?;
    let ticks = uint(time)?;
    let positions = Children::of(point).filter(|&(id, _)| id == ids::CUE_TRACK_POSITIONS);
    positions.into_iter().find_map(|(_, positions)| {
        let child = |wanted| {
            let mut children = Children::of(positions);
            let found = children.find(|&(id, _)| id == wanted);
            found.and_then(|(_, value)| uint(value))
        };
        (child(ids::CUE_TRACK)? == track).then_some(())?;
        Some(SeekPoint {
            ticks,
            cluster: child(ids::CUE_CLUSTER_POSITION)?.checked_add(base)?,
            relative_position: child(ids::CUE_RELATIVE_POSITION),
        })
    })
}

/// Index of a finished file.
#[derive(Debug)]
pub(crate) struct Index {
    pub(super) doc_type: DocType,
    pub(super) info: Info,
    /// Element Tracks, header included.
    pub(super) tracks_element: Vec<u8>,
    /// Number of the track to which Cues refer.
    pub(super) track: u64,
    /// Keyframes in the order of time; never empty.
    pub(super) points: Vec<SeekPoint>,
    /// End of the recording in ticks.
    pub(super) end_ticks: u64,
    /// Positions of the first cluster, and behind the last.
    pub(super) clusters: Range<u64>,
}

impl Index {
    pub(crate) fn container(&self) -> Container {
        self.doc_type.container
    }

    pub(crate) fn duration_ms(&self) -> u64 {
        // Rounded up, so that the last frame is within the duration.
        let ns = u128::from(self.end_ticks) * u128::from(self.info.scale_ns);
        u64::try_from(ns.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }

    /// Converts ticks to milliseconds, rounded down.
    pub(super) fn ms(&self, ticks: u64) -> u64 {
        let ns = u128::from(ticks) * u128::from(self.info.scale_ns);
        u64::try_from(ns / 1_000_000).unwrap_or(u64::MAX)
    }

    /// Converts milliseconds to ticks, rounded up.
    pub(super) fn ticks(&self, ms: u64) -> u64 {
        let ns = u128::from(ms) * 1_000_000;
        let scale_ns = u128::from(self.info.scale_ns.max(1));
        u64::try_from(ns.div_ceil(scale_ns)).unwrap_or(u64::MAX)
    }

    /// Returns the tracks with the configurations of their codecs.
    pub(crate) fn sources(&self) -> Vec<TrackSource> {
        match vint::header(&self.tracks_element) {
            Parsed::Item(_, width) => TrackSource::parse(&self.tracks_element[width..]),
            Parsed::Incomplete | Parsed::Malformed => Vec::new(),
        }
    }

    pub(crate) fn scale_ns(&self) -> u64 {
        self.info.scale_ns
    }

    /// Returns the range of the clusters in the file.
    pub(crate) fn clusters(&self) -> Range<u64> {
        self.clusters.clone()
    }

    /// Returns the end of the recording in nanoseconds.
    pub(crate) fn end_ns(&self) -> u64 {
        self.end_ticks.saturating_mul(self.info.scale_ns)
    }

    pub(crate) fn keyframes(&self) -> Vec<Keyframe> {
        let keyframe = |point: &SeekPoint| Keyframe {
            time_ms: self.ms(point.ticks),
            position: point.cluster,
        };
        self.points.iter().map(keyframe).collect()
    }
}
