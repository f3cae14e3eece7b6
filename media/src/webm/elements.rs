//! Handling of elements when they begin and when they are complete.

use super::block::{BLOCK_HEADER, BlockHeader};
use super::cluster::{BlockGroup, Cluster};
use super::info::{DocType, Info};
use super::next_document::NextDocument;
use super::scanner::{Element, FRAME_LIMIT, Scanner, Segment, Step};
use super::segment_layout::{HEAD_VOID_WIDTH, hidden_info};
use super::tags::TrackTags;
use super::timeline::Block;
use super::timestamp_shift::{MARKER_SIZE, MarkerSlot, ShiftMarker};
use super::tracks;
use crate::ebml::{ids, read::uint, vint::Header};
use crate::report::LeftOutReason;

/// Largest plausible EBML header.
const EBML_LIMIT: u64 = 64 << 10;
/// Largest Info payload that is parsed; a larger one is skipped.
const INFO_LIMIT: u64 = 64 << 10;
/// Largest payload of a Void that may hide an Info. It begins with the Info's own size.
const HIDDEN_LIMIT: u64 = INFO_LIMIT + 8;
/// Size of the id and of a three-byte size of a Void that replaces the id of an Info.
const HIDDEN_HEADER: u64 = 4;
/// Bytes of Tracks that are parsed; the rest is stored but ignored.
const TRACKS_LIMIT: u64 = 1 << 20;
/// Largest Tags payload that is parsed.
const TAGS_LIMIT: u64 = 64 << 10;
/// Maximum number of duration tags that are kept.
const TAGS_KEPT: usize = 16;
/// Longest unsigned integer (RFC 8794, section 7.2).
const UINT_LIMIT: u64 = 8;

/// Whether a Void whose size is `width` bytes wide hides a part of the stream and must be kept.
fn hides(width: u64) -> bool {
    width == HEAD_VOID_WIDTH as u64 || LeftOutReason::of_void_width(width).is_some()
}

impl Scanner {
    // Start of elements.

    pub(super) fn open(&mut self, header: &Header, start: u64) {
        if self.group.is_some() {
            return self.open_in_group(header, start);
        }
        if let Some(cluster) = &self.cluster {
            if !cluster.ends_before(header.id) {
                return self.open_in_cluster(header, start);
            }
            if cluster.pending {
                // The first cluster of the next document has no Timestamp.
                return self.hide_next_document();
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
                // Some muxers write 0 as a placeholder for a size that they fill in later.
                let end = size
                    .filter(|&size| size != 0)
                    .map(|size| self.pos.saturating_add(size));
                self.segment = Some(Segment { end });
                self.step = Step::Header;
            }
            (ids::VOID | ids::CRC_32, Some(_)) if self.doc_type.is_some() => {
                self.pass(header, start);
            }
            _ => self.reject_container(),
        }
    }

    /// Whether a child of the Segment or of a cluster is implausible. In a growing stream, unknown elements and sizes
    /// beyond the received bytes are plausible. Frames above [`FRAME_LIMIT`] are not, nor are unknown elements behind
    /// the declared end of the Segment.
    fn is_implausible(&self, header: &Header, start: u64) -> bool {
        let behind = self.is_behind_segment(start)
            && !ids::is_segment_child(header.id)
            && !(self.cluster.is_some() && ids::is_cluster_child(header.id));
        let known = match &self.cluster {
            Some(_) => ids::is_global(header.id),
            None => ids::is_segment_child(header.id),
        };
        if behind || !known && header.size.is_some_and(|size| size > FRAME_LIMIT) {
            return true;
        }
        let (Some(length), Some(size)) = (self.length, header.size) else {
            return false;
        };
        let end = self.pos.saturating_add(size);
        let known = match &self.cluster {
            // A Void may belong to the Segment, behind the cluster.
            Some(_) if ids::is_global(header.id) => true,
            Some(cluster) => {
                size <= FRAME_LIMIT
                    && cluster.declared_end().is_none_or(|whole| end <= whole)
                    && ids::is_cluster_child(header.id)
            }
            None => ids::is_segment_child(header.id),
        };
        // The declared size of a cluster is only a hint; see [`Cluster`].
        let sized = matches!(header.id, ids::CLUSTER | ids::SEGMENT);
        !(sized || known && end <= length)
    }

