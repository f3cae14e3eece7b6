//! What of the stream stays visible in the stored file, and how the rest is hidden.

use super::cluster::Cluster;
use super::head::Head;
use super::info::{DocType, Info};
use super::patches::Patches;
use crate::container::HEAD_ROOM;
use crate::ebml::{
    ids,
    vint::{self, Parsed},
    write::void_header,
};
use crate::indexer::Options;

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
    /// Whether something behind `keep` must be hidden if another kept element follows, else is cut off.
    unwanted: bool,
    cluster_seen: bool,
    /// Whether a player may trust the Segment's size: every cluster's size is known in the stored file, and
    /// nothing broken is left in it.
    regular: bool,
}

impl Layout {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            patches: Patches::default(),
            sought: Vec::new(),
            first_kept: None,
            keep: 0,
            unwanted: false,
            cluster_seen: false,
            regular: true,
        }
    }

    /// Notes bytes that must not stay visible: our own index and head take their place, or they are broken.
    pub(super) fn unwanted(&mut self) {
        self.unwanted = true;
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
        } else if self.unwanted {
            let patchable = self.options.patch_clusters || !self.cluster_seen;
            if !patchable && id != ids::CLUSTER {
                // A second index in the file would lead players astray; mere Tags behind it are the lesser loss.
                return;
            }
            self.regular &= patchable && self.patches.void(self.keep, start);
        }
        self.unwanted = false;
        self.cluster_seen |= id == ids::CLUSTER;
        if SOUGHT.contains(&id) && !self.sought.iter().any(|&(known, _)| known == id) {
            self.sought.push((id, start));
        }
    }

    /// The element that began last has arrived as a whole.
    pub(super) fn end(&mut self, end: u64) {
        if !self.unwanted {
            self.keep = end;
        }
    }

    /// A cluster has ended: its size is corrected where that is needed and possible.
    pub(super) fn end_cluster(&mut self, cluster: &Cluster) {
        self.end(cluster.end());
        if let Some(size) = cluster.size_to_write() {
            self.regular &= self.options.patch_clusters
                && self.patches.size(cluster.size_at, cluster.size_width, size);
        }
    }

    /// The stream ends within a cluster. Returns what to append to make it whole, where its size cannot be changed:
    /// a Void that fills it.
    pub(super) fn end_last_cluster(&mut self, cluster: &Cluster) -> Vec<u8> {
        let missing = cluster.missing();
        if !self.options.patch_clusters && (1..=FILLER_LIMIT).contains(&missing) {
            self.end(cluster.end());
            let mut filler = void_header(missing).unwrap_or_default();
            filler.resize(usize::try_from(missing).unwrap_or_default(), 0);
            filler
        } else {
            self.end_cluster(cluster);
            Vec::new()
        }
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

    /// Our head; `None` as long as there is nothing to put it in front of.
    pub(super) fn head(
        &self,
        doc_type: &DocType,
        info: &Info,
        end: Option<&End>,
    ) -> Option<Vec<u8>> {
        let stored = |offset: u64| HEAD_ROOM.saturating_add(offset);
        let mut seek: Vec<_> = self
            .sought
            .iter()
            .filter(|&&(_, at)| at < self.keep)
            .map(|&(id, at)| (id, stored(at)))
            .collect();
        seek.extend(end.and_then(|end| end.cues).map(|at| (ids::CUES, at)));
        let head = Head {
            doc_type,
            info,
            seek: &seek,
            duration_ticks: end.map(|end| end.duration_ticks),
            segment_end: end.and_then(|end| end.segment_end),
            first_kept: stored(self.first_kept?),
        };
        Some(head.to_bytes())
    }
}

/// What only the end of a recording tells. Positions are in the stored file.
#[derive(Debug)]
pub(super) struct End {
    pub(super) duration_ticks: f64,
    pub(super) cues: Option<u64>,
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
