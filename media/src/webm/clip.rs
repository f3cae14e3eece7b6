//! Clips of WebM and Matroska: a head of their own, then the clusters of the recording with earlier timestamps.
//!
//! No byte changes its place, so that positions in Cues are known before the clusters are read. Frames outside of the
//! clip are overwritten with zeros and hidden in Void elements. The sizes of clusters become unknown, because the last
//! one may end early.

use super::block::{BLOCK_HEADER, BlockHeader};
use super::cues::{Cue, Cues};
use super::head::{Head, segment_payload};
use super::info::Info;
use super::seek_index::Index;
use crate::clip::{Clip, ClipBody};
use crate::ebml::{
    ids,
    read::uint,
    vint::{self, Header, Parsed},
};
use crate::patch::HEAD_ROOM;

/// Room for the elements of a head other than Cues.
const HEAD_WITHOUT_CUES: u64 = 3072;
/// Bytes of an element that are examined: its header, and the small children in front of a Timestamp or Block.
const LOOKAHEAD: usize = 96;
/// Offset of a keyframe's time in `DateUTC`, which counts nanoseconds.
const DATE_SIZE: usize = 8;

impl Index {
    /// Returns the clip from the last keyframe at or before `start_ms` to `end_ms`; `None`: to the end.
    pub(crate) fn clip(self, start_ms: u64, end_ms: Option<u64>) -> Option<Clip> {
        let begun = self
            .points
            .partition_point(|point| self.ms(point.ticks) <= start_ms);
        let first = *self.points.get(begun.saturating_sub(1))?;
        let end_ticks = end_ms.map(|end_ms| self.ticks(end_ms));
        let duration = end_ticks.unwrap_or(self.end_ticks);
        let duration = duration.min(self.end_ticks).checked_sub(first.ticks);
        let duration = duration.filter(|&ticks| ticks > 0)?;
        let limit = end_ticks.unwrap_or(u64::MAX);
        // Clusters that begin with a later keyframe are not read.
        let behind = self.points.iter().filter(|point| point.ticks >= limit);
        let mut behind = behind.filter(|point| point.relative_position.is_none());
        let end = behind.find(|point| point.cluster > first.cluster);
        let range = first.cluster..end.map_or(self.clusters.end, |point| point.cluster);

        let mut cues = Cues::default();
        let mut entries = Vec::new();
        let covered = self.points.iter().filter(|point| {
            (first.ticks..limit).contains(&point.ticks) && range.contains(&point.cluster)
        });
        for point in covered {
            let ticks = point.ticks - first.ticks;
            cues.add_keyframe(Cue {
                ticks,
                time_ns: ticks.saturating_mul(self.info.scale_ns),
                track: self.track,
                cluster: point.cluster - range.start,
                relative_position: point.relative_position,
                // For growing files only.
                payload: 0,
                relative_ticks: 0,
            });
            entries.push(point.cluster - range.start);
        }
        entries.dedup();
        let left = range.end - range.start;
        let start_ns = first.ticks.saturating_mul(self.info.scale_ns);
        let head = head(&self, &cues, duration, start_ns)?;
        Some(Clip {
            container: self.doc_type.container,
            start_ms: self.ms(first.ticks),
            end_ms: self.ms(first.ticks.saturating_add(duration)),
            head,
            ranges: vec![range],
            size: None,
            body: ClipBody::webm(Rewriter {
                start: first.ticks,
                end: limit,
                track: self.track,
                left,
                entries,
                ..Rewriter::default()
            }),
        })
    }
}

