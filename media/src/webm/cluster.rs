//! The Cluster and BlockGroup being read.

use super::block::BlockHeader;
use super::rewrite::{Front, front};
use crate::ebml::{ids, vint::Header};

/// A cluster whose end has not been seen.
///
/// What its size says is a hint: in a stream it is unknown, in a stored one it may be a patch of ours that a
/// crash tore. The end follows from the elements in it.
#[derive(Debug)]
pub(super) struct Cluster {
    /// Stream offset of its id.
    pub(super) start: u64,
    /// Stream offset of its size, and the bytes that takes.
    pub(super) size_at: u64,
    pub(super) size_width: u8,
    /// Stream offset of its payload.
    pub(super) payload: u64,
    /// End according to its size.
    declared: Option<u64>,
    /// Whether an element ends exactly there.
    declared_on_boundary: bool,
    /// End of the last whole child, and of the last that was neither Void nor CRC-32.
    whole_end: u64,
    content_end: u64,
    pub(super) timestamp: u64,
    /// Whole blocks and block groups so far.
    pub(super) blocks: u64,
    /// Whether its place on the recording's time line is known.
    pub(super) placed: bool,
    /// Whether it lies beside the time line: its frames do not count.
    pub(super) misplaced: bool,
    /// Whether it is the first of a further recording, and its time is not known yet.
    pub(super) pending: bool,
    /// Whether nothing but small elements in front of the first frame have been seen.
    front: bool,
    /// Whether its last child is a Void that hides a part of the stream.
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
            timestamp: 0,
            blocks: 0,
            placed: false,
            misplaced: false,
            pending: false,
            front: true,
            hides_last: false,
        }
    }

    /// Notes that a child has arrived as a whole.
    pub(super) fn child(&mut self, id: u32, end: u64) {
        self.whole_end = end;
        self.declared_on_boundary |= self.declared == Some(end);
        self.hides_last = false;
        if !ids::is_global(id) {
            self.content_end = end;
            self.front &= matches!(id, ids::TIMESTAMP | ids::POSITION | ids::PREV_SIZE);
        }
        if matches!(
            id,
            ids::SIMPLE_BLOCK | ids::BLOCK_GROUP | ids::ENCRYPTED_BLOCK
        ) {
            self.blocks += 1;
        }
    }

    /// Whether there is something in it that stays, if nothing more comes.
    pub(super) fn is_kept(&self) -> bool {
        !self.pending && (self.blocks > 0 || self.hides_last)
    }

    /// Notes that the child that came last hides a part of the stream.
    pub(super) fn hide_last(&mut self) {
        self.hides_last = true;
    }

    /// End of a last child that hides a part of the stream, which stays in the file.
    pub(super) fn hidden_end(&self) -> Option<u64> {
        self.hides_last.then_some(self.whole_end)
    }

    /// Makes it begin `earlier` bytes before where it does, and writes another time into it. `end`: end of its
    /// Timestamp, which has just arrived as a whole. `None` where that is not possible.
    pub(super) fn rewrite(&mut self, earlier: u64, end: u64, ticks: u64) -> Option<Vec<u8>> {
        let size_at = self.size_at.checked_sub(earlier).filter(|_| self.front)?;
        let length = usize::try_from(end.checked_sub(size_at)?).ok()?;
        let rest = self.declared.and_then(|declared| declared.checked_sub(end));
        let width = usize::from(self.size_width);
        let Front {
            bytes,
            size_width,
            size,
        } = front(length, width, rest, ticks)?;
        self.start = self.start.checked_sub(earlier)?;
        self.size_at = size_at;
        self.size_width = size_width;
        self.payload = size_at + u64::from(size_width);
        self.declared = size.map(|size| self.payload.saturating_add(size));
        self.declared_on_boundary = false;
        self.timestamp = ticks;
        Some(bytes)
    }

    /// Whether an element `id`, coming next, is no longer part of it.
    pub(super) fn ends_before(&self, id: u32) -> bool {
        ids::ends_cluster(id)
            || self.declared_end_holds() && !ids::is_cluster_child(id) && !ids::is_global(id)
    }

    /// Where it ends, if nothing more comes: as declared, if that holds, else behind the last whole child.
    ///
    /// A Void behind a declared end that holds belongs to the Segment.
    pub(super) fn end(&self) -> u64 {
        self.declared
            .filter(|_| self.declared_end_holds())
            .unwrap_or(self.whole_end)
    }

    /// The payload size to write into it, now that it has ended; `None` when what stands there is right.
    pub(super) fn size_to_write(&self) -> Option<u64> {
        (!self.declared_end_holds()).then(|| self.whole_end - self.payload)
    }

    /// End according to its size, which may be wrong.
    pub(super) fn declared_end(&self) -> Option<u64> {
        self.declared
    }

    /// Bytes missing up to its declared end.
    pub(super) fn missing(&self) -> u64 {
        self.declared
            .map_or(0, |end| end.saturating_sub(self.whole_end))
    }

    fn declared_end_holds(&self) -> bool {
        self.declared_on_boundary && self.declared.is_some_and(|end| self.content_end <= end)
    }
}

/// A BlockGroup being read.
#[derive(Debug)]
pub(super) struct Group {
    /// Stream offset of its id and of its end.
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) block: Option<BlockHeader>,
    /// `BlockDuration` in ticks.
    pub(super) duration: Option<u64>,
    /// Whether it refers to another frame: then it is no keyframe.
    pub(super) reference: bool,
    /// Whether its children do not fit together: it is passed over.
    pub(super) broken: bool,
}

impl Group {
    pub(super) fn new(start: u64, end: u64) -> Self {
        Self {
            start,
            end,
            block: None,
            duration: None,
            reference: false,
            broken: false,
        }
    }
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
    fn sizes() {
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
    fn what_ends_it() {
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
