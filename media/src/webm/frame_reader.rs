//! Incremental reader of the frames in clusters.

use std::ops::Range;

use super::block::{BLOCK_HEADER, BlockHeader};
use super::element_reader::{Element, ElementReader, Event};
use super::lacing;
use crate::ebml::{
    ids,
    read::{Children, uint},
    vint::{self, Header, Parsed},
};

/// Largest block. A picture that is larger is implausible.
const BLOCK_LIMIT: u64 = 32 << 20;
/// Largest payload of a Timestamp.
const TIMESTAMP_SIZE: u64 = 8;

/// A block with one frame, or with several if it is laced.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) track: u64,
    /// Time of the first frame in ticks.
    pub(crate) ticks: i64,
    pub(crate) keyframe: bool,
    /// Time at the end that is not played, in nanoseconds.
    pub(crate) discard_ns: u64,
    payload: Vec<u8>,
    frames: Vec<Range<usize>>,
}

impl Block {
    pub(crate) fn frames(&self) -> impl Iterator<Item = &[u8]> {
        let frames = self.frames.iter();
        frames.filter_map(|range| self.payload.get(range.clone()))
    }
}

/// Result of [`FrameReader::next`].
#[derive(Debug)]
pub(crate) enum ReadBlock {
    /// More bytes are needed.
    Incomplete,
    Block(Block),
    /// The next block is larger than any that is read.
    TooLarge,
}

/// Reader of the frames in clusters, which may be of unknown size. Elements that are hidden in a Void are skipped;
/// behind damage, reading continues with the next cluster.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    reader: ElementReader,
    in_cluster: bool,
    /// Timestamp of the cluster.
    cluster: Option<i64>,
}

impl FrameReader {
    /// Consumes bytes up to the next block.
    pub(crate) fn next(&mut self, bytes: &mut &[u8]) -> ReadBlock {
        loop {
            match self.reader.next(bytes) {
                None => return ReadBlock::Incomplete,
                Some(Event::Header(header, start)) => {
                    if !self.open(&header, start) {
                        self.reader.stop();
                        return ReadBlock::TooLarge;
                    }
                }
                Some(Event::Payload(element)) => {
                    if let Some(block) = self.payload(element) {
                        return ReadBlock::Block(block);
                    }
                }
                Some(Event::Malformed(_)) => self.resync(),
                Some(Event::Window(ids::CLUSTER)) => self.reader.found(ids::CLUSTER),
                Some(Event::PartialHeader | Event::End(_) | Event::Window(_)) => {}
            }
            if self.reader.cursor.is_too_far() {
                self.reader.stop();
            }
        }
    }

    fn resync(&mut self) {
        self.in_cluster = false;
        self.reader.resync();
    }

    /// Decides about an element; `false` if it is a block that is too large.
    fn open(&mut self, header: &Header, start: u64) -> bool {
        match (header.id, header.size) {
            (ids::CLUSTER, _) => {
                (self.in_cluster, self.cluster) = (true, None);
                self.reader.enter();
            }
            (ids::SEGMENT, _) => self.reader.enter(),
            (_, None) => self.resync(),
            (ids::TIMESTAMP, Some(_)) if self.in_cluster => {
                self.reader.collect(header, start, TIMESTAMP_SIZE);
            }
            (ids::SIMPLE_BLOCK | ids::BLOCK_GROUP, Some(size)) if self.in_cluster => {
                if size > BLOCK_LIMIT {
                    return false;
                }
                self.reader.collect(header, start, BLOCK_LIMIT);
            }
            (id, Some(_)) => {
                if ids::ends_cluster(id) {
                    self.in_cluster = false;
                }
                self.reader.pass(header, start);
            }
        }
        true
    }

    /// Takes a complete payload.
    fn payload(&mut self, element: Element) -> Option<Block> {
        let payload = std::mem::take(&mut self.reader.payload);
        match element.id {
            ids::TIMESTAMP => {
                let ticks = uint(&payload).filter(|_| element.size() <= TIMESTAMP_SIZE);
                self.cluster = ticks.and_then(|ticks| i64::try_from(ticks).ok());
                None
            }
            ids::SIMPLE_BLOCK => self.block(payload, None),
            _ => {
                let mut group = Group::default();
                let mut is_referring = false;
                let mut block = None;
                for (id, value) in Children::of(&payload) {
                    match id {
                        ids::BLOCK => block = Some(value.to_vec()),
                        ids::REFERENCE_BLOCK => is_referring = true,
                        // A signed number; a negative one is silence in front.
                        ids::DISCARD_PADDING => {
                            let is_negative = value.first().is_some_and(|&byte| byte >= 0x80);
                            let padding = uint(value).filter(|_| !is_negative);
                            group.discard_ns = padding.unwrap_or(0);
                        }
                        _ => {}
                    }
                }
                group.keyframe = !is_referring;
                self.block(block?, Some(group))
            }
        }
    }

    /// Parses a block; `None` if it is invalid.
    fn block(&self, payload: Vec<u8>, group: Option<Group>) -> Option<Block> {
        let header = BlockHeader::parse(&payload[..payload.len().min(BLOCK_HEADER)])?;
        let Parsed::Item(_, width) = vint::number(&payload) else {
            return None;
        };
        let frames = lacing::frames(&payload, width + 2)?;
        let group = group.unwrap_or_else(|| Group {
            keyframe: header.keyframe,
            ..Group::default()
        });
        Some(Block {
            track: header.track,
            ticks: self.cluster?.saturating_add(header.relative.into()),
            keyframe: group.keyframe,
            discard_ns: group.discard_ns,
            frames,
            payload,
        })
    }
}

/// Values of a BlockGroup.
#[derive(Debug, Default)]
struct Group {
    keyframe: bool,
    discard_ns: u64,
}