/// Encodes everything in front of the first cluster: the head, then Tracks.
#[expect(clippy::cast_precision_loss, reason = "a float is what the format has")]
fn head(index: &Index, cues: &Cues, duration: u64, start_ns: u64) -> Option<Vec<u8>> {
    let base = segment_payload(&index.doc_type);
    let tracks = index.tracks_element.len() as u64;
    let info = Info {
        date_utc: index.info.date_utc.and_then(|date| later(date, start_ns)),
        ..index.info.clone()
    };
    // The width of a position in Cues depends on the room for the head.
    let without_head = cues.element(|offset| offset).len() as u64;
    let mut room = (HEAD_WITHOUT_CUES + without_head).next_multiple_of(HEAD_ROOM);
    let mut bytes = loop {
        let first_cluster = room.saturating_add(tracks).saturating_sub(base);
        let cues = cues.element(|offset| first_cluster.saturating_add(offset));
        let head = Head {
            doc_type: &index.doc_type,
            info: &info,
            seek: &[(ids::TRACKS, room)],
            duration_ticks: Some((duration as f64).max(1.0)),
            segment_end: None,
            cues: &cues,
            first_kept: room,
        };
        if let Some(bytes) = head.to_bytes(room) {
            break bytes;
        }
        room += HEAD_ROOM;
        // Cues are bounded, so that this is not reached.
        if room > without_head * 16 + 4 * HEAD_ROOM {
            return None;
        }
    };
    bytes.extend_from_slice(&index.tracks_element);
    Some(bytes)
}

/// Adds nanoseconds to a `DateUTC`.
fn later(date: [u8; DATE_SIZE], ns: u64) -> Option<[u8; DATE_SIZE]> {
    let date = i64::from_be_bytes(date).checked_add_unsigned(ns)?;
    Some(date.to_be_bytes())
}

/// Moves the timestamps of clusters, and hides frames outside of a clip.
#[derive(Debug, Default)]
pub(crate) struct Rewriter {
    /// First and last tick of the clip, on the timeline of the recording; the end is excluded.
    start: u64,
    end: u64,
    /// Track whose first frame at or behind the end completes the clip.
    track: u64,
    /// Bytes of the range that have not arrived.
    left: u64,
    /// Clusters with a keyframe: their offsets in the range, in order.
    entries: Vec<u64>,
    /// Timestamp of the cluster, in the recording.
    cluster: Option<u64>,
    in_cluster: bool,
    step: Step,
    /// Received bytes that are not examined yet.
    pending: Vec<u8>,
    is_complete: bool,
}

#[derive(Debug, Clone, Copy, Default)]
enum Step {
    #[default]
    Header,
    Copy(u64),
    Blank(u64),
    /// Searching for the next cluster behind damage.
    Search,
}

/// Decision about the element at the front of the pending bytes.
enum Decision {
    /// More bytes are needed.
    Wait,
    /// The clip ends in front of the element.
    Complete,
    /// Writes a replacement for the first bytes of the element, then continues.
    Write(Vec<u8>, Step),
    Damaged,
}

impl Rewriter {
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Returns the last place at or before `offset` of the range at which rewriting may begin, and the rewriter for it. To
    /// be called before the first bytes.
    pub(crate) fn resumed(&self, offset: u64) -> (u64, Self) {
        let behind = self.entries.partition_point(|&entry| entry <= offset);
        let entry = behind.checked_sub(1).map_or(0, |last| self.entries[last]);
        let resumed = Self {
            start: self.start,
            end: self.end,
            track: self.track,
            left: self.left.saturating_sub(entry),
            ..Self::default()
        };
        (entry, resumed)
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.left = self.left.saturating_sub(bytes.len() as u64);
        let mut pending = std::mem::take(&mut self.pending);
        let mut rest = match pending.is_empty() {
            true => bytes,
            false => {
                pending.extend_from_slice(bytes);
                pending.as_slice()
            }
        };
        let mut out = Vec::with_capacity(rest.len());
        while !rest.is_empty() && !self.is_complete {
            match self.step {
                Step::Header => match self.decide(rest) {
                    Decision::Wait => break,
                    Decision::Complete => self.is_complete = true,
                    Decision::Damaged => {
                        out.push(0);
                        rest = &rest[1..];
                        self.step = Step::Search;
                    }
                    Decision::Write(bytes, step) => {
                        rest = &rest[bytes.len()..];
                        out.extend(bytes);
                        self.step = step;
                    }
                },
                Step::Copy(left) => {
                    let (now, later) = rest.split_at(clamped(left, rest.len()));
                    out.extend_from_slice(now);
                    rest = later;
                    self.step = after(left, now.len(), Step::Copy);
                }
                Step::Blank(left) => {
                    let (now, later) = rest.split_at(clamped(left, rest.len()));
                    out.resize(out.len() + now.len(), 0);
                    rest = later;
                    self.step = after(left, now.len(), Step::Blank);
                }
                Step::Search => {
                    let id = ids::CLUSTER.to_be_bytes();
                    let found = rest.windows(id.len()).position(|at| at == id);
                    // The id may continue in the next bytes.
                    let until = found.unwrap_or_else(|| rest.len().saturating_sub(id.len() - 1));
                    out.resize(out.len() + until, 0);
                    rest = &rest[until..];
                    match found {
                        Some(_) => (self.step, self.in_cluster) = (Step::Header, false),
                        None => break,
                    }
                }
            }
        }
        self.pending = rest.to_vec();
        out
    }

