//! Reading a stream of elements as it arrives.

use super::block::{BLOCK_HEADER, BlockHeader};
use super::cluster::{Cluster, Group};
use super::head::Head;
use super::info::{DocType, Info};
use super::patches::Patches;
use super::timeline::{Block, Timeline};
use super::tracks;
use crate::container::{Container, HEAD_ROOM, Patch, Track};
use crate::ebml::{
    ids,
    read::uint,
    vint::{self, Header, MAX_HEADER, Parsed},
};
use crate::indexer::Options;

/// Larger EBML headers are none.
const EBML_LIMIT: u64 = 64 << 10;
/// A larger Info is passed over, and defaults hold.
const INFO_LIMIT: u64 = 64 << 10;
/// What is read of Tracks; the rest is kept in the file, but not looked at.
const TRACKS_LIMIT: u64 = 1 << 20;
/// Largest payload of a Void that may hide an Info (see [`hidden_info`]).
const HIDDEN_LIMIT: u64 = INFO_LIMIT + 8;
/// Level-1 elements worth an entry in the SeekHead, besides Info and Cues.
const SOUGHT: [u32; 4] = [ids::TRACKS, ids::CHAPTERS, ids::TAGS, ids::ATTACHMENTS];

/// Where the reader stands in the file's grammar follows from which of `segment`, `cluster` and `group` are open:
/// there is no stack to overflow.
#[derive(Debug)]
pub(crate) struct Scanner {
    pub(super) options: Options,
    /// Stream offset of the next byte.
    pos: u64,
    step: Step,
    /// The part of the next element's header that has arrived.
    header: [u8; MAX_HEADER],
    header_len: usize,
    /// The payload being collected. Empty in between; its memory serves every block.
    buf: Vec<u8>,

    pub(super) doc_type: Option<DocType>,
    segment: Option<Segment>,
    pub(super) cluster: Option<Cluster>,
    group: Option<Group>,
    /// The SimpleBlock whose payload is passing.
    simple_block: Option<BlockHeader>,

    pub(super) info: Option<Info>,
    pub(super) tracks: Option<Vec<Track>>,
    pub(super) timeline: Timeline,
    pub(super) patches: Patches,
    /// First of each of [`SOUGHT`]: id and stream offset.
    sought: Vec<(u32, u64)>,
    /// Stream offset of the first element that stays visible.
    first_kept: Option<u64>,
    /// End of the last whole element that stays.
    pub(super) keep: u64,
    /// Whether something since `keep` must be hidden when another kept element follows.
    unwanted: bool,
    cluster_seen: bool,
    /// Whether every cluster's size is known in the stored file, and nothing else would upset a player that
    /// trusts the Segment's size.
    pub(super) regular: bool,
    foreign: bool,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Reading an element's header.
    Header,
    /// Reading a payload, or the beginning of one, into `buf`.
    Collect { element: Element, want: usize },
    /// Passing over what is left of a payload.
    Skip { element: Element },
    /// Something is broken: looking for the next cluster.
    Resync { window: u32 },
    /// Nothing more is of interest.
    Done,
}

#[derive(Debug, Clone, Copy)]
struct Element {
    id: u32,
    start: u64,
    payload: u64,
    end: u64,
}

#[derive(Debug)]
struct Segment {
    /// Its end, where it says so.
    end: Option<u64>,
}

