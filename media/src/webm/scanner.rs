//! Reading a stream of elements as it arrives.

use super::block::{BLOCK_HEADER, BlockHeader};
use super::cluster::{Cluster, Group};
use super::further::Further;
use super::info::{DocType, Info};
use super::layout::Layout;
use super::placement::{Placement, Slot};
use super::tags::TrackTags;
use super::timeline::Timeline;
use super::tracks::TrackKey;
use crate::container::{Container, Patch, Track};
use crate::ebml::{
    ids,
    vint::{self, MAX_HEADER, Parsed},
};
use crate::indexer::Options;
use crate::report::{Damage, LeftOutReason, Report};

/// No frame is larger.
pub(super) const FRAME_LIMIT: u64 = 64 << 20;
/// No stream is longer. Only nonsense sizes that are skipped get there, and no sum of offsets overflows.
const LONGEST_STREAM: u64 = 1 << 62;

/// Where the reader stands in the file's grammar follows from which of `segment`, `cluster` and `group` are open:
/// there is no stack to overflow.
#[derive(Debug)]
pub(crate) struct Scanner {
    /// Stream offset of the next byte.
    pub(super) pos: u64,
    pub(super) step: Step,
    /// The part of the next element's header that has arrived.
    header: [u8; MAX_HEADER],
    pub(super) header_len: usize,
    /// The payload being collected, or the one collected last. Its memory serves every block.
    pub(super) buf: Vec<u8>,

    pub(super) segment: Option<Segment>,
    pub(super) cluster: Option<Cluster>,
    pub(super) group: Option<Group>,
    /// The SimpleBlock whose payload is passing.
    pub(super) simple_block: Option<BlockHeader>,

    pub(super) doc_type: Option<DocType>,
    pub(super) info: Option<Info>,
    pub(super) tracks: Option<Vec<Track>>,
    /// Keys that the tracks of a further recording must match.
    pub(super) track_keys: Vec<TrackKey>,
    /// Number and `TrackUID` of each track.
    pub(super) track_uids: Vec<(u64, u64)>,
    pub(super) tags: Vec<TrackTags>,
    pub(super) further: Further,
    /// Whether a further recording has begun.
    pub(super) further_seen: bool,
    /// Whether a further recording was joined with the first.
    pub(super) joined: bool,
    pub(super) placement: Placement,
    /// Stream offset of the EBML header's payload, and where a note has room in it.
    pub(super) slot: Option<(u64, Slot)>,
    pub(super) timeline: Timeline,
    pub(super) layout: Layout,
    foreign: bool,

    /// Length of the whole stream, where it is known.
    pub(super) length: Option<u64>,
    /// Stream offset of the first cluster.
    pub(super) first_cluster: Option<u64>,
    /// Whether the sender's stream has an index.
    pub(super) cues_seen: bool,
    /// Where reading failed, until it goes on.
    pub(super) damaged_from: Option<u64>,
    pub(super) damage: Damage,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Reading an element's header.
    Header,
    /// Reading a payload, or the beginning of one, into `buf`.
    Collect { element: Element, want: usize },
    /// Passing over what is left of a payload.
    Skip { element: Element },
    /// Something is broken: looking for the next cluster, or for the tracks.
    Resync { window: u32 },
    /// Nothing more is of interest.
    Done,
}

/// An element of known size. Its offsets are in the stream.
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
    /// Its end, where it says so.
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
            further: Further::None,
            further_seen: false,
            joined: false,
            placement: Placement::default(),
            slot: None,
            timeline,
            layout: Layout::new(options),
            foreign: false,
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
        // A stream that turns out to be no recording is kept byte for byte: until there is a frame, only the head room
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

    pub(crate) fn is_foreign(&self) -> bool {
        self.foreign
    }

    pub(crate) fn tracks(&self) -> &[Track] {
        self.tracks.as_deref().unwrap_or_default()
    }

    pub(crate) fn report(&self) -> Report {
        let last = self.cluster.as_ref().map(Cluster::end);
        let whole = self.layout.end_of_last().max(last.unwrap_or(0));
        // An index at the end is replaced, but it is not torn.
        let at_element = matches!(self.step, Step::Header | Step::Done) && self.header_len == 0;
        Report {
            duration_ms: self.end_ns() / 1_000_000,
            pace: self.timeline.pace(),
            front_matter_bytes: self.first_cluster,
            indexed: self.cues_seen && self.info.as_ref().is_some_and(|info| info.has_duration),
            goes_on: self.further_seen
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

    /// Takes a SimpleBlock in a cluster that is here as a whole, which nearly all of a recording is. Only a quicker way
    /// to do what [`Scanner::header_byte`] begins: what is not as simple is left to that.
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

    /// Takes one byte of a header.
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
                    self.give_up_group();
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

    /// Whether the Segment says that it ends at `at` or before. Such a size may be too small.
    pub(super) fn is_behind_segment(&self, at: u64) -> bool {
        let end = self.segment.as_ref().and_then(|segment| segment.end);
        end.is_some_and(|end| end <= at)
    }

    pub(super) fn give_up_foreign(&mut self) {
        self.foreign = true;
        self.doc_type = None;
        self.step = Step::Done;
    }

    /// The rest of the group is passed over, and it does not count.
    pub(super) fn give_up_group(&mut self) {
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

    /// What begins at `start` is no element: it is hidden, and reading goes on at the next cluster.
    pub(super) fn malformed(&mut self, start: u64) {
        self.header_len = 0;
        if self.group.is_some() {
            self.give_up_group();
        } else if self.segment.is_none() {
            self.give_up_foreign();
        } else if self.is_in_further() {
            self.hide_further();
        } else {
            self.close_cluster();
            self.layout.unwanted(if self.is_behind_segment(start) {
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
        let hidden = matches!(self.further, Further::Hidden);
        let sought = match window {
            ids::EBML => true,
            ids::CLUSTER => !hidden,
            ids::TRACKS => !hidden && self.tracks.is_none(),
            _ => false,
        };
        if sought {
            if window == ids::EBML {
                // Its beginning is noted when its header is whole.
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
