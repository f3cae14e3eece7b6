//! The Cluster and the BlockGroup that are being read.

use serde::{Deserialize, Serialize};

use super::block::BlockHeader;
use super::cluster_header::{ClusterHeader, cluster_header};
use crate::ebml::{ids, vint::Header};

/// A cluster whose end has not been found.
///
/// The declared size is a hint: in a live stream it is unknown, and in a stored stream a crash may have torn the patch
/// that corrects it. The end follows from the children.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Cluster {
    /// Stream offset of the id.
    pub(super) start: u64,
    /// Stream offset and width of the size.
    pub(super) size_at: u64,
    pub(super) size_width: u8,
    /// Stream offset of the payload.
    pub(super) payload: u64,
    /// Declared end.
    declared: Option<u64>,
    /// Whether a child ends exactly at the declared end.
    declared_on_boundary: bool,
    /// End of the last complete child, and of the last that is neither Void nor CRC-32.
    whole_end: u64,
    content_end: u64,
    pub(super) timestamp: u64,
    /// Complete SimpleBlocks, BlockGroups and EncryptedBlocks.
    pub(super) blocks: u64,
    /// Whether the timestamp on the recording's timeline is known.
    pub(super) placed: bool,
    /// Whether the timestamp is implausible and could not be shifted; frames of such a cluster do not count.
    pub(super) misplaced: bool,
    /// Whether this is the first cluster of a further document, with an unknown timestamp.
    pub(super) pending: bool,
    /// Whether all children so far may precede the first frame in a [`ClusterHeader`].
    front: bool,
    /// Whether the last child is a Void that hides a part of the stream.
    hides_last: bool,
}

impl Cluster {
    pub(super) fn new(start: u64, payload: u64, header: &Header) -> Self {
        let declared = header.size.map(|size| payload.saturating_add(size));
        Self {
            start,
            size_at: start + u64::from(header.id_width),
            size_width: header.size_width,
            payload,
            declared,
            declared_on_boundary: declared == Some(payload),
            whole_end: payload,
            content_end: payload,
            front: true,
            ..Self::default()
        }
    }

    /// Records a complete child.
    pub(super) fn child(&mut self, id: u32, end: u64) {
        self.whole_end = end;
        self.declared_on_boundary |= self.declared == Some(end);
        self.hides_last = false;
        if !ids::is_global(id) {
            self.content_end = end;
            self.front &= matches!(id, ids::TIMESTAMP | ids::POSITION | ids::PREV_SIZE);
        }
        if ids::is_frame(id) {
            self.blocks += 1;
        }
    }

    /// Whether the cluster stays in the file if the stream ends here.
    pub(super) fn is_kept(&self) -> bool {
        !self.pending && (self.blocks > 0 || self.hides_last)
    }

    /// Records that the last child hides a part of the stream.
    pub(super) fn hide_last(&mut self) {
        self.hides_last = true;
    }

    /// End of a last child that hides a part of the stream.
    pub(super) fn hidden_end(&self) -> Option<u64> {
        self.hides_last.then_some(self.whole_end)
    }

    /// Moves the start `earlier` bytes forward and sets another timestamp. `end` is the end of the Timestamp element,
    /// which is just complete. Returns the bytes from the new size on; `None` if that is impossible.
    pub(super) fn rewrite(&mut self, earlier: u64, end: u64, ticks: u64) -> Option<Vec<u8>> {
        let size_at = self.size_at.checked_sub(earlier).filter(|_| self.front)?;
        let length = usize::try_from(end.checked_sub(size_at)?).ok()?;
        let rest = self.declared.and_then(|declared| declared.checked_sub(end));
        let width = usize::from(self.size_width);
        let ClusterHeader {
            bytes,
            size_width,
            size,
        } = cluster_header(length, width, rest, ticks)?;
        self.start = self.start.checked_sub(earlier)?;
        self.size_at = size_at;
        self.size_width = size_width;
        self.payload = size_at + u64::from(size_width);
        self.declared = size.map(|size| self.payload.saturating_add(size));
        self.declared_on_boundary = false;
        self.timestamp = ticks;
        Some(bytes)
    }

    /// Whether an element `id` that comes next is outside the cluster.
    pub(super) fn ends_before(&self, id: u32) -> bool {
        ids::ends_cluster(id)
            || self.declared_end_holds() && !ids::is_cluster_child(id) && !ids::is_global(id)
    }

    /// Returns the end of the cluster if the stream ends here: the declared end if it is valid, else the end of the
    /// last complete child.
    ///
    /// A Void behind a valid declared end belongs to the Segment.
    pub(super) fn end(&self) -> u64 {
        self.declared
            .filter(|_| self.declared_end_holds())
            .unwrap_or(self.whole_end)
    }

    /// Returns the payload size to patch in once the cluster has ended; `None` if the declared size is right.
    pub(super) fn size_to_write(&self) -> Option<u64> {
        (!self.declared_end_holds()).then(|| self.whole_end - self.payload)
    }

    /// Declared end, which may be wrong.
    pub(super) fn declared_end(&self) -> Option<u64> {
        self.declared
    }

    /// Returns the number of bytes missing up to the declared end.
    pub(super) fn missing(&self) -> u64 {
        self.declared
            .map_or(0, |end| end.saturating_sub(self.whole_end))
    }

    fn declared_end_holds(&self) -> bool {
        self.declared_on_boundary && self.declared.is_some_and(|end| self.content_end <= end)
    }
}

/// A BlockGroup that is being read.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct BlockGroup {
    /// Stream offsets of the id and of the end.
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) block: Option<BlockHeader>,
    /// `BlockDuration` in ticks.
    pub(super) duration: Option<u64>,
    /// Whether it has a ReferenceBlock and is therefore no keyframe.
    pub(super) reference: bool,
    /// Whether a child does not fit into the group, so that the group does not count.
    pub(super) broken: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(size: Option<u64>) -> Cluster {
        Cluster::new(
            100,
            112,
            &Header {
                id: ids::CLUSTER,
                size,
                id_width: 4,
                size_width: 8,
            },
        )
    }

    #[track_caller]
    fn check(size: Option<u64>, children: &[(u32, u64)], expected: Option<u64>) {
        let mut cluster = cluster(size);
        for &(id, end) in children {
            cluster.child(id, end);
        }
        assert_eq!(cluster.size_to_write(), expected);
    }

    #[test]
    fn wrong_or_unknown_sizes_are_corrected() {
        let two = [(ids::TIMESTAMP, 115), (ids::SIMPLE_BLOCK, 212)];
        check(None, &two, Some(100));
        check(Some(100), &two, None);
        check(Some(99), &two, Some(100));
        check(Some(101), &two, Some(100));
        check(Some(3), &two, Some(100));
        check(Some(100), &[two[0], two[1], (ids::VOID, 222)], None);
        check(
            Some(100),
            &[two[0], two[1], (ids::VOID, 222), (ids::SIMPLE_BLOCK, 230)],
            Some(118),
        );
        check(Some(0), &[], None);
    }

    #[test]
    fn cluster_ends_at_segment_child_or_valid_declared_end() {
        let mut cluster = cluster(Some(3));
        assert!(cluster.ends_before(ids::CLUSTER));
        assert!(
            !cluster.ends_before(0x4FFF),
            "an unknown element may be a child"
        );
        cluster.child(ids::TIMESTAMP, 115);
        assert!(
            cluster.ends_before(0x4FFF),
            "behind a size that holds it is none"
        );
        assert!(
            !cluster.ends_before(ids::SIMPLE_BLOCK),
            "a torn size may end too early"
        );
    }
}