impl Scanner {
    pub(crate) fn new(options: Options) -> Self {
        let mut timeline = Timeline::default();
        timeline.set_scale(Info::default().scale_ns);
        Self {
            options,
            pos: 0,
            step: Step::Header,
            header: [0; MAX_HEADER],
            header_len: 0,
            buf: Vec::new(),
            doc_type: None,
            segment: None,
            cluster: None,
            group: None,
            simple_block: None,
            info: None,
            tracks: None,
            timeline,
            patches: Patches::default(),
            sought: Vec::new(),
            first_kept: None,
            keep: 0,
            unwanted: false,
            cluster_seen: false,
            regular: true,
            foreign: false,
        }
    }

    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        while let Some(&first) = bytes.first() {
            let taken = match self.step {
                Step::Header => self.header_byte(first),
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
                    self.pos += bytes.len() as u64;
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
    }

    pub(crate) fn poll_patch(&mut self) -> Option<Patch> {
        self.patches.pop()
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

    pub(crate) fn end_ns(&self) -> u64 {
        self.timeline.end_ns()
    }

    // Headers.

    /// Takes one byte of a header. Returns how many were taken: none where the Segment ends.
    fn header_byte(&mut self, byte: u8) -> usize {
        if self.header_len == 0 && self.group.is_none() && self.segment_ends_here() {
            self.close_cluster();
            self.step = Step::Done;
            return 0;
        }
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
            Parsed::Malformed => self.malformed(),
            Parsed::Item(header, _) => {
                let start = self.pos - self.header_len as u64;
                self.header_len = 0;
                self.open(&header, start);
            }
        }
        1
    }

    fn segment_ends_here(&self) -> bool {
        self.segment
            .as_ref()
            .is_some_and(|segment| segment.end == Some(self.pos))
    }

    fn open(&mut self, header: &Header, start: u64) {
        if self.group.is_some() {
            return self.open_in_group(header, start);
        }
        if let Some(cluster) = &self.cluster {
            if !cluster.ends_before(header.id) {
                return self.open_in_cluster(header, start);
            }
            self.close_cluster();
        }
        if self.segment.is_some() {
            self.open_in_segment(header, start);
        } else {
            self.open_at_top(header, start);
        }
    }

    fn open_at_top(&mut self, header: &Header, start: u64) {
        match (header.id, header.size) {
            (ids::EBML, Some(size)) if self.doc_type.is_none() && size <= EBML_LIMIT => {
                self.collect(header, start, EBML_LIMIT);
            }
            (ids::SEGMENT, size) if self.doc_type.is_some() => {
                // A writer that means to fill the size in later may leave a 0.
                let end = size
                    .filter(|&size| size != 0)
                    .map(|size| self.pos.saturating_add(size));
                self.segment = Some(Segment { end });
                self.step = Step::Header;
            }
            (ids::VOID | ids::CRC_32, Some(_)) if self.doc_type.is_some() => {
                self.pass(header, start)
            }
            _ => self.give_up_foreign(),
        }
    }

    fn open_in_segment(&mut self, header: &Header, start: u64) {
        match (header.id, header.size) {
            // Another file follows: ours is complete.
            (ids::EBML | ids::SEGMENT, _) => self.step = Step::Done,
            (ids::CLUSTER, _) => {
                self.begin_kept(start);
                self.cluster_seen = true;
                self.cluster = Some(Cluster::new(start, self.pos, header));
                self.step = Step::Header;
            }
            (_, None) => self.malformed(),
            (ids::INFO, Some(size)) if self.wants_info() && size <= INFO_LIMIT => {
                if self.first_kept.is_some() {
                    self.begin_kept(start);
                }
                self.collect(header, start, INFO_LIMIT);
            }
            (ids::VOID, Some(size)) if self.may_hide_info(header) && size <= HIDDEN_LIMIT => {
                self.collect(header, start, HIDDEN_LIMIT);
            }
            (ids::SEEK_HEAD | ids::INFO | ids::CUES | ids::CRC_32, _) => {
                self.unwanted = true;
                self.pass(header, start);
            }
            (ids::VOID, _) => self.pass(header, start),
            (id, _) => {
                self.begin_kept(start);
                if SOUGHT.contains(&id) && !self.sought.iter().any(|&(known, _)| known == id) {
                    self.sought.push((id, start));
                }
                if id == ids::TRACKS && self.tracks.is_none() {
                    self.collect(header, start, TRACKS_LIMIT);
                } else {
                    self.pass(header, start);
                }
            }
        }
    }

    fn open_in_cluster(&mut self, header: &Header, start: u64) {
        match (header.id, header.size) {
            (_, None) => self.malformed(),
            (ids::TIMESTAMP, Some(_)) => self.collect(header, start, 8),
            (ids::SIMPLE_BLOCK, Some(_)) => self.collect(header, start, BLOCK_HEADER as u64),
            (ids::BLOCK_GROUP, Some(0)) => self.pass(header, start),
            (ids::BLOCK_GROUP, Some(size)) => {
                self.group = Some(Group::new(start, self.pos.saturating_add(size)));
                self.step = Step::Header;
            }
            _ => self.pass(header, start),
        }
    }

    fn open_in_group(&mut self, header: &Header, start: u64) {
        let end = header.size.and_then(|size| self.pos.checked_add(size));
        let Some(group) = &mut self.group else { return };
        if end.is_none_or(|end| end > group.end) {
            return self.give_up_group();
        }
        match header.id {
            ids::REFERENCE_BLOCK => {
                group.reference = true;
                self.pass(header, start);
            }
            ids::BLOCK => self.collect(header, start, BLOCK_HEADER as u64),
            ids::BLOCK_DURATION => self.collect(header, start, 8),
            _ => self.pass(header, start),
        }
    }

    // Payloads.

    /// Passes over the payload that begins here.
    fn pass(&mut self, header: &Header, start: u64) {
        let element = self.element(header, start);
        self.step = Step::Skip { element };
        self.close_if_whole(element);
    }

    /// Reads at most `limit` bytes of the payload that begins here.
    fn collect(&mut self, header: &Header, start: u64, limit: u64) {
        let element = self.element(header, start);
        self.buf.clear();
        match usize::try_from(limit.min(element.end - element.payload)) {
            Ok(want) if want > 0 => self.step = Step::Collect { element, want },
            _ => self.collected(element),
        }
    }

    /// Only for elements of known size.
    fn element(&self, header: &Header, start: u64) -> Element {
        let size = header.size.unwrap_or(0);
        Element {
            id: header.id,
            start,
            payload: self.pos,
            end: self.pos.saturating_add(size),
        }
    }

    fn collected(&mut self, element: Element) {
        self.step = Step::Skip { element };
        match element.id {
            ids::EBML => {
                self.doc_type = DocType::parse(&self.buf);
                if self.doc_type.is_none() {
                    return self.give_up_foreign();
                }
            }
            ids::TRACKS => {
                let tracks = tracks::parse(&self.buf);
                // The only large payload: give its memory back.
                self.buf = Vec::new();
                self.timeline.set_tracks(&tracks);
                self.tracks = Some(tracks);
            }
            ids::TIMESTAMP => {
                if let (Some(cluster), Some(timestamp)) = (&mut self.cluster, uint(&self.buf)) {
                    cluster.timestamp = timestamp;
                }
            }
            ids::SIMPLE_BLOCK => self.simple_block = BlockHeader::parse(&self.buf),
            ids::BLOCK => {
                if let Some(group) = &mut self.group {
                    group.block = BlockHeader::parse(&self.buf);
                }
            }
            ids::BLOCK_DURATION => {
                if let Some(group) = &mut self.group {
                    group.duration = uint(&self.buf);
                }
            }
            // Info and a Void that may hide one are read when they are whole.
            _ => {}
        }
        self.close_if_whole(element);
    }

    // Ends.

    fn close_if_whole(&mut self, element: Element) {
        if self.pos >= element.end {
            self.step = Step::Header;
            self.close(element);
        }
    }

    fn close(&mut self, element: Element) {
        if let Some(group) = &self.group {
            if element.end == group.end {
                self.close_group();
            }
        } else if self.cluster.is_some() {
            self.close_in_cluster(element);
        } else if self.segment.is_some() {
            self.close_in_segment(element);
        }
    }

    fn close_group(&mut self) {
        let Some(group) = self.group.take() else {
            return;
        };
        if let (Some(block), false) = (group.block, group.broken) {
            self.add_block(block, !group.reference, group.duration, group.start);
        }
        if let Some(cluster) = &mut self.cluster {
            cluster.child(ids::BLOCK_GROUP, group.end);
        }
    }

    fn close_in_cluster(&mut self, element: Element) {
        if element.id == ids::SIMPLE_BLOCK
            && let Some(block) = self.simple_block.take()
        {
            self.add_block(block, block.keyframe, None, element.start);
        }
        if let Some(cluster) = &mut self.cluster {
            cluster.child(element.id, element.end);
        }
    }

    fn add_block(
        &mut self,
        header: BlockHeader,
        keyframe: bool,
        duration: Option<u64>,
        start: u64,
    ) {
        let Some(cluster) = &self.cluster else { return };
        self.timeline.add(&Block {
            header,
            keyframe,
            duration,
            cluster_timestamp: cluster.timestamp,
            cluster: cluster.start,
            relative_position: (cluster.blocks > 0).then(|| start - cluster.payload),
        });
    }

    fn close_in_segment(&mut self, element: Element) {
        match element.id {
            ids::INFO if self.wants_info() && element.end - element.payload <= INFO_LIMIT => {
                let info = Info::parse(&self.buf);
                self.take_info(info, &element);
                if self.first_kept.is_some() {
                    self.hide_info(&element);
                }
            }
            ids::VOID if self.wants_info() => {
                if let Some(info) = hidden_info(&self.buf, &element) {
                    self.begin_kept(element.start);
                    self.take_info(info, &element);
                }
            }
            ids::SEEK_HEAD | ids::INFO | ids::CUES | ids::CRC_32 | ids::VOID => {}
            ids::TRACKS => {
                self.keep = element.end;
                self.emit_live_head();
            }
            _ => self.keep = element.end,
        }
    }

    /// Called for every cluster that is followed by something else.
    fn close_cluster(&mut self) {
        if let Some(cluster) = self.cluster.take() {
            self.keep = cluster.whole_end();
            self.write_cluster_size(&cluster);
        }
    }

    /// Corrects the size in the cluster where that is needed and possible.
    pub(super) fn write_cluster_size(&mut self, cluster: &Cluster) {
        if let Some(size) = cluster.size_to_write() {
            self.regular &= self.options.patch_clusters
                && self.patches.size(cluster.size_at, cluster.size_width, size);
        }
    }

    // What stays visible.

    /// An element that stays begins at `start`: what is unwanted before it is hidden.
    fn begin_kept(&mut self, start: u64) {
        if self.first_kept.is_none() {
            self.first_kept = Some(start);
        } else if self.unwanted {
            let allowed = self.options.patch_clusters || !self.cluster_seen;
            self.regular &= allowed && self.patches.void(self.keep, start);
        }
        self.unwanted = false;
        self.keep = self.keep.max(start);
    }

    fn wants_info(&self) -> bool {
        self.info.is_none() && !self.cluster_seen
    }

    fn may_hide_info(&self, header: &Header) -> bool {
        self.wants_info() && self.first_kept.is_some() && header.size_width == 3
    }

    fn take_info(&mut self, info: Info, element: &Element) {
        self.timeline.set_scale(info.scale_ns);
        self.info = Some(info);
        if self.first_kept.is_some() {
            self.keep = element.end;
            self.emit_live_head();
        }
    }

    /// Makes an Info behind the first kept element a Void, in a way that [`hidden_info`] recognises.
    fn hide_info(&mut self, element: &Element) {
        // The four bytes of its id become a Void's id and a size of three bytes.
        let id_width = 4;
        let mut bytes = vec![0xEC];
        if let Some(size) = vint::sized(element.end - element.start - id_width, 3) {
            bytes.extend(size);
            self.patches.push(element.start, bytes);
        }
    }

    fn emit_live_head(&mut self) {
        if self.tracks.is_some()
            && let Some(head) = self.head(None, None, None)
        {
            self.patches.head(head);
        }
    }

    /// Our head; `None` as long as there is nothing to put it in front of. Positions are in the stored file.
    pub(super) fn head(
        &self,
        cues: Option<u64>,
        duration_ticks: Option<f64>,
        segment_end: Option<u64>,
    ) -> Option<Vec<u8>> {
        let stored = |offset: u64| HEAD_ROOM.saturating_add(offset);
        let mut seek: Vec<_> = self
            .sought
            .iter()
            .filter(|&&(_, at)| at < self.keep)
            .map(|&(id, at)| (id, stored(at)))
            .collect();
        seek.extend(cues.map(|at| (ids::CUES, at)));
        let info = self.info.clone().unwrap_or_default();
        let head = Head {
            doc_type: self.doc_type.as_ref()?,
            info: &info,
            seek: &seek,
            duration_ticks,
            segment_end,
            first_kept: stored(self.first_kept?),
        };
        Some(head.to_bytes())
    }

    // What does not fit the grammar.

    fn give_up_foreign(&mut self) {
        self.foreign = true;
        self.doc_type = None;
        self.step = Step::Done;
    }

    /// The rest of the group is passed over, and it does not count.
    fn give_up_group(&mut self) {
        self.header_len = 0;
        let Some(group) = &mut self.group else { return };
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

    /// What begins here is no element: it is hidden, and reading goes on at the next cluster.
    fn malformed(&mut self) {
        self.header_len = 0;
        if self.group.is_some() {
            self.give_up_group();
        } else if self.segment.is_none() {
            self.give_up_foreign();
        } else {
            self.close_cluster();
            self.unwanted = true;
            self.step = Step::Resync { window: 0 };
        }
    }

    fn resync_byte(&mut self, window: u32) {
        self.pos += 1;
        self.step = Step::Resync { window };
        if window == ids::CLUSTER {
            let id = ids::CLUSTER.to_be_bytes();
            self.header[..id.len()].copy_from_slice(&id);
            self.header_len = id.len();
            self.step = Step::Header;
        }
    }
}

/// The Info that [`Scanner::hide_info`] made a Void of, found when a stored stream is scanned again: the payload
/// begins with the Info's own size, which covers exactly the rest.
fn hidden_info(payload: &[u8], element: &Element) -> Option<Info> {
    if payload.len() as u64 != element.end - element.payload {
        return None;
    }
    let Parsed::Item(Some(size), taken) = vint::size(payload) else {
        return None;
    };
    let info = payload.get(taken..)?;
    (size != 0 && info.len() as u64 == size).then(|| Info::parse(info))
}