    /// Decides about the element that `bytes` begin with.
    fn decide(&mut self, bytes: &[u8]) -> Decision {
        let (header, width) = match vint::header(bytes) {
            // At the end, a torn header.
            Parsed::Incomplete => return Decision::Wait,
            Parsed::Malformed => return Decision::Damaged,
            Parsed::Item(header, width) => (header, width),
        };
        if header.id == ids::CLUSTER {
            return self.begin_cluster(&header, bytes, width);
        }
        let Some(size) = header.size else {
            // A further Segment. A cluster is the only element of unknown size in a clip.
            return match ids::ends_cluster(header.id) {
                true => Decision::Complete,
                false => Decision::Damaged,
            };
        };
        let start = &bytes[..width];
        let hidden = || hide(&header, width, size);
        if !self.in_cluster {
            return hidden();
        }
        match header.id {
            ids::TIMESTAMP => {
                let Some(payload) = self.examined(bytes, width, size) else {
                    return Decision::Wait;
                };
                let Some(ticks) = uint(payload).filter(|_| payload.len() as u64 == size) else {
                    return Decision::Damaged;
                };
                self.cluster = Some(ticks);
                let moved = ticks.saturating_sub(self.start).to_be_bytes();
                let mut element = start.to_vec();
                element.extend_from_slice(&moved[moved.len() - payload.len()..]);
                Decision::Write(element, Step::Header)
            }
            ids::SIMPLE_BLOCK | ids::BLOCK_GROUP => {
                let Some(payload) = self.examined(bytes, width, size) else {
                    return Decision::Wait;
                };
                let block = match header.id {
                    ids::SIMPLE_BLOCK => Some((0, payload.len())),
                    _ => child(payload, ids::BLOCK),
                };
                match block.and_then(|(at, size)| self.placed(payload, at, size)) {
                    None => hidden(),
                    Some(Placed::Behind) => Decision::Complete,
                    Some(Placed::At(relative_at, relative)) => {
                        let mut bytes = start.to_vec();
                        bytes.extend_from_slice(&payload[..relative_at]);
                        bytes.extend(relative.to_be_bytes());
                        let written = (bytes.len() - width) as u64;
                        Decision::Write(bytes, copy(size.saturating_sub(written)))
                    }
                }
            }
            ids::ENCRYPTED_BLOCK if self.cluster.is_some_and(|ticks| ticks >= self.start) => {
                Decision::Write(start.to_vec(), copy(size))
            }
            ids::SILENT_TRACKS => Decision::Write(start.to_vec(), copy(size)),
            // Checksums and positions would be wrong.
            _ => hidden(),
        }
    }

