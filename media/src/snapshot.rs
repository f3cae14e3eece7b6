//! Snapshot of an indexer, with which indexing continues after a restart instead of reading the whole stream again.

use std::ops::Range;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Version of the format. Must be increased with every change of a type that a snapshot contains; a test compares the
/// bytes of a snapshot.
const VERSION: u32 = 1;
/// Most bytes of a frame that serve as its witness.
const WITNESS_LIMIT: u64 = 256;

/// Serialized state of an [`Indexer`](crate::Indexer), taken by [`snapshot`](crate::Indexer::snapshot).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The state; [`restore`](crate::Indexer::restore) reads it.
    pub bytes: Vec<u8>,
    /// Number of bytes of the stream that are indexed.
    pub position: u64,
    /// Stream offsets of the end of a frame shortly before `position`. No patch changes these bytes, so that they show
    /// whether a snapshot belongs to a stream.
    pub witness: Range<u64>,
}

impl Snapshot {
    /// Takes a snapshot of a state at stream offset `position`. `frame` is a frame before it.
    pub(crate) fn new(state: &impl Serialize, position: u64, frame: Range<u64>) -> Option<Self> {
        Some(Self {
            bytes: postcard::to_allocvec(&(VERSION, state)).ok()?,
            position,
            witness: frame.start.max(frame.end.saturating_sub(WITNESS_LIMIT))..frame.end,
        })
    }

    /// Reads the state of a snapshot; `None` if it is of another version.
    pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
        let (version, state): (u32, _) = postcard::take_from_bytes(bytes).ok()?;
        if version != VERSION {
            return None;
        }
        let (state, rest) = postcard::take_from_bytes(state).ok()?;
        rest.is_empty().then_some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::VERSION;
    use crate::indexer::Indexer;
    use crate::options::Options;
    use crate::stable_hash::StableHash;

    fn indexed(stream: &[u8]) -> Indexer {
        let mut indexer = Indexer::new();
        indexer.push(stream);
        while indexer.poll_patch().is_some() {}
        indexer
    }

    /// A change of these numbers means that servers cannot read the snapshots of the previous version, or worse, that
    /// they read them wrongly: increase `VERSION`.
    #[test]
    fn format_is_that_of_its_version() {
        let hash = |bytes: &[u8]| {
            let mut hash = StableHash::default();
            hash.add(bytes);
            hash.finish()
        };
        let streams: [&[u8]; 2] = [
            include_bytes!("../tests/data/chromium-vp9-opus.webm"),
            include_bytes!("../tests/data/chromium-mp4.mp4"),
        ];
        let snapshots = streams.map(|stream| indexed(stream).snapshot().expect("a snapshot").bytes);
        assert_eq!(
            (VERSION, snapshots.map(|bytes| hash(&bytes))),
            (1, [5_087_692_979_430_871_448, 851_964_732_635_678_119])
        );
    }

    #[test]
    fn other_versions_options_and_damaged_snapshots_are_refused() {
        let stream = include_bytes!("../tests/data/chromium-vp8.webm");
        let bytes = indexed(stream).snapshot().expect("a snapshot").bytes;
        let options = Options::default();
        assert!(Indexer::restore(&bytes, options).is_some());
        assert!(Indexer::restore(&bytes, options.patch_clusters(false)).is_none());
        assert!(Indexer::restore(&bytes, options.description_limit(1)).is_none());
        for length in 0..bytes.len() {
            assert!(Indexer::restore(&bytes[..length], options).is_none());
        }
        let longer = [&bytes[..], b"\0"].concat();
        assert!(Indexer::restore(&longer, options).is_none());
        let mut future = bytes;
        future[0] += 1;
        assert!(Indexer::restore(&future, options).is_none());
    }
}
