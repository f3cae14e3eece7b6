//! Incremental scanner: follows the elements of a stream.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::block::{BLOCK_HEADER, BlockHeader};
use super::cluster::{BlockGroup, Cluster};
use super::element_reader::{Element, ElementReader, Event};
use super::finish::{StreamEnd, finish};
use super::info::{DocType, Info};
use super::next_document::{Head, NextDocument, Treatment};
use super::recording::Recording;
use super::segment_layout::{HEAD_VOID_WIDTH, hidden_info};
use super::timestamp_shift::{MARKER_SIZE, ShiftMarker};
use super::tracks::{TRACKS_LIMIT, Tracks};
use crate::activity::Activity;
use crate::container::Container;
use crate::ebml::{
    ids,
    read::uint,
    vint::{self, Header, Parsed},
};
use crate::error::Unplayable;
use crate::finish::Finish;
use crate::left_out::LeftOutReason;
use crate::live::EntryPoint;
use crate::options::Options;
use crate::patch::{HEAD_ROOM, Patch};
use crate::report::{Damage, Report};
use crate::track::Track;

/// Largest plausible frame.
const FRAME_LIMIT: u64 = 64 << 20;
/// Largest payload of a Void that may hide an Info. It begins with the Info's own size.
const HIDDEN_LIMIT: u64 = Info::LIMIT + 8;
/// Size of the id and of a three-byte size of a Void that replaces the id of an Info.
const HIDDEN_HEADER: u64 = 4;
/// Largest Tags payload that is parsed.
const TAGS_LIMIT: u64 = 64 << 10;
/// Longest unsigned integer (RFC 8794, section 7.2).
const UINT_LIMIT: u64 = 8;
/// Largest Tracks payload that is kept, and number of cues, after [`Scanner::reduce_memory`].
const SHORT_LIMIT: usize = 64 << 10;
const SHORT_CUES: usize = 256;
/// Upper bound for the size of a CuePoint.
const CUE_BYTES: u64 = 64;

/// Incremental scanner. The open elements are those of `segment`, `cluster` and `group` that are set, so that no input
/// can make a stack of open elements overflow.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Scanner {
    reader: ElementReader,
    /// End of the Segment; [`u64::MAX`] if it declares none.
    segment: Option<u64>,
    cluster: Option<Cluster>,
    group: Option<BlockGroup>,
    /// The SimpleBlock whose payload is arriving.
    simple_block: Option<BlockHeader>,

    recording: Recording,
    next_document: NextDocument,
    /// Whether another EBML document follows the first.
    next_document_seen: bool,

    /// Length of the whole stream, if known.
    length: Option<u64>,
    /// Stream offset of the first cluster.
    first_cluster: Option<u64>,
    /// Whether the sender's stream has an index.
    cues_seen: bool,
    /// Start of damage whose end has not been found.
    damaged_from: Option<u64>,
    damage: Damage,
}

/// Whether a Void whose size is `width` bytes wide hides a part of the stream and must be kept.
fn hides(width: u64) -> bool {
    width == HEAD_VOID_WIDTH as u64 || LeftOutReason::of_void_width(width).is_some()
}

