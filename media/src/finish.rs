//! Changes that make a stored stream a seekable file.

use crate::container::Container;
use crate::left_out::LeftOut;
use crate::patch::Patch;
use crate::track::Track;

/// Changes that turn the stored stream into a seekable file.
///
/// To apply them, truncate the stored file to [`keep`](Self::keep) bytes, write [`append`](Self::append) behind them,
/// sync, then write the [`patches`](Self::patches) in order and sync again. A crash in between leaves a playable file,
/// and scanning it again leads to the same result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finish {
    /// Container format.
    pub container: Container,
    /// Duration of the recording in milliseconds: the end of its last complete frame.
    pub duration_ms: u64,
    /// Number of bytes to keep of the stored file, head room included. The bytes behind are a torn last element, or an
    /// index of the sender's that ours replaces.
    pub keep: u64,
    /// Bytes to write at `keep`: the index. Empty if there is nothing to index.
    ///
    /// Less than 256 KiB for WebM and Matroska, plus up to 1 MiB that completes a torn last cluster if
    /// [`patch_clusters`](crate::Options::patch_clusters) is off. For MP4 about 4 to 12 bytes a frame, at most 32 MiB
    /// for a fragmented file, plus up to 8 MiB that complete a torn last fragment.
    pub append: Vec<u8>,
    /// Bytes to overwrite once the index is durable.
    pub patches: Vec<Patch>,
    /// Tracks in the order of the file.
    pub tracks: Vec<Track>,
    /// Number of index entries, the points to which players can seek.
    pub keyframes: usize,
    /// Ranges of the stream that the stored file no longer contains, in order. Invariant: `received == keep -
    /// HEAD_ROOM + Σ length`, so that every received byte is stored or listed here.
    pub left_out: Vec<LeftOut>,
    /// Ranges of the stream that are stored but that players ignore, in order, at most 64. Only ranges that may be
    /// part of a recording are listed, not the structure of the container.
    pub hidden: Vec<LeftOut>,
}
