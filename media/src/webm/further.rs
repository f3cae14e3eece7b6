//! A further recording in the same stream: joined with the first if its tracks are the same, else hidden.
//!
//! Its own head becomes a Void, and the time of each of its clusters is changed so that it follows the first.

use super::cluster::Cluster;
use super::info::{DocType, Info};
use super::placement::{NOTE, Placement};
use super::scanner::{Element, Scanner, Step};
use super::tracks::{self, TrackKey};
use crate::ebml::{ids, vint::Header};
use crate::report::LeftOutReason;

/// Larger EBML headers are none.
const EBML_LIMIT: u64 = 64 << 10;
/// A larger Info is passed over, and defaults hold.
const INFO_LIMIT: u64 = 64 << 10;
/// Longest beginning of Tracks that is read.
const TRACKS_LIMIT: u64 = 1 << 20;
/// How far a cluster may begin earlier, in its recording's head, to have room for its time.
const EARLIER: u64 = 16;

/// Where reading of a further recording stands.
#[derive(Debug, Default)]
pub(super) enum Further {
    /// There is none, or it is joined with the first by now.
    #[default]
    None,
    /// Its head is being read.
    Head(Head),
    /// It cannot be joined: everything up to the next one is hidden.
    Hidden,
}

/// Head of a further recording.
#[derive(Debug)]
pub(super) struct Head {
    /// Stream offset of its beginning.
    start: u64,
    /// Why bytes in front of it are hidden.
    before: Option<LeftOutReason>,
    known: bool,
    scale_ns: u64,
    tracks: Option<Vec<TrackKey>>,
    segment: bool,
}

impl Head {
    /// Whether its EBML header has arrived, and its Segment has not.
    pub(super) fn awaits_segment(&self) -> bool {
        self.known && !self.segment
    }
}

impl Scanner {
    /// A further recording begins at `start`.
    pub(super) fn begin_further(&mut self, header: &Header, start: u64) {
        self.close_cluster();
        if let Some(from) = self.damaged_from.take() {
            self.damage.add(from..start);
        }
        self.further_seen = true;
        let before = self.layout.unwanted_reason();
        let settled = self.settled();
        self.layout.freeze(settled);
        self.layout.unwanted(LeftOutReason::OtherRecording);
        self.further = Further::Head(Head {
            start,
            before,
            known: header.id == ids::SEGMENT,
            scale_ns: Info::default().scale_ns,
            tracks: None,
            segment: header.id == ids::SEGMENT,
        });
        match (header.id, header.size) {
            // Its size does not count: where the first ends is known.
            (ids::SEGMENT, _) => self.step = Step::Header,
            (_, Some(size)) if size <= EBML_LIMIT => self.collect(header, start, EBML_LIMIT),
            _ => self.hide_further(),
        }
    }

    /// An element of a further recording's head begins at `start`.
    pub(super) fn open_in_further(&mut self, header: &Header, start: u64) {
        let Further::Head(head) = &mut self.further else {
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
                    self.hide_further();
                }
            }
            (ids::INFO, Some(size)) if size <= INFO_LIMIT => {
                self.collect(header, start, INFO_LIMIT);
            }
            (ids::TRACKS, Some(_)) if head.tracks.is_none() => {
                self.collect(header, start, TRACKS_LIMIT);
            }
            (id, Some(_)) if ids::is_segment_child(id) => self.pass(header, start),
            _ => self.hide_further(),
        }
    }

    /// Takes the payload of an element of a further recording's head from `buf`. `false`: it is no recording.
    pub(super) fn collected_in_further(&mut self, element: Element) -> bool {
        let Further::Head(head) = &mut self.further else {
            return true;
        };
        match element.id {
            ids::EBML => {
                head.known = DocType::parse(&self.buf).is_some();
                return head.known;
            }
            ids::TRACKS => {
                head.tracks = Some(tracks::keys(&self.buf));
                // The only large payload: give its memory back.
                self.buf = Vec::new();
            }
            _ => {}
        }
        true
    }

    pub(super) fn close_in_further(&mut self, element: Element) {
        if let (Further::Head(head), ids::INFO) = (&mut self.further, element.id) {
            head.scale_ns = Info::parse(&self.buf).scale_ns;
        }
    }

    /// The further recording that is being read cannot be joined.
    pub(super) fn hide_further(&mut self) {
        self.cluster = None;
        self.group = None;
        self.header_len = 0;
        self.layout.unwanted(LeftOutReason::OtherRecording);
        self.further = Further::Hidden;
        self.step = Step::Resync { window: 0 };
    }

    /// The time of a cluster has arrived, in an element that ends at `end`: finds its place.
    pub(super) fn place_cluster(&mut self, end: u64) {
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
        if !self.placement.is_known() {
            self.placement
                .begin(cluster.timestamp, second, self.note_at());
            if self.placement.is_shifted() {
                let settled = self.settled();
                self.layout.freeze(settled);
                self.write_slot();
            }
        }
        let (start, ticks) = (cluster.start, cluster.timestamp);
        let place = self.placement.place(start, ticks, arrived, second);
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
            self.write_note(start);
        } else if self.joined {
            // Its frames would be shown in the middle of the first recording.
            self.cluster = None;
            self.header_len = 0;
            self.layout.unwanted(LeftOutReason::OtherRecording);
            self.step = Step::Resync { window: 0 };
        }
    }

    /// Makes a further recording's first cluster follow what has arrived.
    fn join_first(&mut self, mut cluster: Cluster, end: u64, arrived: u64) {
        let Further::Head(head) = &self.further else {
            return;
        };
        let (from, before) = (head.start, head.before);
        let ticks = cluster.timestamp;
        let shift = Placement::shift_to(ticks, arrived);
        let written = cluster
            .rewrite(0, end, arrived)
            .or_else(|| cluster.rewrite(EARLIER, end, arrived));
        let (Some(shift), Some(bytes)) = (shift, written) else {
            return self.hide_further();
        };
        let Some(note_at) = self.layout.begin_joined(from, before, cluster.start) else {
            return self.hide_further();
        };
        if let Some((at, nothing)) = self.placement.forget() {
            self.layout.patches.push(at, nothing.to_vec());
        }
        let id = ids::CLUSTER.to_be_bytes();
        let bytes = [&id[..], &bytes].concat();
        self.layout.patches.push(cluster.start, bytes);
        self.placement.join(shift, note_at);
        cluster.pending = false;
        self.write_note(cluster.start);
        self.cluster = Some(cluster);
        self.further = Further::None;
        self.joined = true;
    }

    /// Notes how far times are written in the stored stream, if they are.
    fn write_note(&mut self, start: u64) {
        if self.placement.is_shifted()
            && let Some((at, note)) = self.placement.written(start)
        {
            self.layout.patches.push(at, note.to_vec());
        }
    }

    /// Where a shift can be noted, as long as no frame has been placed without it.
    fn note_at(&self) -> Option<u64> {
        let slot = self.slot.filter(|_| self.timeline.frames() == 0);
        slot.map(|(payload, slot)| payload + slot.note_at())
    }

    fn write_slot(&mut self) {
        if let Some((payload, slot)) = self.slot
            && let Some((at, bytes)) = slot.void()
        {
            self.layout.patches.push(payload + at, bytes);
        }
    }
}

/// The shortest head of a further recording that takes a note and leaves room for an earlier cluster.
pub(super) const SHORTEST_HEAD: u64 = 5 + NOTE as u64;
