//! The recording in a stream: its description, its timeline and its place in the stored file.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::block::BlockHeader;
use super::cluster::Cluster;
use super::info::{DocType, Info};
use super::next_document::Head;
use super::segment_layout::SegmentLayout;
use super::tags::TrackTags;
use super::timeline::{Block, Timeline};
use super::timestamp_shift::{MarkerSlot, ShiftMarker, TimestampShift};
use super::tracks::Tracks;
use crate::ebml::ids;
use crate::options::Options;
use crate::patch::HEAD_ROOM;

/// Maximum number of duration tags that are kept.
const TAGS_LIMIT: usize = 16;
/// Bytes by which the first cluster of a joined document may begin earlier, within the document's head, to make room
/// for a longer Timestamp.
const EARLIER: u64 = 16;

/// The first document of a stream and those joined with it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Recording {
    pub(super) doc_type: Option<DocType>,
    pub(super) info: Option<Info>,
    pub(super) tracks: Option<Tracks>,
    pub(super) tags: Vec<TrackTags>,
    pub(super) timeline: Timeline,
    /// Stream offsets of the newest complete block.
    pub(super) newest_frame: Option<Range<u64>>,
    pub(super) layout: SegmentLayout,
    pub(super) shift: TimestampShift,
    /// Stream offset of the EBML header's payload, and room for a shift marker in it.
    slot: Option<(u64, MarkerSlot)>,
    /// Whether the next document was joined with the first.
    pub(super) joined: bool,
}

impl Recording {
    pub(super) fn new(options: Options) -> Self {
        Self {
            timeline: Timeline::new(Info::default().scale_ns),
            layout: SegmentLayout::new(options),
            ..Self::default()
        }
    }

    /// Length of the stored file that finishing keeps for certain; 0 while finishing could fail. `last` is the cluster
    /// that is being read.
    pub(super) fn immutable_prefix(&self, last: Option<&Cluster>) -> u64 {
        let frozen = self.layout.frozen_prefix.unwrap_or(u64::MAX);
        self.playable_end(last).min(frozen)
    }

    /// End of the stored file that can be played; 0 without a frame. `last` is the cluster that is being read.
    pub(super) fn playable_end(&self, last: Option<&Cluster>) -> u64 {
        if self.doc_type.is_none() || self.tracks.is_none() || self.timeline.frames == 0 {
            return 0;
        }
        let last = last.filter(|cluster| cluster.is_kept());
        let end = last.map_or(0, |cluster| HEAD_ROOM.saturating_add(cluster.end()));
        self.layout.keep().max(end)
    }

    /// Stops the growth of the immutable prefix, because bytes behind it will be patched.
    pub(super) fn freeze(&mut self, last: Option<&Cluster>) {
        let prefix = self.immutable_prefix(last);
        self.layout.freeze(prefix);
    }

    pub(super) fn scale_ns(&self) -> u64 {
        let default = Info::default().scale_ns;
        self.info.as_ref().map_or(default, |info| info.scale_ns)
    }

    pub(super) fn wants_info(&self) -> bool {
        self.info.is_none() && !self.layout.cluster_seen
    }

    /// Parses the payload of the EBML header at stream offset `at`. Returns `false` if the document is neither WebM nor
    /// Matroska.
    pub(super) fn set_doc_type(&mut self, payload: &[u8], at: u64) -> bool {
        self.doc_type = DocType::parse(payload);
        if self.doc_type.is_none() {
            return false;
        }
        self.slot = MarkerSlot::find(payload).map(|slot| (at, slot));
        if let Some((at, slot)) = self.slot
            && let Some(marker) = slot.read(payload)
        {
            self.resume(marker, at + slot.marker_at(), None);
        }
        true
    }

    pub(super) fn set_info(&mut self, info: Info) {
        self.timeline.set_scale(info.scale_ns);
        self.info = Some(info);
    }

    pub(super) fn set_tracks(&mut self, tracks: Tracks) {
        self.timeline.set_tracks(&tracks.list);
        self.tracks = Some(tracks);
    }

    /// Keeps tags about track durations. `payload` is that of Tags at stream offset `at`.
    pub(super) fn add_tags(&mut self, payload: &[u8], at: u64) {
        let tags = TrackTags::read(payload, at);
        if self.layout.patches_clusters() {
            let room = TAGS_LIMIT.saturating_sub(self.tags.len());
            self.tags.extend(tags.into_iter().take(room));
        } else if !self.layout.cluster_seen {
            // Without patches, tags cannot be corrected once the duration is known.
            for (at, bytes) in tags.iter().flat_map(TrackTags::removal) {
                self.layout.patches.push(at, bytes);
            }
        }
    }

