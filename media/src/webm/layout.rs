//! What of the stream stays visible in the stored file, and how the rest is hidden.

use super::cluster::Cluster;
use super::further::SHORTEST_HEAD;
use super::head::Head;
use super::info::{DocType, Info};
use super::patches::Patches;
use super::placement::NOTE;
use crate::ebml::{
    ids,
    vint::{self, Parsed},
    write::void_header,
};
use crate::indexer::Options;
use crate::report::{LeftOut, LeftOutReason};
use crate::stored::HEAD_ROOM;

/// Level-1 elements worth an entry in the SeekHead, besides Info and Cues.
const SOUGHT: [u32; 4] = [ids::TRACKS, ids::CHAPTERS, ids::TAGS, ids::ATTACHMENTS];
/// The most that is appended to make a cluster whole. A larger one stays torn; players cope.
const FILLER_LIMIT: u64 = 1 << 20;
/// Bytes of Info's id, which [`Layout::hide_info`] writes over.
const INFO_ID_WIDTH: u64 = 4;

/// The sender's elements on level 1: kept, hidden, or cut off at the end. All offsets are in the stream.
#[derive(Debug)]
pub(super) struct Layout {
    options: Options,
    pub(super) patches: Patches,
    /// First of each of [`SOUGHT`]: id and offset.
    sought: Vec<(u32, u64)>,
    first_kept: Option<u64>,
    /// End of the last whole element that stays.
    keep: u64,
    /// Why something behind `keep` must be hidden if another kept element follows. At the end, what may be of use to
    /// a person is hidden as well; the rest is cut off.
    unwanted: Option<LeftOutReason>,
    cluster_seen: bool,
    /// Whether a player may trust the Segment's size: every cluster's size is known in the stored file, and
    /// nothing broken is left in it.
    regular: bool,
    /// Hidden ranges: at most [`HIDDEN_LIMIT`].
    pub(super) hidden: Vec<LeftOut>,
    /// Where the last cluster should end, where it ends earlier and its size cannot be changed.
    incomplete: Option<u64>,
    /// Upper bound of the settled length, once bytes behind it are patched though clusters are not.
    frozen: Option<u64>,
}

/// Hidden ranges that are named.
const HIDDEN_LIMIT: usize = 64;
/// Bytes of the size of a Void over the head of a further recording: a width that no muxer pads to.
pub(super) const JOINT_WIDTH: usize = 4;

