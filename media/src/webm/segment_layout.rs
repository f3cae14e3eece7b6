//! The sender's level-1 elements in the stored file: visible, hidden or cut off.

use serde::{Deserialize, Serialize};

use super::cluster::Cluster;
use super::head::Head;
use super::info::{DocType, Info};
use super::timestamp_shift::MARKER_SIZE;
use crate::ebml::{
    ids,
    vint::{self, Parsed},
    write::{void_header, wide_void_header},
};
use crate::left_out::{LIMIT as HIDDEN_LIMIT, LeftOut, LeftOutReason};
use crate::options::Options;
use crate::patch::{HEAD_ROOM, Patch, PatchQueue};

/// Level-1 elements that get an entry in our SeekHead, besides Info and Cues.
const SEEK_HEAD_IDS: [u32; 4] = [ids::TRACKS, ids::CHAPTERS, ids::TAGS, ids::ATTACHMENTS];
/// Longest Void that completes a torn cluster. A longer one is not written; players accept the torn cluster.
const FILLER_LIMIT: u64 = 1 << 20;
/// Size of the id of Info, which [`SegmentLayout::hide_info`] overwrites.
const INFO_ID_WIDTH: u64 = 4;

/// State of the sender's level-1 elements. All offsets are in the stream.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct SegmentLayout {
    options: Options,
    pub(super) patches: PatchQueue,
    /// First element of each of [`SEEK_HEAD_IDS`], as id and offset.
    seek_entries: Vec<(u32, u64)>,
    first_kept: Option<u64>,
    /// End of the last complete element that stays visible.
    keep: u64,
    /// Reason for hiding the bytes behind `keep` if another visible element follows. At the end of the stream, bytes
    /// that may be part of a recording are hidden, others are cut off.
    pub(super) discarding: Option<LeftOutReason>,
    pub(super) cluster_seen: bool,
    /// Whether the Segment's size can be declared: every cluster has a known size and no damage is visible.
    pub(super) sizes_known: bool,
    /// Hidden ranges, at most [`HIDDEN_LIMIT`].
    pub(super) hidden: Vec<LeftOut>,
    /// Declared end of the last cluster, if it ends earlier and its size cannot be patched.
    incomplete: Option<u64>,
    /// Upper bound of the immutable prefix, once bytes behind it are patched in spite of [`Options::patch_clusters`].
    pub(super) frozen_prefix: Option<u64>,
}

/// Width of the size of a Void over the head of a joined document; muxers do not pad to this width.
pub(super) const HEAD_VOID_WIDTH: usize = 4;
/// Shortest head of a joined document that holds a shift marker.
const SHORTEST_DOCUMENT_HEAD: u64 = (1 + HEAD_VOID_WIDTH + MARKER_SIZE) as u64;

