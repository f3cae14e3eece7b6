//! What each element means when it begins and when it has arrived as a whole.

use super::block::{BLOCK_HEADER, BlockHeader};
use super::cluster::{Cluster, Group};
use super::info::{DocType, Info};
use super::layout::hidden_info;
use super::scanner::{Element, Scanner, Segment, Step};
use super::timeline::Block;
use super::tracks;
use crate::ebml::{ids, read::uint, vint::Header};

/// Larger EBML headers are none.
const EBML_LIMIT: u64 = 64 << 10;
/// A larger Info is passed over, and defaults hold.
const INFO_LIMIT: u64 = 64 << 10;
/// Largest payload of a Void that may hide an Info: with the Info's own size in front of it.
const HIDDEN_LIMIT: u64 = INFO_LIMIT + 8;
/// A Void's id and a size of three bytes, in place of an Info's id.
const HIDDEN_HEADER: u64 = 4;
/// What is read of Tracks; the rest is kept in the file, but not looked at.
const TRACKS_LIMIT: u64 = 1 << 20;
/// The longest number.
const UINT_LIMIT: u64 = 8;
/// No frame is larger. Looked at in a repair only.
const FRAME_LIMIT: u64 = 64 << 20;

impl Scanner {
    // Beginnings.

    pub(super) fn open(&mut self, header: &Header, start: u64) {
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
                self.pass(header, start);
            }
            _ => self.give_up_foreign(),
        }
    }

    /// Whether a child of the Segment or a cluster cannot be right. Only asked where the length is known: what
    /// still arrives may well be larger than what has arrived, and from a future version.
    fn is_implausible(&self, header: &Header) -> bool {
        let (Some(length), Some(size)) = (self.length, header.size) else {
            return false;
        };
        let end = self.pos.saturating_add(size);
        let known = match &self.cluster {
            // A Void may be the Segment's, behind the cluster.
            Some(_) if ids::is_global(header.id) => true,
            Some(cluster) => {
                size <= FRAME_LIMIT
                    && cluster.declared_end().is_none_or(|whole| end <= whole)
                    && ids::is_cluster_child(header.id)
            }
            None => ids::is_segment_child(header.id),
        };
        // A cluster's own size is a hint; see there.
        header.id != ids::CLUSTER && !(known && end <= length)
    }

    fn open_in_segment(&mut self, header: &Header, start: u64) {
        if self.is_implausible(header) {
            return self.malformed(start);
        }
        match (header.id, header.size) {
            // Another file follows: ours is complete.
            (ids::EBML | ids::SEGMENT, _) => self.step = Step::Done,
            (ids::CLUSTER, _) => {
                self.layout.begin(ids::CLUSTER, start);
                self.first_cluster.get_or_insert(start);
                self.cluster = Some(Cluster::new(start, self.pos, header));
                self.step = Step::Header;
            }
            (_, None) => self.malformed(start),
            (ids::INFO, Some(size)) if self.wants_info() && size <= INFO_LIMIT => {
                if !self.layout.in_front() {
                    self.layout.begin(ids::INFO, start);
                }
                self.collect(header, start, INFO_LIMIT);
            }
            (ids::VOID, Some(size)) if self.may_hide_info(self.pos - start, size) => {
                self.collect(header, start, HIDDEN_LIMIT);
            }
            (ids::SEEK_HEAD | ids::INFO | ids::CUES | ids::CRC_32, _) => {
                self.cues_seen |= header.id == ids::CUES;
                self.layout.unwanted();
                self.pass(header, start);
            }
            (ids::VOID, _) => self.pass(header, start),
            (id, _) => {
                self.layout.begin(id, start);
                if id == ids::TRACKS && self.tracks.is_none() {
                    self.collect(header, start, TRACKS_LIMIT);
                } else {
                    self.pass(header, start);
                }
            }
        }
    }

    fn open_in_cluster(&mut self, header: &Header, start: u64) {
        if self.is_implausible(header) {
            return self.malformed(start);
        }
        match (header.id, header.size) {
            (_, None) => self.malformed(start),
            (ids::TIMESTAMP, Some(_)) => self.collect(header, start, UINT_LIMIT),
            (ids::SIMPLE_BLOCK, Some(_)) => self.collect(header, start, BLOCK_HEADER as u64),
            (ids::BLOCK_GROUP, Some(size)) if size != 0 => {
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
            ids::BLOCK_DURATION => self.collect(header, start, UINT_LIMIT),
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
        match usize::try_from(limit.min(element.size())) {
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

    /// What there is to read of `element` is in `buf`.
    pub(super) fn collected(&mut self, element: Element) {
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
            // Info, and a Void that may hide one, are read as they end.
            _ => {}
        }
        self.close_if_whole(element);
    }

    // Ends.

    pub(super) fn close_if_whole(&mut self, element: Element) {
        if self.pos < element.end {
            return;
        }
        self.step = Step::Header;
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

    pub(super) fn add_block(
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
            ids::INFO if self.wants_info() && element.size() <= INFO_LIMIT => {
                self.take_info(Info::parse(&self.buf));
                if !self.layout.in_front() {
                    self.layout.hide_info(element.start, element.end);
                    self.layout.end(element.end);
                    self.emit_live_head();
                }
            }
            ids::VOID if self.may_hide_info(element.payload - element.start, element.size()) => {
                if let Some(info) = hidden_info(&self.buf) {
                    self.take_info(info);
                    self.layout.begin(ids::INFO, element.start);
                    self.layout.end(element.end);
                    self.emit_live_head();
                }
            }
            ids::SEEK_HEAD | ids::INFO | ids::CUES | ids::CRC_32 | ids::VOID => {}
            id => {
                self.layout.end(element.end);
                if id == ids::TRACKS {
                    self.emit_live_head();
                }
            }
        }
    }

    /// The cluster is followed by something else.
    pub(super) fn close_cluster(&mut self) {
        if let Some(cluster) = self.cluster.take() {
            self.layout.end_cluster(&cluster);
        }
    }

    fn wants_info(&self) -> bool {
        self.info.is_none() && !self.layout.cluster_seen()
    }

    /// Whether a Void with `header` and `size` bytes may be an Info that was hidden when it came first.
    fn may_hide_info(&self, header: u64, size: u64) -> bool {
        self.wants_info()
            && !self.layout.in_front()
            && header == HIDDEN_HEADER
            && size <= HIDDEN_LIMIT
    }

    fn take_info(&mut self, info: Info) {
        self.timeline.set_scale(info.scale_ns);
        self.info = Some(info);
    }

    /// The head of a recording that is still growing, as soon as its tracks are described.
    fn emit_live_head(&mut self) {
        if let (Some(doc_type), Some(_)) = (&self.doc_type, &self.tracks) {
            let info = self.info.clone().unwrap_or_default();
            if let Some(head) = self.layout.head(doc_type, &info, None) {
                self.layout.patches.head(head);
            }
        }
    }
}
