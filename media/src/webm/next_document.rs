//! A further EBML document in the stream: joined with the first if their tracks match, otherwise hidden.
//!
//! To join it, its head is replaced by a Void and the timestamp of each of its clusters is shifted.

use super::cluster::Cluster;
use super::info::{DocType, Info};
use super::scanner::{Element, Scanner, Step};
use super::timestamp_shift::{MARKER_SIZE, TimestampShift};
use super::tracks::{self, TrackKey};
use crate::ebml::{ids, vint::Header};
use crate::report::LeftOutReason;

/// Largest plausible EBML header.
const EBML_LIMIT: u64 = 64 << 10;
/// Largest Info payload that is parsed; a larger one is skipped.
const INFO_LIMIT: u64 = 64 << 10;
/// Bytes of Tracks that are parsed.
const TRACKS_LIMIT: u64 = 1 << 20;
/// Bytes by which the first cluster may begin earlier, within the document's head, to make room for a longer
/// Timestamp.
const EARLIER: u64 = 16;

/// State of the next document.
#[derive(Debug, Default)]
pub(super) enum NextDocument {
    /// No further document, or it was joined.
    #[default]
    None,
    /// Head of the document is being read.
    Head(Head),
    /// The document cannot be joined: everything up to the next EBML header is hidden.
    Hidden,
}

/// Head of the next document.
#[derive(Debug)]
pub(super) struct Head {
    /// Stream offset of the head.
    start: u64,
    /// Reason for hiding bytes in front of it.
    before: Option<LeftOutReason>,
    known: bool,
    scale_ns: u64,
    tracks: Option<Vec<TrackKey>>,
    segment: bool,
}

impl Head {
    /// Whether the EBML header is complete and the Segment has not begun.
    pub(super) fn awaits_segment(&self) -> bool {
        self.known && !self.segment
    }
}

impl Scanner {
    /// Starts a further document at `start`.
    pub(super) fn begin_next_document(&mut self, header: &Header, start: u64) {
        self.close_cluster();
        if let Some(from) = self.damaged_from.take() {
            self.damage.add(from..start);
        }
        self.next_document_seen = true;
        let before = self.layout.discard_reason();
        let prefix = self.immutable_prefix();
        self.layout.freeze(prefix);
        self.layout.discard(LeftOutReason::OtherRecording);
        self.next_document = NextDocument::Head(Head {
            start,
            before,
            known: header.id == ids::SEGMENT,
            scale_ns: Info::default().scale_ns,
            tracks: None,
            segment: header.id == ids::SEGMENT,
        });
        match (header.id, header.size) {
            // The Segment's size is irrelevant: the end of the first document is known.
            (ids::SEGMENT, _) => self.step = Step::Header,
            (_, Some(size)) if size <= EBML_LIMIT => self.collect(header, start, EBML_LIMIT),
            _ => self.hide_next_document(),
        }
    }

    /// Handles an element at `start` within the head of the next document.
    pub(super) fn open_in_next_document(&mut self, header: &Header, start: u64) {
        let NextDocument::Head(head) = &mut self.next_document else {
            return;
        };
        match (header.id, header.size) {
            (ids::SEGMENT, _) if head.awaits_segment() => {
                head.segment = true;
                self.step = Step::Header;
            }
            (ids::CLUSTER, _) if head.segment => {
                let ours = self.info.clone().unwrap_or_default().scale_ns;
                let same = head.scale_ns == ours
                    && (head.tracks.as_ref())
                        .is_some_and(|tracks| tracks::are_among(tracks, &self.track_keys));
                if same && !self.layout.in_front() {
                    let mut cluster = Cluster::new(start, self.pos, header);
                    cluster.pending = true;
                    self.cluster = Some(cluster);
                    self.step = Step::Header;
                } else {
                    self.hide_next_document();
                }
            }
            (ids::INFO, Some(size)) if size <= INFO_LIMIT => {
                self.collect(header, start, INFO_LIMIT);
            }
            (ids::TRACKS, Some(_)) if head.tracks.is_none() => {
                self.collect(header, start, TRACKS_LIMIT);
            }
            (id, Some(_)) if ids::is_segment_child(id) => self.pass(header, start),
            _ => self.hide_next_document(),
        }
    }

    /// Parses an element of the head from `buf`. Returns `false` if the document is neither WebM nor Matroska.
    pub(super) fn collected_in_next_document(&mut self, element: Element) -> bool {
        let NextDocument::Head(head) = &mut self.next_document else {
            return true;
        };
        match element.id {
            ids::EBML => {
                head.known = DocType::parse(&self.buf).is_some();
                return head.known;
            }
            ids::TRACKS => {
                head.tracks = Some(tracks::keys(&self.buf));
                // Frees the memory of the only large payload.
                self.buf = Vec::new();
            }
            _ => {}
        }
        true
    }

