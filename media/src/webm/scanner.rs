//! Incremental scanner for a stream of elements.

use super::block::{BLOCK_HEADER, BlockHeader};
use super::cluster::{BlockGroup, Cluster};
use super::info::{DocType, Info};
use super::next_document::NextDocument;
use super::segment_layout::SegmentLayout;
use super::tags::TrackTags;
use super::timeline::Timeline;
use super::timestamp_shift::{MarkerSlot, TimestampShift};
use super::tracks::TrackKey;
use crate::container::{Container, Patch, Track};
use crate::ebml::{
    ids,
    vint::{self, MAX_HEADER, Parsed},
};
use crate::indexer::Options;
use crate::report::{Damage, LeftOutReason, Report};

/// Largest plausible frame.
pub(super) const FRAME_LIMIT: u64 = 64 << 20;
/// Stream length at which scanning stops, so that no sum of offsets overflows. Only invalid sizes lead there.
const LONGEST_STREAM: u64 = 1 << 62;

/// Incremental scanner. The open elements are those of `segment`, `cluster` and `group` that are set, so that no input
/// can make a stack of open elements overflow.
#[derive(Debug)]
pub(crate) struct Scanner {
    /// Stream offset of the next byte.
    pub(super) pos: u64,
    pub(super) step: Step,
    /// Received part of the next element header.
    header: [u8; MAX_HEADER],
    pub(super) header_len: usize,
    /// Received part of the payload that is being collected, or the payload collected last. Reused for every block.
    pub(super) buf: Vec<u8>,

    pub(super) segment: Option<Segment>,
    pub(super) cluster: Option<Cluster>,
    pub(super) group: Option<BlockGroup>,
    /// The SimpleBlock whose payload is arriving.
    pub(super) simple_block: Option<BlockHeader>,

    pub(super) doc_type: Option<DocType>,
    pub(super) info: Option<Info>,
    pub(super) tracks: Option<Vec<Track>>,
    /// Keys that the tracks of the next document must match.
    pub(super) track_keys: Vec<TrackKey>,
    /// `TrackNumber` and `TrackUID` of each track.
    pub(super) track_uids: Vec<(u64, u64)>,
    pub(super) tags: Vec<TrackTags>,
    pub(super) next_document: NextDocument,
    /// Whether another EBML document follows the first.
    pub(super) next_document_seen: bool,
    /// Whether the next document was joined with the first.
    pub(super) joined: bool,
    pub(super) timestamp_shift: TimestampShift,
    /// Stream offset of the EBML header's payload, and room for a shift marker in it.
    pub(super) slot: Option<(u64, MarkerSlot)>,
    pub(super) timeline: Timeline,
    pub(super) layout: SegmentLayout,
    unrecognized: bool,

    /// Length of the whole stream, if known.
    pub(super) length: Option<u64>,
    /// Stream offset of the first cluster.
    pub(super) first_cluster: Option<u64>,
    /// Whether the sender's stream has an index.
    pub(super) cues_seen: bool,
    /// Start of damage whose end has not been found.
    pub(super) damaged_from: Option<u64>,
    pub(super) damage: Damage,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Reading an element header.
    Header,
    /// Collecting a payload, or its first `want` bytes, in `buf`.
    Collect { element: Element, want: usize },
    /// Skipping the rest of a payload.
    Skip { element: Element },
    /// Searching for the next cluster, for an EBML header, or for Tracks if there are none yet.
    Resync { window: u32 },
    /// Ignoring the rest of the stream.
    Done,
}

/// An element of known size. All offsets are in the stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element {
    pub(super) id: u32,
    pub(super) start: u64,
    pub(super) payload: u64,
    pub(super) end: u64,
}

impl Element {
    pub(super) fn size(&self) -> u64 {
        self.end - self.payload
    }
}

#[derive(Debug)]
pub(super) struct Segment {
    /// End of the Segment, if it declares one.
    pub(super) end: Option<u64>,
}