    /// Queues the head of the growing file once the tracks are known.
    pub(super) fn emit_live_head(&mut self) {
        if let (Some(doc_type), Some(_), 0) = (&self.doc_type, &self.tracks, self.timeline.frames) {
            let info = self.info.clone().unwrap_or_default();
            if let Some(head) = self.layout.head(doc_type, &info, None) {
                self.layout.patches.push_head(head);
            }
        }
    }

    /// Adds a block of a cluster. `duration` is its `BlockDuration`, `element` its stream range.
    pub(super) fn add_block(
        &mut self,
        cluster: &Cluster,
        header: BlockHeader,
        keyframe: bool,
        duration: Option<u64>,
        element: Range<u64>,
    ) {
        if cluster.misplaced {
            return;
        }
        self.newest_frame = Some(element.clone());
        self.timeline.add(&Block {
            header,
            keyframe,
            duration,
            bytes: element.end.saturating_sub(element.start),
            cluster_timestamp: cluster.timestamp,
            cluster: cluster.start,
            relative_position: (cluster.blocks > 0).then(|| element.start - cluster.payload),
            // An id of 4 bytes and a size of at most 8.
            payload: u8::try_from(cluster.payload - cluster.start).unwrap_or(u8::MAX),
        });
    }

    /// Takes over the shift marker that an earlier scan wrote at `at`. `last` is the cluster that is being read.
    pub(super) fn resume(&mut self, marker: ShiftMarker, at: u64, last: Option<&Cluster>) {
        self.freeze(last);
        self.shift.resume(marker, at);
        self.joined |= self.layout.cluster_seen;
    }

    /// Shifts the timestamp of a cluster. Its Timestamp element, just complete, ends at `end`. Returns `false` if its
    /// frames would play in the middle of the first recording.
    pub(super) fn place(&mut self, cluster: &mut Cluster, end: u64) -> bool {
        let second = self.timeline.second();
        if !self.shift.is_known() {
            // A marker is written only as long as no frame has been indexed without a shift.
            let slot = self.slot.filter(|_| self.timeline.frames == 0);
            let marker_at = slot.map(|(payload, slot)| payload + slot.marker_at());
            self.shift.begin(cluster.timestamp, second, marker_at);
            if self.shift.is_shifted() {
                self.freeze(None);
                if let Some((payload, slot)) = self.slot
                    && let Some((at, bytes)) = slot.void()
                {
                    self.layout.patches.push(payload + at, bytes);
                }
            }
        }
        let (start, ticks) = (cluster.start, cluster.timestamp);
        let arrived = self.timeline.end_ticks();
        let place = self.shift.place(start, ticks, arrived, second);
        let mut written = true;
        if place.late && !self.layout.patches_clusters() {
            cluster.misplaced = true;
        } else if place.ticks != ticks {
            let size_at = cluster.size_at;
            written = cluster
                .rewrite(0, end, place.ticks)
                .is_some_and(|bytes| self.layout.patches.push(size_at, bytes));
        }
        if written {
            self.write_marker(start);
        }
        written || !self.joined
    }

    /// Joins a further document: its first cluster continues the recording. The Timestamp element of the cluster, just
    /// complete, ends at `end`. Returns `false` if that is impossible.
    pub(super) fn join(&mut self, head: &Head, cluster: &mut Cluster, end: u64) -> bool {
        let arrived = self.timeline.end_ticks();
        let shift = TimestampShift::shift_to(cluster.timestamp, arrived);
        let written = cluster
            .rewrite(0, end, arrived)
            .or_else(|| cluster.rewrite(EARLIER, end, arrived));
        let (Some(shift), Some(bytes)) = (shift, written) else {
            return false;
        };
        let joined = self
            .layout
            .begin_joined(head.start, head.before, cluster.start);
        let Some(marker_at) = joined else {
            return false;
        };
        self.forget_marker();
        let id = ids::CLUSTER.to_be_bytes();
        let bytes = [&id[..], &bytes].concat();
        self.layout.patches.push(cluster.start, bytes);
        self.shift.join(shift, marker_at);
        cluster.pending = false;
        self.write_marker(cluster.start);
        self.joined = true;
        true
    }

    /// Updates the shift marker, if timestamps are shifted.
    fn write_marker(&mut self, start: u64) {
        if self.shift.is_shifted()
            && let Some((at, marker)) = self.shift.written(start)
        {
            self.layout.patches.push(at, marker.to_vec());
        }
    }

    /// Removes the shift marker.
    pub(super) fn forget_marker(&mut self) {
        if let Some((at, nothing)) = self.shift.forget() {
            self.layout.patches.push(at, nothing.to_vec());
        }
    }
}