impl SegmentLayout {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            sizes_known: true,
            ..Self::default()
        }
    }

    /// Marks the bytes behind the last visible element as unwanted. The most serious reason is kept.
    pub(super) fn discard(&mut self, reason: LeftOutReason) {
        self.discarding = self.discarding.max(Some(reason));
    }

    pub(super) fn patches_clusters(&self) -> bool {
        self.options.patch_clusters
    }

    /// Stops the growth of the immutable prefix at `prefix`, because bytes behind it will be patched.
    pub(super) fn freeze(&mut self, prefix: u64) {
        if !self.options.patch_clusters {
            self.frozen_prefix.get_or_insert(prefix);
        }
    }

    /// Records a hidden range.
    pub(super) fn record_hidden(&mut self, start: u64, end: u64, reason: LeftOutReason) {
        // Replaces a range in front of a cluster that is dropped.
        self.hidden.pop_if(|last| last.offset >= start);
        if self.hidden.len() < HIDDEN_LIMIT {
            self.hidden.extend(LeftOut::new(start..end, reason));
        }
    }

    /// Removes a last hidden range that extends beyond `kept`; returns its reason.
    pub(super) fn cut_hidden(&mut self, kept: u64) -> Option<LeftOutReason> {
        let cut = self
            .hidden
            .pop_if(|last| last.offset.saturating_add(last.length) > kept);
        cut.map(|cut| cut.reason)
    }

    /// Hides the bytes from the last visible element up to `to`. Returns `false`, without a change, if that is
    /// impossible.
    fn hide(&mut self, to: u64, reason: LeftOutReason) -> bool {
        let from = self.keep;
        let named = reason
            .void_width()
            .is_some_and(|width| self.wide_void(from, to, width, &[]));
        if named {
            self.record_hidden(from, to, reason);
            self.keep = to;
        }
        let void = to.checked_sub(from).and_then(void_header);
        named || void.is_some_and(|bytes| self.patches.push(from, bytes))
    }

    /// Turns `from..to` into one Void element whose size is `width` bytes wide and whose payload begins with `mark`.
    /// Returns `false`, without a change, if that is impossible.
    fn wide_void(&mut self, from: u64, to: u64, width: usize, mark: &[u8]) -> bool {
        let header = to
            .checked_sub(from)
            .filter(|&length| length >= (1 + width + mark.len()) as u64)
            .and_then(|length| wide_void_header(length, width));
        header.is_some_and(|mut bytes| {
            bytes.extend_from_slice(mark);
            self.patches.push(from, bytes)
        })
    }

    /// Hides the bytes at the end of the stream if they may be part of a recording; otherwise they are cut off.
    pub(super) fn hide_tail(&mut self, end: u64) {
        let reason = self
            .discarding
            .filter(|reason| reason.void_width().is_some());
        if let Some(reason) = reason.filter(|_| self.first_kept.is_some()) {
            self.hide(end, reason);
        }
    }

    /// Hides the head of a joined document from `from` to its first cluster at `start`. Returns the offset for a shift
    /// marker in the Void; `None` if the head stays as it is.
    pub(super) fn begin_joined(
        &mut self,
        from: u64,
        before: Option<LeftOutReason>,
        start: u64,
    ) -> Option<u64> {
        if start.checked_sub(from)? < SHORTEST_DOCUMENT_HEAD {
            return None;
        }
        self.sizes_known &= self.incomplete.take().is_none();
        if let Some(reason) = before.filter(|reason| reason.void_width().is_some()) {
            self.hide(from, reason);
        }
        let keep = self.keep;
        self.wide_void(keep, start, HEAD_VOID_WIDTH, &[0; MARKER_SIZE])
            .then(|| {
                self.keep = start;
                self.discarding = None;
                keep + 1 + HEAD_VOID_WIDTH as u64
            })
    }

    /// Whether no visible element has begun, so that elements can still be hidden by the head.
    pub(super) fn in_front(&self) -> bool {
        self.first_kept.is_none()
    }

    /// Starts a visible element at `start` and hides unwanted bytes in front of it.
    pub(super) fn begin(&mut self, id: u32, start: u64) {
        if self.first_kept.is_none() {
            self.first_kept = Some(start);
        } else if let Some(reason) = self.discarding {
            let patchable =
                self.options.patch_clusters || !self.cluster_seen || self.frozen_prefix.is_some();
            if !patchable && id != ids::CLUSTER {
                // A second index would confuse players, so Tags behind it may get lost.
                return;
            }
            if patchable {
                self.sizes_known &= self.hide(start, reason);
            } else {
                self.sizes_known = false;
                if reason.void_width().is_some() {
                    self.record_hidden(self.keep, start, reason);
                }
            }
        }
        self.sizes_known &= self.incomplete.take().is_none();
        self.discarding = None;
        self.cluster_seen |= id == ids::CLUSTER;
        if SEEK_HEAD_IDS.contains(&id) && !self.seek_entries.iter().any(|&(known, _)| known == id) {
            self.seek_entries.push((id, start));
        }
    }

    /// Ends the visible element that began last.
    pub(super) fn end(&mut self, end: u64) {
        if self.discarding.is_none() {
            self.keep = end;
        }
    }

    /// Ends a cluster and corrects its size if necessary and possible.
    pub(super) fn end_cluster(&mut self, cluster: &Cluster) {
        self.end(cluster.end());
        if let Some(end) = cluster.hidden_end() {
            self.end(end);
        }
        if !self.options.patch_clusters && cluster.missing() > 0 {
            self.incomplete = cluster.declared_end();
        } else if let Some(size) = cluster.size_to_write() {
            // A size that does not fit becomes unknown.
            let width = usize::from(cluster.size_width);
            let known = vint::sized(size, width);
            self.sizes_known &= known.is_some();
            let bytes = known.unwrap_or_else(|| vint::unknown_sized(width));
            self.sizes_known &=
                self.options.patch_clusters && self.patches.push(cluster.size_at, bytes);
        }
    }

    /// Returns a Void that completes the last cluster, if its size cannot be patched.
    pub(super) fn fill_last(&mut self) -> Vec<u8> {
        let Some(end) = self.incomplete.take() else {
            return Vec::new();
        };
        let missing = end.saturating_sub(self.keep);
        let filler = (missing <= FILLER_LIMIT)
            .then(|| void_header(missing))
            .flatten();
        self.sizes_known &= filler.is_some();
        let mut filler = filler.unwrap_or_default();
        if !filler.is_empty() {
            filler.resize(usize::try_from(missing).unwrap_or_default(), 0);
        }
        filler
    }

    /// Turns the Info at `start..end` into a Void that [`hidden_info`] recognises: the four bytes of its id become the
    /// id and the three-byte size of a Void.
    pub(super) fn hide_info(&mut self, start: u64, end: u64) {
        if let Some(size) = vint::sized(end - start - INFO_ID_WIDTH, 3) {
            let mut bytes = vec![0xEC];
            bytes.extend(size);
            self.sizes_known &= self.patches.push(start, bytes);
        }
    }

    /// Stream offset behind the last visible element.
    pub(super) fn end_of_last(&self) -> u64 {
        self.keep
    }

    /// Length of the stored file without our index.
    pub(super) fn keep(&self) -> u64 {
        HEAD_ROOM.saturating_add(self.keep)
    }

    /// Returns the head; `None` while no visible element has begun, or if the Cues do not fit.
    pub(super) fn head(
        &self,
        doc_type: &DocType,
        info: &Info,
        end: Option<&End<'_>>,
    ) -> Option<Patch> {
        let stored = |offset: u64| HEAD_ROOM.saturating_add(offset);
        let mut seek: Vec<_> = self
            .seek_entries
            .iter()
            .filter(|&&(_, at)| at < self.keep)
            .map(|&(id, at)| (id, stored(at)))
            .collect();
        seek.extend(end.and_then(|end| end.cues_at).map(|at| (ids::CUES, at)));
        let head = Head {
            doc_type,
            info,
            seek: &seek,
            duration_ticks: end.map(|end| end.duration_ticks),
            segment_end: end.and_then(|end| end.segment_end),
            cues: end.map_or(&[], |end| end.cues),
            first_kept: stored(self.first_kept?),
        };
        head.to_patch()
    }
}

/// Values that are known at the end of a recording. Positions are in the stored file.
#[derive(Debug)]
pub(super) struct End<'a> {
    pub(super) duration_ticks: f64,
    /// Cues in our head; empty if they are elsewhere.
    pub(super) cues: &'a [u8],
    /// Position of Cues that are elsewhere.
    pub(super) cues_at: Option<u64>,
    pub(super) segment_end: Option<u64>,
}

/// Parses the Info in a Void written by [`SegmentLayout::hide_info`]. The payload begins with the Info's own size,
/// which covers exactly the rest.
pub(super) fn hidden_info(payload: &[u8]) -> Option<Info> {
    let Parsed::Item(Some(size), taken) = vint::size(payload) else {
        return None;
    };
    let info = payload.get(taken..)?;
    (size != 0 && info.len() as u64 == size).then(|| Info::parse(info))
}