    fn open_in_segment(&mut self, header: &Header, start: u64) {
        if matches!(header.id, ids::EBML | ids::SEGMENT) && !self.awaits_segment(header.id) {
            return self.begin_next_document(header, start);
        }
        if self.is_implausible(header, start) {
            return self.malformed(start);
        }
        if self.is_in_next_document() {
            return self.open_in_next_document(header, start);
        }
        match (header.id, header.size) {
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
                self.layout.discard(LeftOutReason::ReplacedIndex);
                self.pass(header, start);
            }
            (ids::TRACKS, _) if self.joined => {
                self.layout.discard(LeftOutReason::ReplacedIndex);
                self.pass(header, start);
            }
            // A Segment contains at most one of these elements.
            (ids::CHAPTERS | ids::ATTACHMENTS, _) if self.joined => {
                self.layout.discard(LeftOutReason::OtherRecording);
                self.pass(header, start);
            }
            (ids::VOID, Some(size)) => self.open_void(header, start, size),
            (ids::TAGS, Some(size)) if size <= TAGS_LIMIT => {
                self.layout.begin(ids::TAGS, start);
                self.collect(header, start, TAGS_LIMIT);
            }
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

    /// Keeps a Void that hides a part of the stream. A Void over the head of a joined document may contain a shift
    /// marker.
    fn open_void(&mut self, header: &Header, start: u64, size: u64) {
        let width = self.pos - start - 1;
        if hides(width) && self.cluster.is_none() && !self.layout.in_front() {
            self.layout.begin(ids::VOID, start);
        }
        if width == HEAD_VOID_WIDTH as u64
            && size >= MARKER_SIZE as u64
            && self.layout.cluster_seen()
        {
            self.collect(header, start, MARKER_SIZE as u64);
        } else {
            self.pass(header, start);
        }
    }

    fn open_in_cluster(&mut self, header: &Header, start: u64) {
        if self.is_implausible(header, start) {
            return self.malformed(start);
        }
        let pending = self.cluster.as_ref().is_some_and(|cluster| cluster.pending);
        if pending && ids::is_frame(header.id) {
            return self.hide_next_document();
        }
        match (header.id, header.size) {
            (ids::VOID, Some(size)) => self.open_void(header, start, size),
            (_, None) => self.malformed(start),
            (ids::TIMESTAMP, Some(_)) => self.collect(header, start, UINT_LIMIT),
            (ids::SIMPLE_BLOCK, Some(_)) => self.collect(header, start, BLOCK_HEADER as u64),
            (ids::BLOCK_GROUP, Some(size)) if size != 0 => {
                self.group = Some(BlockGroup::new(start, self.pos.saturating_add(size)));
                self.step = Step::Header;
            }
            _ => self.pass(header, start),
        }
    }

    fn open_in_group(&mut self, header: &Header, start: u64) {
        let end = header.size.and_then(|size| self.pos.checked_add(size));
        let Some(group) = &mut self.group else { return };
        if end.is_none_or(|end| end > group.end) {
            return self.discard_group();
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

    /// Skips the payload that begins here.
    pub(super) fn pass(&mut self, header: &Header, start: u64) {
        let element = self.element(header, start);
        self.step = Step::Skip { element };
        self.close_if_whole(element);
    }

    /// Collects at most `limit` bytes of the payload that begins here.
    pub(super) fn collect(&mut self, header: &Header, start: u64, limit: u64) {
        let element = self.element(header, start);
        self.buf.clear();
        match usize::try_from(limit.min(element.size())) {
            Ok(want) if want > 0 => self.step = Step::Collect { element, want },
            _ => self.collected(element),
        }
    }

    /// Returns the element that begins here; its size must be known.
    fn element(&self, header: &Header, start: u64) -> Element {
        let size = header.size.unwrap_or(0);
        Element {
            id: header.id,
            start,
            payload: self.pos,
            end: self.pos.saturating_add(size),
        }
    }

    /// Handles a payload that was collected in `buf`.
    pub(super) fn collected(&mut self, element: Element) {
        self.step = Step::Skip { element };
        if self.is_in_next_document() && self.cluster.is_none() {
            if self.collected_in_next_document(element) {
                self.close_if_whole(element);
            } else {
                self.hide_next_document();
            }
            return;
        }
        match element.id {
            ids::EBML => {
                self.doc_type = DocType::parse(&self.buf);
                if self.doc_type.is_none() {
                    return self.reject_container();
                }
                self.slot = MarkerSlot::find(&self.buf).map(|slot| (element.payload, slot));
                if let Some((at, slot)) = self.slot
                    && let Some(marker) = slot.read(&self.buf)
                {
                    self.resume(marker, at + slot.marker_at());
                }
            }
            ids::TRACKS => {
                let tracks = tracks::parse(&self.buf);
                self.track_keys = tracks::keys(&self.buf);
                self.track_uids = tracks::uids(&self.buf);
                // Frees the memory of the only large payload.
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
            ids::VOID if element.payload - element.start == 1 + HEAD_VOID_WIDTH as u64 => {
                if let Some(marker) = ShiftMarker::read(&self.buf) {
                    self.resume(marker, element.payload);
                }
            }
            // Info, Tags and a Void that hides an Info are parsed when they are complete.
            _ => {}
        }
        self.close_if_whole(element);
    }

    // End of elements.

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
        } else if self.is_in_next_document() {
            self.close_in_next_document(element);
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
        if element.id == ids::TIMESTAMP {
            self.shift_cluster(element.end);
        }
        let width = element.payload - element.start - 1;
        let hiding = element.id == ids::VOID && hides(width);
        if let Some(cluster) = &mut self.cluster {
            cluster.child(element.id, element.end);
            if hiding {
                cluster.hide_last();
            }
        }
        if let Some(reason) = LeftOutReason::of_void_width(width).filter(|_| hiding) {
            self.layout
                .record_hidden(element.start, element.end, reason);
        }
    }

    pub(super) fn add_block(
        &mut self,
        header: BlockHeader,
        keyframe: bool,
        duration: Option<u64>,
        start: u64,
    ) {
        let Some(cluster) = self.cluster.as_ref().filter(|cluster| !cluster.misplaced) else {
            return;
        };
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
            ids::VOID => {
                let width = element.payload - element.start - 1;
                if hides(width) && !self.layout.in_front() {
                    self.layout.end(element.end);
                    if let Some(reason) = LeftOutReason::of_void_width(width) {
                        self.layout
                            .record_hidden(element.start, element.end, reason);
                    }
                }
            }
            ids::SEEK_HEAD | ids::INFO | ids::CUES | ids::CRC_32 => {}
            ids::TAGS if element.size() <= TAGS_LIMIT => {
                self.layout.end(element.end);
                self.take_tags(element.payload);
            }
            id => {
                self.layout.end(element.end);
                if id == ids::TRACKS {
                    self.emit_live_head();
                }
            }
        }
    }

    /// Ends the current cluster.
    pub(super) fn close_cluster(&mut self) {
        if let Some(cluster) = self.cluster.take().filter(|cluster| !cluster.pending) {
            self.layout.end_cluster(&cluster);
        }
    }

    /// Restores the shift marker that an earlier scan wrote at `at`.
    fn resume(&mut self, marker: ShiftMarker, at: u64) {
        let prefix = self.immutable_prefix();
        self.layout.freeze(prefix);
        self.timestamp_shift.resume(marker, at);
        self.joined |= self.layout.cluster_seen();
    }

    /// Whether a Segment must follow the last EBML header.
    fn awaits_segment(&self, id: u32) -> bool {
        id == ids::SEGMENT
            && matches!(&self.next_document, NextDocument::Head(head) if head.awaits_segment())
    }

    pub(super) fn is_in_next_document(&self) -> bool {
        matches!(self.next_document, NextDocument::Head(_))
    }

    /// Keeps tags about track durations.
    fn take_tags(&mut self, payload: u64) {
        let tags = TrackTags::read(&self.buf, payload);
        self.buf = Vec::new();
        if self.layout.patches_clusters() {
            let room = TAGS_KEPT.saturating_sub(self.tags.len());
            self.tags.extend(tags.into_iter().take(room));
        } else if !self.layout.cluster_seen() {
            // Without patches, tags cannot be corrected once the duration is known.
            for (at, bytes) in tags.iter().flat_map(TrackTags::removal) {
                self.layout.patches.push(at, bytes);
            }
        }
    }

    fn wants_info(&self) -> bool {
        self.info.is_none() && !self.layout.cluster_seen()
    }

    /// Whether a Void with a header of `header` bytes and a payload of `size` bytes may be an Info that was hidden.
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

    /// Queues the head of the growing file once the tracks are known.
    fn emit_live_head(&mut self) {
        if let (Some(doc_type), Some(_), 0) = (&self.doc_type, &self.tracks, self.timeline.frames())
        {
            let info = self.info.clone().unwrap_or_default();
            if let Some(head) = self.layout.head(doc_type, &info, None) {
                self.layout.patches.head(head);
            }
        }
    }
}