impl Scanner {
    pub(crate) fn new(options: Options) -> Self {
        let mut timeline = Timeline::default();
        timeline.set_scale(Info::default().scale_ns);
        Self {
            pos: 0,
            step: Step::Header,
            header: [0; MAX_HEADER],
            header_len: 0,
            buf: Vec::new(),
            segment: None,
            cluster: None,
            group: None,
            simple_block: None,
            doc_type: None,
            info: None,
            tracks: None,
            track_keys: Vec::new(),
            track_uids: Vec::new(),
            tags: Vec::new(),
            next_document: NextDocument::None,
            next_document_seen: false,
            joined: false,
            timestamp_shift: TimestampShift::default(),
            slot: None,
            timeline,
            layout: SegmentLayout::new(options),
            unrecognized: false,
            length: options.stream_length,
            first_cluster: None,
            cues_seen: false,
            damaged_from: None,
            damage: Damage::default(),
        }
    }

    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while let Some(&first) = bytes.first() {
            let taken = match self.step {
                Step::Header => match self.whole_block(bytes) {
                    Some(taken) => taken,
                    None => {
                        self.header_byte(first);
                        1
                    }
                },
                Step::Collect { element, want } => {
                    let taken = bytes.len().min(want - self.buf.len());
                    self.buf.extend_from_slice(&bytes[..taken]);
                    self.pos += taken as u64;
                    if self.buf.len() == want {
                        self.collected(element);
                    }
                    taken
                }
                Step::Skip { element } => {
                    let left = usize::try_from(element.end - self.pos).unwrap_or(usize::MAX);
                    let taken = bytes.len().min(left);
                    self.pos += taken as u64;
                    self.close_if_whole(element);
                    taken
                }
                Step::Resync { window } => {
                    self.resync_byte(window << 8 | u32::from(first));
                    1
                }
                Step::Done => {
                    self.pos = self.pos.saturating_add(bytes.len() as u64);
                    bytes.len()
                }
            };
            bytes = &bytes[taken..];
        }
    }

    pub(crate) fn skippable(&self) -> u64 {
        match self.step {
            Step::Skip { element } => element.end - self.pos,
            Step::Done => u64::MAX - self.pos,
            Step::Header | Step::Collect { .. } | Step::Resync { .. } => 0,
        }
    }

    pub(crate) fn skip(&mut self, n: u64) {
        self.pos += n.min(self.skippable());
        if let Step::Skip { element } = self.step {
            self.close_if_whole(element);
        }
        if self.pos > LONGEST_STREAM {
            self.step = Step::Done;
        }
    }

    pub(crate) fn poll_patch(&mut self) -> Option<Patch> {
        // If the stream proves unplayable, it must be kept byte for byte. Until a frame is indexed, only the head room
        // changes.
        let any = self.timeline.frames() > 0;
        let head = self.layout.patches.pop_head();
        head.or_else(|| any.then(|| self.layout.patches.pop()).flatten())
    }

    pub(crate) fn received(&self) -> u64 {
        self.pos
    }

    pub(crate) fn container(&self) -> Option<Container> {
        self.doc_type.as_ref().map(|doc_type| doc_type.container)
    }

    pub(crate) fn is_unrecognized(&self) -> bool {
        self.unrecognized
    }

    pub(crate) fn tracks(&self) -> &[Track] {
        self.tracks.as_deref().unwrap_or_default()
    }

    pub(crate) fn report(&self) -> Report {
        let last = self.cluster.as_ref().map(Cluster::end);
        let whole = self.layout.end_of_last().max(last.unwrap_or(0));
        // Cues at the end are replaced, not torn.
        let at_element = matches!(self.step, Step::Header | Step::Done) && self.header_len == 0;
        Report {
            duration_ms: self.end_ns() / 1_000_000,
            frame_stats: self.timeline.frame_stats(),
            front_matter_bytes: self.first_cluster,
            indexed: self.cues_seen && self.info.as_ref().is_some_and(|info| info.has_duration),
            data_behind_end: self.next_document_seen
                || (self.segment.as_ref())
                    .and_then(|segment| segment.end)
                    .is_some_and(|end| end < whole),
            damage: self.damage.clone(),
            torn_bytes: if at_element && self.group.is_none() {
                0
            } else {
                self.pos.saturating_sub(whole)
            },
            missing_bytes: match (&self.segment, self.length) {
                (Some(Segment { end: Some(end) }), Some(length)) => end.saturating_sub(length),
                _ => 0,
            },
            ..Report::default()
        }
    }

    pub(crate) fn end_ns(&self) -> u64 {
        self.timeline.end_ns()
    }

    /// Fast path for a SimpleBlock that is completely in `bytes`, as most blocks are. Returns the bytes taken, or
    /// `None` to leave the element to [`Scanner::header_byte`].
    fn whole_block(&mut self, bytes: &[u8]) -> Option<usize> {
        const SIMPLE_BLOCK: u8 = ids::SIMPLE_BLOCK.to_be_bytes()[3];
        let simple = bytes.first() == Some(&SIMPLE_BLOCK)
            && self.header_len == 0
            && self.group.is_none()
            && self.length.is_none();
        let cluster = (self.cluster.as_ref()).filter(|cluster| simple && !cluster.pending)?;
        if cluster.ends_before(ids::SIMPLE_BLOCK) {
            return None;
        }
        let Parsed::Item(header, width) = vint::header(bytes) else {
            return None;
        };
        let size = usize::try_from(header.size.filter(|&size| size <= FRAME_LIMIT)?).ok()?;
        let payload = bytes[width..].get(..size)?;
        let start = self.pos;
        self.pos += (width + size) as u64;
        if let Some(block) = BlockHeader::parse(&payload[..size.min(BLOCK_HEADER)]) {
            self.add_block(block, block.keyframe, None, start);
        }
        if let Some(cluster) = &mut self.cluster {
            cluster.child(ids::SIMPLE_BLOCK, self.pos);
        }
        Some(width + size)
    }

    /// Consumes one byte of an element header.
    fn header_byte(&mut self, byte: u8) {
        self.header[self.header_len] = byte;
        self.header_len += 1;
        self.pos += 1;
        match vint::header(&self.header[..self.header_len]) {
            Parsed::Incomplete => {
                if self
                    .group
                    .as_ref()
                    .is_some_and(|group| group.end == self.pos)
                {
                    self.discard_group();
                }
            }
            Parsed::Malformed => self.malformed(self.pos - self.header_len as u64),
            Parsed::Item(header, _) => {
                let start = self.pos - self.header_len as u64;
                self.header_len = 0;
                self.open(&header, start);
            }
        }
    }

    /// Whether the declared end of the Segment is at or before `at`. The declared size may be too small.
    pub(super) fn is_behind_segment(&self, at: u64) -> bool {
        let end = self.segment.as_ref().and_then(|segment| segment.end);
        end.is_some_and(|end| end <= at)
    }

    pub(super) fn reject_container(&mut self) {
        self.unrecognized = true;
        self.doc_type = None;
        self.step = Step::Done;
    }

    /// Skips the rest of the group without counting it.
    pub(super) fn discard_group(&mut self) {
        self.header_len = 0;
        let Some(group) = &mut self.group else { return };
        if !group.broken {
            self.damage.add(group.start..group.end);
        }
        group.broken = true;
        let element = Element {
            id: ids::BLOCK_GROUP,
            start: group.start,
            payload: group.start,
            end: group.end,
        };
        self.step = Step::Skip { element };
        self.close_if_whole(element);
    }

    /// Hides the bytes from `start` on, which are no element, and searches for the next cluster.
    pub(super) fn malformed(&mut self, start: u64) {
        self.header_len = 0;
        if self.group.is_some() {
            self.discard_group();
        } else if self.segment.is_none() {
            self.reject_container();
        } else if self.is_in_next_document() {
            self.hide_next_document();
        } else {
            self.close_cluster();
            self.layout.discard(if self.is_behind_segment(start) {
                LeftOutReason::TrailingData
            } else {
                LeftOutReason::Damaged
            });
            self.damaged_from.get_or_insert(start);
            self.step = Step::Resync { window: 0 };
        }
    }

    fn resync_byte(&mut self, window: u32) {
        self.pos += 1;
        self.step = Step::Resync { window };
        let hidden = matches!(self.next_document, NextDocument::Hidden);
        let sought = match window {
            ids::EBML => true,
            ids::CLUSTER => !hidden,
            ids::TRACKS => !hidden && self.tracks.is_none(),
            _ => false,
        };
        if sought {
            if window == ids::EBML {
                // The damage ends at the start of a valid EBML header, which is not complete yet.
            } else if let Some(from) = self.damaged_from.take() {
                self.damage.add(from..self.pos - 4);
            }
            let id = window.to_be_bytes();
            self.header[..id.len()].copy_from_slice(&id);
            self.header_len = id.len();
            self.step = Step::Header;
        }
    }
}