impl Layout {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            patches: Patches::default(),
            sought: Vec::new(),
            first_kept: None,
            keep: 0,
            unwanted: None,
            cluster_seen: false,
            regular: true,
            hidden: Vec::new(),
            incomplete: None,
            frozen: None,
        }
    }

    /// Notes bytes that must not stay visible. The gravest reason counts.
    pub(super) fn unwanted(&mut self, reason: LeftOutReason) {
        self.unwanted = self.unwanted.max(Some(reason));
    }

    pub(super) fn unwanted_reason(&self) -> Option<LeftOutReason> {
        self.unwanted
    }

    pub(super) fn patches_clusters(&self) -> bool {
        self.options.patch_clusters
    }

    /// From now on bytes are patched behind what is settled: no more of them become settled, where that would put
    /// them out of reach.
    pub(super) fn freeze(&mut self, settled: u64) {
        if !self.options.patch_clusters {
            self.frozen.get_or_insert(settled);
        }
    }

    pub(super) fn frozen(&self) -> u64 {
        self.frozen.unwrap_or(u64::MAX)
    }

    /// Names a hidden range.
    pub(super) fn note_hidden(&mut self, start: u64, end: u64, reason: LeftOutReason) {
        // A range in front of a cluster that is not kept after all is replaced.
        self.hidden.pop_if(|last| last.offset >= start);
        if self.hidden.len() < HIDDEN_LIMIT {
            self.hidden.extend(LeftOut::new(start..end, reason));
        }
    }

    /// Forgets a last hidden range that is not kept; returns why it was hidden.
    pub(super) fn cut_hidden(&mut self, kept: u64) -> Option<LeftOutReason> {
        let cut = self
            .hidden
            .pop_if(|last| last.offset.saturating_add(last.length) > kept);
        cut.map(|cut| cut.reason)
    }

    /// Hides everything from the last kept element up to `to`. `false`: it stays as it is.
    fn hide(&mut self, to: u64, reason: LeftOutReason) -> bool {
        let from = self.keep;
        let named = reason
            .void_width()
            .is_some_and(|width| self.patches.wide_void(from, to, width, &[]));
        if named {
            self.note_hidden(from, to, reason);
            self.keep = to;
        }
        named || self.patches.void(from, to)
    }

    /// Hides what is left at the end of the stream, where it may be of use to a person; else it is cut off.
    pub(super) fn hide_tail(&mut self, end: u64) {
        let reason = self.unwanted.filter(|reason| reason.void_width().is_some());
        if let Some(reason) = reason.filter(|_| self.first_kept.is_some()) {
            self.hide(end, reason);
        }
    }

    /// The first cluster of a further recording, whose own head begins at `from`, begins at `start`: the head is hidden.
    /// Returns the place for a note in it; `None`: it stays as it is.
    pub(super) fn begin_joined(
        &mut self,
        from: u64,
        before: Option<LeftOutReason>,
        start: u64,
    ) -> Option<u64> {
        if start.checked_sub(from)? < SHORTEST_HEAD {
            return None;
        }
        self.regular &= self.incomplete.take().is_none();
        if let Some(reason) = before.filter(|reason| reason.void_width().is_some()) {
            self.hide(from, reason);
        }
        let keep = self.keep;
        self.patches
            .wide_void(keep, start, JOINT_WIDTH, &[0; NOTE])
            .then(|| {
                self.keep = start;
                self.unwanted = None;
                keep + 1 + JOINT_WIDTH as u64
            })
    }

    /// Whether elements can still be placed before everything that is kept.
    pub(super) fn in_front(&self) -> bool {
        self.first_kept.is_none()
    }

    pub(super) fn cluster_seen(&self) -> bool {
        self.cluster_seen
    }

    /// An element that stays begins at `start`: what is unwanted before it is hidden.
    pub(super) fn begin(&mut self, id: u32, start: u64) {
        if self.first_kept.is_none() {
            self.first_kept = Some(start);
        } else if let Some(reason) = self.unwanted {
            let patchable =
                self.options.patch_clusters || !self.cluster_seen || self.frozen.is_some();
            if !patchable && id != ids::CLUSTER {
                // A second index in the file would lead players astray; mere Tags behind it are the lesser loss.
                return;
            }
            if patchable {
                self.regular &= self.hide(start, reason);
            } else {
                self.regular = false;
                if reason.void_width().is_some() {
                    self.note_hidden(self.keep, start, reason);
                }
            }
        }
        self.regular &= self.incomplete.take().is_none();
        self.unwanted = None;
        self.cluster_seen |= id == ids::CLUSTER;
        if SOUGHT.contains(&id) && !self.sought.iter().any(|&(known, _)| known == id) {
            self.sought.push((id, start));
        }
    }

    /// The element that began last has arrived as a whole.
    pub(super) fn end(&mut self, end: u64) {
        if self.unwanted.is_none() {
            self.keep = end;
        }
    }

    /// A cluster has ended: its size is corrected where that is needed and possible.
    pub(super) fn end_cluster(&mut self, cluster: &Cluster) {
        self.end(cluster.end());
        if let Some(end) = cluster.hidden_end() {
            self.end(end);
        }
        if !self.options.patch_clusters && cluster.missing() > 0 {
            self.incomplete = cluster.declared_end();
        } else if let Some(size) = cluster.size_to_write() {
            self.regular &= self.options.patch_clusters
                && self.patches.size(cluster.size_at, cluster.size_width, size);
        }
    }

    /// Returns what to append to make the last cluster whole, where its size cannot be changed: a Void that fills it.
    pub(super) fn fill_last(&mut self) -> Vec<u8> {
        let Some(end) = self.incomplete.take() else {
            return Vec::new();
        };
        let missing = end.saturating_sub(self.keep);
        let filler = (missing <= FILLER_LIMIT)
            .then(|| void_header(missing))
            .flatten();
        self.regular &= filler.is_some();
        let mut filler = filler.unwrap_or_default();
        if !filler.is_empty() {
            filler.resize(usize::try_from(missing).unwrap_or_default(), 0);
        }
        filler
    }

    /// Makes the Info at `start..end` a Void, in a way that [`hidden_info`] recognises: the four bytes of its id
    /// become a Void's id and a size of three bytes.
    pub(super) fn hide_info(&mut self, start: u64, end: u64) {
        if let Some(size) = vint::sized(end - start - INFO_ID_WIDTH, 3) {
            let mut bytes = vec![0xEC];
            bytes.extend(size);
            self.regular &= self.patches.push(start, bytes);
        }
    }

    /// Stream offset behind the last element that stays.
    pub(super) fn end_of_last(&self) -> u64 {
        self.keep
    }

    /// Length of the stored file without our index.
    pub(super) fn keep(&self) -> u64 {
        HEAD_ROOM.saturating_add(self.keep)
    }

    pub(super) fn is_regular(&self) -> bool {
        self.regular
    }

    /// Our head; `None` as long as there is nothing to put it in front of, or where the Cues do not fit in it.
    pub(super) fn head(
        &self,
        doc_type: &DocType,
        info: &Info,
        end: Option<&End<'_>>,
    ) -> Option<Vec<u8>> {
        let stored = |offset: u64| HEAD_ROOM.saturating_add(offset);
        let mut seek: Vec<_> = self
            .sought
            .iter()
            .filter(|&&(_, at)| at < self.keep)
            .map(|&(id, at)| (id, stored(at)))
            .collect();
        let cues = end.map_or(CuesPlace::Nowhere, |end| end.cues);
        if let CuesPlace::At(at) = cues {
            seek.push((ids::CUES, at));
        }
        let head = Head {
            doc_type,
            info,
            seek: &seek,
            duration_ticks: end.map(|end| end.duration_ticks),
            segment_end: end.and_then(|end| end.segment_end),
            cues: match cues {
                CuesPlace::InFront(cues) => cues,
                CuesPlace::At(_) | CuesPlace::Nowhere => &[],
            },
            first_kept: stored(self.first_kept?),
        };
        head.to_bytes()
    }
}

/// Where the Cues are.
#[derive(Debug, Clone, Copy)]
pub(super) enum CuesPlace<'a> {
    /// In our head, in front of all clusters.
    InFront(&'a [u8]),
    /// At a position in the stored file.
    At(u64),
    Nowhere,
}

/// What only the end of a recording tells. Positions are in the stored file.
#[derive(Debug)]
pub(super) struct End<'a> {
    pub(super) duration_ticks: f64,
    pub(super) cues: CuesPlace<'a>,
    pub(super) segment_end: Option<u64>,
}

/// The Info that [`Layout::hide_info`] made a Void of, found when a stored stream is scanned again: the payload
/// begins with the Info's own size, which covers exactly the rest.
pub(super) fn hidden_info(payload: &[u8]) -> Option<Info> {
    let Parsed::Item(Some(size), taken) = vint::size(payload) else {
        return None;
    };
    let info = payload.get(taken..)?;
    (size != 0 && info.len() as u64 == size).then(|| Info::parse(info))
}