impl Scanner {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            recording: Recording::new(options),
            length: options.stream_length,
            ..Self::default()
        }
    }

    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        loop {
            if let Some(taken) = self.whole_block(bytes) {
                bytes = &bytes[taken..];
                continue;
            }
            match self.reader.next(&mut bytes) {
                Some(Event::PartialHeader) => {
                    let end = self.group.as_ref().map(|group| group.end);
                    if end == Some(self.reader.pos()) {
                        self.discard_group();
                    }
                }
                Some(Event::Malformed(start)) => self.malformed(start),
                Some(Event::Header(header, start)) => self.open(&header, start),
                Some(Event::Payload(element)) => self.collected(element),
                Some(Event::End(element)) => self.close(element),
                Some(Event::Window(window)) => self.resync(window),
                None => return,
            }
        }
    }

    pub(crate) fn skippable(&self) -> u64 {
        self.reader.skippable()
    }

    pub(crate) fn skip(&mut self, n: u64) {
        self.reader.cursor.advance(n.min(self.skippable()));
        self.push(&[]);
        if self.reader.cursor.is_too_far() {
            self.reader.stop();
        }
    }

    pub(crate) fn poll_patch(&mut self) -> Option<Patch> {
        // Until a frame is indexed, only the head room changes.
        let is_playable = self.recording.timeline.frames > 0;
        self.recording.layout.patches.pop(is_playable)
    }

    pub(crate) fn received(&self) -> u64 {
        self.reader.pos()
    }

    pub(crate) fn container(&self) -> Option<Container> {
        let doc_type = self.recording.doc_type.as_ref();
        doc_type.map(|doc_type| doc_type.container)
    }

    pub(crate) fn tracks(&self) -> &[Track] {
        let tracks = self.recording.tracks.as_ref();
        tracks.map_or(&[], |tracks| &tracks.list)
    }

    pub(crate) fn end_ns(&self) -> u64 {
        self.recording.timeline.end_ns
    }

    /// Returns the length of the stored file that finishing certainly keeps; 0 while finishing could fail.
    pub(crate) fn immutable_prefix(&self) -> u64 {
        self.recording.immutable_prefix(self.cluster.as_ref())
    }

    pub(crate) fn playable_end(&self) -> u64 {
        self.recording.playable_end(self.cluster.as_ref())
    }

    /// Returns the end of the head in the stored file, once the first cluster has begun.
    pub(crate) fn head_end(&self) -> Option<u64> {
        Some(HEAD_ROOM.saturating_add(self.first_cluster?))
    }

    pub(crate) fn newest_entry_point(&self) -> Option<EntryPoint> {
        self.recording.timeline.cues.newest()
    }

    /// Returns the stream offsets of the newest complete frame if indexing can continue here after a restart. Patches may
    /// have changed the bytes behind this point; elsewhere these have another meaning than before.
    pub(crate) fn frame_before_restart(&self) -> Option<Range<u64>> {
        let cluster = self.cluster.as_ref();
        let is_between_frames = self.reader.skippable() > 0 || self.reader.is_at_header();
        let is_restorable = is_between_frames
            && cluster.is_some_and(|cluster| cluster.blocks > 0 && !cluster.pending)
            && matches!(self.next_document, NextDocument::None)
            && self.damaged_from.is_none()
            // A marker in front of this point says which of the timestamps behind it are shifted already.
            && !self.recording.shift.is_shifted();
        let frame = self.recording.newest_frame.as_ref();
        frame.filter(|_| is_restorable).cloned()
    }

    pub(crate) fn entry_points(&self) -> Vec<EntryPoint> {
        self.recording.timeline.entry_points().collect()
    }

    /// Returns the heap size without queued patches.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let timeline = &self.recording.timeline;
        let rest = self.reader.payload.capacity() + timeline.cues.memory_bytes();
        rest as u64 + timeline.memory_bytes()
    }

    /// Heap memory that finishing allocates in addition.
    pub(crate) fn finish_bytes(&self) -> u64 {
        CUE_BYTES * self.recording.timeline.cues.len() as u64
    }

    /// Thins the cues and limits the bytes of Tracks that are parsed.
    pub(crate) fn reduce_memory(&mut self) {
        self.recording.timeline.cues.limit(SHORT_CUES);
        self.reader.shorten(ids::TRACKS, SHORT_LIMIT);
        self.push(&[]);
    }

    pub(crate) fn activity(&self) -> Activity {
        self.recording.timeline.activity()
    }

    pub(crate) fn report(&self) -> Report {
        let last = self.cluster.as_ref().map(Cluster::end);
        let whole = self.recording.layout.end_of_last().max(last.unwrap_or(0));
        let end = self.segment.filter(|&end| end < u64::MAX);
        let info = self.recording.info.as_ref();
        Report {
            duration_ms: self.end_ns() / 1_000_000,
            frame_stats: self.recording.timeline.frame_stats(),
            front_matter_bytes: self.first_cluster,
            indexed: self.cues_seen && info.is_some_and(|info| info.has_duration),
            data_behind_end: self.next_document_seen || end.is_some_and(|end| end < whole),
            damage: self.damage.clone(),
            // Cues at the end are replaced, not torn.
            torn_bytes: if self.reader.is_at_boundary() && self.group.is_none() {
                0
            } else {
                self.received().saturating_sub(whole)
            },
            missing_bytes: match (end, self.length) {
                (Some(end), Some(length)) => end.saturating_sub(length),
                _ => 0,
            },
            ..Report::default()
        }
    }

    pub(crate) fn finish(self) -> Result<Finish, Unplayable> {
        let group = self.group.as_ref().map(|group| group.start);
        let torn_from = group.or_else(|| self.reader.torn_from());
        let (cluster, cut) = match self.cluster {
            Some(last) if !last.is_kept() => (None, Some(last)),
            kept => (kept, None),
        };
        let torn = match (torn_from, cut) {
            (Some(_), Some(cut)) => Some((cut.start, LeftOutReason::Torn)),
            (Some(from), None) => Some((from, LeftOutReason::Torn)),
            (None, Some(cut)) => Some((cut.start, LeftOutReason::NoFrames)),
            (None, None) => None,
        };
        let end = StreamEnd {
            received: self.reader.pos(),
            cluster,
            torn,
            segment_end: self.segment.unwrap_or(u64::MAX),
        };
        finish(self.recording, end)
    }

    /// Fast path for a SimpleBlock that is completely in `bytes`, as most blocks are. Returns the bytes taken, or
    /// `None` to leave the element to the reader.
    fn whole_block(&mut self, bytes: &[u8]) -> Option<usize> {
        const SIMPLE_BLOCK: u8 = ids::SIMPLE_BLOCK.to_be_bytes()[3];
        let simple = bytes.first() == Some(&SIMPLE_BLOCK)
            && self.reader.is_at_header()
            && self.group.is_none()
            && self.length.is_none();
        let cluster = (self.cluster.as_mut()).filter(|cluster| simple && !cluster.pending)?;
        if cluster.ends_before(ids::SIMPLE_BLOCK) {
            return None;
        }
        let Parsed::Item(header, width) = vint::header(bytes) else {
            return None;
        };
        let size = usize::try_from(header.size.filter(|&size| size <= FRAME_LIMIT)?).ok()?;
        let payload = bytes[width..].get(..size)?;
        let start = self.reader.pos();
        self.reader.cursor.advance((width + size) as u64);
        if let Some(block) = BlockHeader::parse(&payload[..size.min(BLOCK_HEADER)]) {
            self.recording.add_block(
                cluster,
                block,
                block.keyframe,
                None,
                start..self.reader.pos(),
            );
        }
        cluster.child(ids::SIMPLE_BLOCK, self.reader.pos());
        Some(width + size)
    }

    /// Whether the declared end of the Segment is at or before `at`. The declared size may be too small.
    fn is_behind_segment(&self, at: u64) -> bool {
        self.segment.is_some_and(|end| end <= at)
    }

    // Start of elements.

    fn open(&mut self, header: &Header, start: u64) {
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
        let is_webm = self.recording.doc_type.is_some();
        match (header.id, header.size) {
            (ids::EBML, Some(size)) if !is_webm && size <= DocType::LIMIT => {
                self.reader.collect(header, start, DocType::LIMIT);
            }
            (ids::SEGMENT, size) if is_webm => {
                // Some muxers write 0 as a placeholder for a size that they fill in later.
                let size = size.filter(|&size| size != 0);
                let end = size.map(|size| self.reader.pos().saturating_add(size));
                self.segment = Some(end.unwrap_or(u64::MAX));
                self.reader.enter();
            }
            (ids::VOID | ids::CRC_32, Some(_)) if is_webm => self.reader.pass(header, start),
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
        let end = self.reader.pos().saturating_add(size);
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
        let awaited = match &self.next_document {
            NextDocument::Head(head) if head.awaits_segment() => header.id == ids::SEGMENT,
            _ => false,
        };
        if matches!(header.id, ids::EBML | ids::SEGMENT) && !awaited {
            return self.begin_next_document(header, start);
        }
        if self.is_implausible(header, start) {
            return self.malformed(start);
        }
        if let NextDocument::Head(head) = &mut self.next_document {
            let treatment = head.open(header);
            return self.open_in_next_document(header, start, treatment);
        }
        let wants_info = self.recording.wants_info();
        let header_size = self.reader.pos() - start;
        let may_hide_info = header
            .size
            .is_some_and(|size| self.may_hide_info(header_size, size));
        let joined = self.recording.joined;
        let layout = &mut self.recording.layout;
        match (header.id, header.size) {
            (ids::CLUSTER, _) => {
                layout.begin(ids::CLUSTER, start);
                self.first_cluster.get_or_insert(start);
                self.open_cluster(header, start, false);
            }
            (_, None) => self.malformed(start),
            (ids::INFO, Some(size)) if wants_info && size <= Info::LIMIT => {
                if !layout.in_front() {
                    layout.begin(ids::INFO, start);
                }
                self.reader.collect(header, start, Info::LIMIT);
            }
            (ids::VOID, _) if may_hide_info => {
                self.reader.collect(header, start, HIDDEN_LIMIT);
            }
            (ids::SEEK_HEAD | ids::INFO | ids::CUES | ids::CRC_32, _) => {
                self.cues_seen |= header.id == ids::CUES;
                layout.discard(LeftOutReason::ReplacedIndex);
                self.reader.pass(header, start);
            }
            (ids::TRACKS, _) if joined => {
                layout.discard(LeftOutReason::ReplacedIndex);
                self.reader.pass(header, start);
            }
            // A Segment contains at most one of these elements.
            (ids::CHAPTERS | ids::ATTACHMENTS, _) if joined => {
                layout.discard(LeftOutReason::OtherRecording);
                self.reader.pass(header, start);
            }
            (ids::VOID, Some(size)) => self.open_void(header, start, size),
            (ids::TAGS, Some(size)) if size <= TAGS_LIMIT => {
                layout.begin(ids::TAGS, start);
                self.reader.collect(header, start, TAGS_LIMIT);
            }
            (id, _) => {
                layout.begin(id, start);
                if id == ids::TRACKS && self.recording.tracks.is_none() {
                    self.reader.collect(header, start, TRACKS_LIMIT);
                } else {
                    self.reader.pass(header, start);
                }
            }
        }
    }

    fn open_cluster(&mut self, header: &Header, start: u64, pending: bool) {
        let mut cluster = Cluster::new(start, self.reader.pos(), header);
        cluster.pending = pending;
        self.cluster = Some(cluster);
        self.reader.enter();
    }

    /// Keeps a Void that hides a part of the stream. A Void over the head of a joined document may contain a shift
    /// marker.
    fn open_void(&mut self, header: &Header, start: u64, size: u64) {
        let width = self.reader.pos() - start - 1;
        let layout = &mut self.recording.layout;
        if hides(width) && self.cluster.is_none() && !layout.in_front() {
            layout.begin(ids::VOID, start);
        }
        let marker_size = MARKER_SIZE as u64;
        if width == HEAD_VOID_WIDTH as u64 && size >= marker_size && layout.cluster_seen {
            self.reader.collect(header, start, marker_size);
        } else {
            self.reader.pass(header, start);
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
            (ids::TIMESTAMP, Some(_)) => self.reader.collect(header, start, UINT_LIMIT),
            (ids::SIMPLE_BLOCK, Some(_)) => self.reader.collect(header, start, BLOCK_HEADER as u64),
            (ids::BLOCK_GROUP, Some(size)) if size != 0 => {
                let end = self.reader.pos().saturating_add(size);
                self.group = Some(BlockGroup {
                    start,
                    end,
                    ..BlockGroup::default()
                });
                self.reader.enter();
            }
            _ => self.reader.pass(header, start),
        }
    }

    fn open_in_group(&mut self, header: &Header, start: u64) {
        let end = header
            .size
            .and_then(|size| self.reader.pos().checked_add(size));
        let Some(group) = &mut self.group else { return };
        if end.is_none_or(|end| end > group.end) {
            return self.discard_group();
        }
        match header.id {
            ids::BLOCK => self.reader.collect(header, start, BLOCK_HEADER as u64),
            ids::BLOCK_DURATION => self.reader.collect(header, start, UINT_LIMIT),
            id => {
                group.reference |= id == ids::REFERENCE_BLOCK;
                self.reader.pass(header, start);
            }
        }
    }

    // Payloads and ends of elements.

    /// Handles a payload that was collected.
    fn collected(&mut self, element: Element) {
        let payload = &self.reader.payload;
        if self.cluster.is_none()
            && let NextDocument::Head(head) = &mut self.next_document
        {
            if !head.payload(element.id, payload) {
                self.hide_next_document();
            } else if element.id == ids::TRACKS {
                self.reader.payload = Vec::new();
            }
            return;
        }
        match element.id {
            ids::EBML => {
                let is_webm = self.recording.set_doc_type(payload, element.payload);
                if !is_webm {
                    self.reject_container();
                }
            }
            ids::TRACKS => {
                self.recording.set_tracks(Tracks::parse(payload));
                // The only large payload.
                self.reader.payload = Vec::new();
            }
            ids::TIMESTAMP => {
                if let (Some(cluster), Some(timestamp)) = (&mut self.cluster, uint(payload)) {
                    cluster.timestamp = timestamp;
                }
            }
            ids::SIMPLE_BLOCK => self.simple_block = BlockHeader::parse(payload),
            ids::BLOCK => {
                if let Some(group) = &mut self.group {
                    group.block = BlockHeader::parse(payload);
                }
            }
            ids::BLOCK_DURATION => {
                if let Some(group) = &mut self.group {
                    group.duration = uint(payload);
                }
            }
            ids::VOID if element.size_width() == HEAD_VOID_WIDTH as u64 => {
                if let Some(marker) = ShiftMarker::read(payload) {
                    let last = self.cluster.as_ref();
                    self.recording.resume(marker, element.payload, last);
                }
            }
            // Info, Tags and a Void that hides an Info are parsed when they are complete.
            _ => {}
        }
    }

    /// Handles the end of an element.
    fn close(&mut self, element: Element) {
        if let Some(group) = &self.group {
            if element.end == group.end {
                self.close_group();
            }
        } else if self.cluster.is_some() {
            self.close_in_cluster(element);
        } else if self.segment.is_some() && !matches!(self.next_document, NextDocument::Head(_)) {
            self.close_in_segment(element);
        }
    }

    fn close_group(&mut self) {
        let (Some(group), Some(cluster)) = (self.group.take(), &mut self.cluster) else {
            return;
        };
        if let (Some(block), false) = (group.block, group.broken) {
            let keyframe = !group.reference;
            self.recording.add_block(
                cluster,
                block,
                keyframe,
                group.duration,
                group.start..group.end,
            );
        }
        cluster.child(ids::BLOCK_GROUP, group.end);
    }

    fn close_in_cluster(&mut self, element: Element) {
        if element.id == ids::TIMESTAMP {
            self.place_cluster(element.end);
        }
        let width = element.size_width();
        let hiding = element.id == ids::VOID && hides(width);
        if let Some(cluster) = &mut self.cluster {
            if element.id == ids::SIMPLE_BLOCK
                && let Some(block) = self.simple_block.take()
            {
                self.recording.add_block(
                    cluster,
                    block,
                    block.keyframe,
                    None,
                    element.start..element.end,
                );
            }
            cluster.child(element.id, element.end);
            if hiding {
                cluster.hide_last();
            }
        }
        if hiding {
            self.record_hidden(element);
        }
    }

    fn close_in_segment(&mut self, element: Element) {
        let is_in_front = self.recording.layout.in_front();
        match element.id {
            ids::INFO if self.recording.wants_info() && element.size() <= Info::LIMIT => {
                self.recording.set_info(Info::parse(&self.reader.payload));
                if !is_in_front {
                    let layout = &mut self.recording.layout;
                    layout.hide_info(element.start, element.end);
                    layout.end(element.end);
                    self.recording.emit_live_head();
                }
            }
            ids::VOID if self.may_hide_info(element.payload - element.start, element.size()) => {
                if let Some(info) = hidden_info(&self.reader.payload) {
                    self.recording.set_info(info);
                    let layout = &mut self.recording.layout;
                    layout.begin(ids::INFO, element.start);
                    layout.end(element.end);
                    self.recording.emit_live_head();
                }
            }
            ids::VOID => {
                if hides(element.size_width()) && !is_in_front {
                    self.recording.layout.end(element.end);
                    self.record_hidden(element);
                }
            }
            ids::SEEK_HEAD | ids::INFO | ids::CUES | ids::CRC_32 => {}
            id => {
                self.recording.layout.end(element.end);
                if id == ids::TAGS && element.size() <= TAGS_LIMIT {
                    let payload = &self.reader.payload;
                    self.recording.add_tags(payload, element.payload);
                    self.reader.payload = Vec::new();
                } else if id == ids::TRACKS {
                    self.recording.emit_live_head();
                }
            }
        }
    }

    /// Records the range of a Void that hides a part of the stream for a reason.
    fn record_hidden(&mut self, void: Element) {
        if let Some(reason) = LeftOutReason::of_void_width(void.size_width()) {
            let layout = &mut self.recording.layout;
            layout.record_hidden(void.start, void.end, reason);
        }
    }

    /// Ends the current cluster.
    fn close_cluster(&mut self) {
        if let Some(cluster) = self.cluster.take().filter(|cluster| !cluster.pending) {
            self.recording.layout.end_cluster(&cluster);
        }
    }

    /// Puts the current cluster on the recording's timeline. Its Timestamp element, just complete, ends at `end`.
    fn place_cluster(&mut self, end: u64) {
        let Some(cluster) = &mut self.cluster else {
            return;
        };
        if std::mem::replace(&mut cluster.placed, true) {
            return;
        }
        if !cluster.pending {
            if !self.recording.place(cluster, end) {
                self.drop_cluster();
            }
        } else if let NextDocument::Head(head) = &self.next_document {
            if self.recording.join(head, cluster, end) {
                self.next_document = NextDocument::None;
            } else {
                self.hide_next_document();
            }
        }
    }

    /// Whether a Void with a header of `header` bytes and a payload of `size` bytes may be an Info that was hidden.
    fn may_hide_info(&self, header: u64, size: u64) -> bool {
        self.recording.wants_info()
            && !self.recording.layout.in_front()
            && header == HIDDEN_HEADER
            && size <= HIDDEN_LIMIT
    }

    // Further documents.

    fn begin_next_document(&mut self, header: &Header, start: u64) {
        self.close_cluster();
        if let Some(from) = self.damaged_from.take() {
            self.damage.add(from..start);
        }
        self.next_document_seen = true;
        let before = self.recording.layout.discarding;
        self.recording.freeze(None);
        let layout = &mut self.recording.layout;
        layout.discard(LeftOutReason::OtherRecording);
        self.next_document = NextDocument::Head(Head::new(header, start, before));
        match (header.id, header.size) {
            // The Segment's size is irrelevant: the end of the first document is known.
            (ids::SEGMENT, _) => self.reader.enter(),
            (_, Some(size)) if size <= DocType::LIMIT => {
                self.reader.collect(header, start, DocType::LIMIT);
            }
            _ => self.hide_next_document(),
        }
    }

    fn open_in_next_document(&mut self, header: &Header, start: u64, treatment: Treatment) {
        match treatment {
            Treatment::Enter => self.reader.enter(),
            Treatment::Collect(limit) => self.reader.collect(header, start, limit),
            Treatment::Pass => self.reader.pass(header, start),
            Treatment::Cluster if self.continues() => self.open_cluster(header, start, true),
            Treatment::Cluster | Treatment::Hide => self.hide_next_document(),
        }
    }

    /// Whether the next document can be joined.
    fn continues(&self) -> bool {
        let NextDocument::Head(head) = &self.next_document else {
            return false;
        };
        let tracks = self.recording.tracks.as_ref();
        let keys = tracks.map_or(&[][..], |tracks| &tracks.keys);
        head.continues(keys, self.recording.scale_ns()) && !self.recording.layout.in_front()
    }

    /// Hides the document because it cannot be joined.
    fn hide_next_document(&mut self) {
        self.next_document = NextDocument::Hidden;
        self.drop_cluster();
    }

    /// Drops the current cluster, which belongs to another recording, and searches for the next one.
    fn drop_cluster(&mut self) {
        self.cluster = None;
        self.group = None;
        let layout = &mut self.recording.layout;
        layout.discard(LeftOutReason::OtherRecording);
        self.reader.resync();
    }

    // Damage.

    fn reject_container(&mut self) {
        self.recording.doc_type = None;
        self.reader.stop();
    }

    /// Skips the rest of the group without counting it.
    fn discard_group(&mut self) {
        let Some(group) = &mut self.group else { return };
        if !group.broken {
            self.damage.add(group.start..group.end);
        }
        group.broken = true;
        self.reader.leave(Element {
            id: ids::BLOCK_GROUP,
            start: group.start,
            payload: group.start,
            end: group.end,
        });
    }

    /// Hides the bytes from `start` on, which are no element, and searches for the next cluster.
    fn malformed(&mut self, start: u64) {
        if self.group.is_some() {
            self.discard_group();
        } else if self.segment.is_none() {
            self.reject_container();
        } else if matches!(self.next_document, NextDocument::Head(_)) {
            self.hide_next_document();
        } else {
            self.close_cluster();
            let reason = match self.is_behind_segment(start) {
                true => LeftOutReason::TrailingData,
                false => LeftOutReason::Damaged,
            };
            self.recording.layout.discard(reason);
            self.damaged_from.get_or_insert(start);
            self.reader.resync();
        }
    }

    /// Ends a search at the next cluster, at an EBML header, or at Tracks if there are none yet.
    fn resync(&mut self, window: u32) {
        let hidden = matches!(self.next_document, NextDocument::Hidden);
        let sought = match window {
            ids::EBML => true,
            ids::CLUSTER => !hidden,
            ids::TRACKS => !hidden && self.recording.tracks.is_none(),
            _ => false,
        };
        if sought {
            // The damage before an EBML header ends once the header is valid.
            if window != ids::EBML
                && let Some(from) = self.damaged_from.take()
            {
                self.damage.add(from..self.reader.pos() - 4);
            }
            self.reader.found(window);
        }
    }
}