    /// Returns the first bytes of a payload of `size` bytes behind a header of `width` bytes; `None` if more bytes are
    /// needed.
    fn examined<'a>(&self, bytes: &'a [u8], width: usize, size: u64) -> Option<&'a [u8]> {
        let payload = bytes.get(width..).unwrap_or_default();
        let wanted = clamped(size, LOOKAHEAD);
        let examined = payload.len().min(wanted);
        (examined == wanted || self.left == 0).then(|| &payload[..examined])
    }

    /// Begins a cluster, unless it is behind the end.
    fn begin_cluster(&mut self, header: &Header, bytes: &[u8], width: usize) -> Decision {
        let size = header.size.unwrap_or(u64::MAX);
        let Some(examined) = self.examined(bytes, width, size) else {
            return Decision::Wait;
        };
        let timestamp = child(examined, ids::TIMESTAMP);
        let ticks = timestamp.and_then(|(at, size)| uint(examined.get(at..at + size)?));
        if ticks.is_some_and(|ticks| ticks >= self.end) {
            return Decision::Complete;
        }
        (self.in_cluster, self.cluster) = (true, None);
        let mut start = ids::CLUSTER.to_be_bytes().to_vec();
        start.extend(vint::unknown_sized(usize::from(header.size_width)));
        Decision::Write(start, Step::Header)
    }

    /// Places the block whose payload of `size` bytes begins at `at` of the examined bytes; `None` if it is outside of
    /// the clip, or invalid.
    fn placed(&self, examined: &[u8], at: usize, size: usize) -> Option<Placed> {
        let first = examined.get(at..)?;
        let first = &first[..first.len().min(BLOCK_HEADER).min(size)];
        let block = BlockHeader::parse(first)?;
        let cluster = self.cluster?;
        let ticks = cluster.saturating_add_signed(block.relative.into());
        if ticks >= self.end && block.track == self.track {
            return Some(Placed::Behind);
        }
        (self.start..self.end).contains(&ticks).then_some(())?;
        // The timestamp of a cluster that begins before the clip became 0.
        let moved = cluster.saturating_sub(self.start);
        let relative = i128::from(ticks - self.start) - i128::from(moved);
        let Parsed::Item(_, track_width) = vint::number(first) else {
            return None;
        };
        Some(Placed::At(at + track_width, i16::try_from(relative).ok()?))
    }
}

/// Place of a block in a clip.
enum Placed {
    /// The block completes the clip.
    Behind,
    /// Offset of the relative timestamp among the examined bytes, and its new value.
    At(usize, i16),
}

/// Turns an element with a header of `width` bytes into a Void of the same length.
fn hide(header: &Header, width: usize, size: u64) -> Decision {
    let most = width.saturating_sub(1).min(8);
    // Not the widths by which an indexer recognises hidden parts of a recording.
    let widths = (1..=most.min(3)).chain([most]);
    let void = widths.into_iter().find_map(|size_width| {
        let filler = (width - 1).checked_sub(size_width)?;
        vint::sized(size.saturating_add(filler as u64), size_width)
    });
    let Some(void) = void.filter(|_| header.size.is_some()) else {
        return Decision::Damaged;
    };
    let mut bytes = vec![ids::VOID.to_be_bytes()[3]];
    bytes.extend(void);
    bytes.resize(width, 0);
    let step = match size {
        0 => Step::Header,
        _ => Step::Blank(size),
    };
    Decision::Write(bytes, step)
}

fn copy(size: u64) -> Step {
    match size {
        0 => Step::Header,
        _ => Step::Copy(size),
    }
}

fn after(left: u64, done: usize, step: fn(u64) -> Step) -> Step {
    match left.saturating_sub(done as u64) {
        0 => Step::Header,
        left => step(left),
    }
}

/// Finds a child among small elements; returns offset and size of its payload.
fn child(bytes: &[u8], wanted: u32) -> Option<(usize, usize)> {
    let mut at = 0;
    loop {
        let Parsed::Item(header, width) = vint::header(bytes.get(at..)?) else {
            return None;
        };
        let size = usize::try_from(header.size?).ok()?;
        at = at.checked_add(width)?;
        if header.id == wanted {
            return Some((at, size));
        }
        at = at.checked_add(size)?;
    }
}

fn clamped(number: u64, limit: usize) -> usize {
    usize::try_from(number).map_or(limit, |number| number.min(limit))
}
