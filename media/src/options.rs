//! Options of an indexer.

use serde::{Deserialize, Serialize};

/// Options of an [`Indexer`](crate::Indexer), mostly about the storage behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Options {
    /// Whether bytes behind the front matter may be patched (default: yes).
    ///
    /// If not, as with object storage, all patches lie before the first cluster or behind the [immutable
    /// prefix](crate::Indexer::immutable_prefix), which stops growing with the first such patch. Clusters and the Segment
    /// then keep an unknown size; the file is equally seekable. An MP4 whose fragments have absolute base data offsets
    /// does not play before it is finished.
    pub patch_clusters: bool,
    /// Length of the whole stream in bytes, for repair (default: `None`, the stream is still growing).
    ///
    /// If set, an element or box that extends beyond the end, or that no muxer writes, is treated as damage: scanning
    /// continues at the next cluster or fragment instead of waiting for more bytes.
    pub stream_length: Option<u64>,
    /// Largest `moov` in bytes that is kept in memory while an MP4 grows (default: 16 MiB). With `stream_length` the
    /// limit is always 256 MiB.
    ///
    /// A larger `moov` requires another scan; see [`Indexer::needs_rescan`](crate::Indexer::needs_rescan).
    pub description_limit: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            patch_clusters: true,
            stream_length: None,
            description_limit: 16 << 20,
        }
    }
}

impl Options {
    /// Sets [`patch_clusters`](Self::patch_clusters).
    #[must_use]
    pub fn patch_clusters(mut self, patch_clusters: bool) -> Self {
        self.patch_clusters = patch_clusters;
        self
    }

    /// Sets [`description_limit`](Self::description_limit).
    #[must_use]
    pub fn description_limit(mut self, bytes: u64) -> Self {
        self.description_limit = bytes;
        self
    }

    /// Sets [`stream_length`](Self::stream_length).
    #[must_use]
    pub fn stream_length(mut self, bytes: u64) -> Self {
        self.stream_length = Some(bytes);
        self
    }
}