    pub(super) fn close_in_next_document(&mut self, element: Element) {
        if let (NextDocument::Head(head), ids::INFO) = (&mut self.next_document, element.id) {
            head.scale_ns = Info::parse(&self.buf).scale_ns;
        }
    }

    /// Hides the document because it cannot be joined.
    pub(super) fn hide_next_document(&mut self) {
        self.cluster = None;
        self.group = None;
        self.header_len = 0;
        self.layout.discard(LeftOutReason::OtherRecording);
        self.next_document = NextDocument::Hidden;
        self.step = Step::Resync { window: 0 };
    }

    /// Shifts the timestamp of the current cluster. Its Timestamp element, just complete, ends at `end`.
    pub(super) fn shift_cluster(&mut self, end: u64) {
        let Some(mut cluster) = self.cluster.take() else {
            return;
        };
        if cluster.placed {
            self.cluster = Some(cluster);
            return;
        }
        cluster.placed = true;
        let second = self.timeline.second();
        let arrived = self.timeline.end_ticks();
        if cluster.pending {
            return self.join_first(cluster, end, arrived);
        }
        if !self.timestamp_shift.is_known() {
            self.timestamp_shift
                .begin(cluster.timestamp, second, self.marker_at());
            if self.timestamp_shift.is_shifted() {
                let prefix = self.immutable_prefix();
                self.layout.freeze(prefix);
                self.write_slot();
            }
        }
        let (start, ticks) = (cluster.start, cluster.timestamp);
        let place = self.timestamp_shift.place(start, ticks, arrived, second);
        let mut written = true;
        if place.late && !self.layout.patches_clusters() {
            cluster.misplaced = true;
        } else if place.ticks != ticks {
            let size_at = cluster.size_at;
            written = cluster
                .rewrite(0, end, place.ticks)
                .is_some_and(|bytes| self.layout.patches.push(size_at, bytes));
        }
        self.cluster = Some(cluster);
        if written {
            self.write_marker(start);
        } else if self.joined {
            // The frames would play in the middle of the first recording.
            self.cluster = None;
            self.header_len = 0;
            self.layout.discard(LeftOutReason::OtherRecording);
            self.step = Step::Resync { window: 0 };
        }
    }

    /// Makes the first cluster of the next document continue the recording at `arrived`.
    fn join_first(&mut self, mut cluster: Cluster, end: u64, arrived: u64) {
        let NextDocument::Head(head) = &self.next_document else {
            return;
        };
        let (from, before) = (head.start, head.before);
        let ticks = cluster.timestamp;
        let shift = TimestampShift::shift_to(ticks, arrived);
        let written = cluster
            .rewrite(0, end, arrived)
            .or_else(|| cluster.rewrite(EARLIER, end, arrived));
        let (Some(shift), Some(bytes)) = (shift, written) else {
            return self.hide_next_document();
        };
        let Some(marker_at) = self.layout.begin_joined(from, before, cluster.start) else {
            return self.hide_next_document();
        };
        if let Some((at, nothing)) = self.timestamp_shift.forget() {
            self.layout.patches.push(at, nothing.to_vec());
        }
        let id = ids::CLUSTER.to_be_bytes();
        let bytes = [&id[..], &bytes].concat();
        self.layout.patches.push(cluster.start, bytes);
        self.timestamp_shift.join(shift, marker_at);
        cluster.pending = false;
        self.write_marker(cluster.start);
        self.cluster = Some(cluster);
        self.next_document = NextDocument::None;
        self.joined = true;
    }

    /// Updates the shift marker, if timestamps are shifted.
    fn write_marker(&mut self, start: u64) {
        if self.timestamp_shift.is_shifted()
            && let Some((at, marker)) = self.timestamp_shift.written(start)
        {
            self.layout.patches.push(at, marker.to_vec());
        }
    }

    /// Stream offset for a shift marker, as long as no frame has been indexed without a shift.
    fn marker_at(&self) -> Option<u64> {
        let slot = self.slot.filter(|_| self.timeline.frames() == 0);
        slot.map(|(payload, slot)| payload + slot.marker_at())
    }

    fn write_slot(&mut self) {
        if let Some((payload, slot)) = self.slot
            && let Some((at, bytes)) = slot.void()
        {
            self.layout.patches.push(payload + at, bytes);
        }
    }
}

/// Shortest head that holds a shift marker and leaves room for an earlier cluster.
pub(super) const SHORTEST_DOCUMENT_HEAD: u64 = 5 + MARKER_SIZE as u64;
