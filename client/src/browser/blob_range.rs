//! Bytes that the server has not acknowledged.

use std::ops::Range;

use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Blob;

use super::object::{array, blob, number, slice};
use super::worker::Worker;
use crate::numbers::whole;

/// Range of bytes that grows at its end and is released at its beginning. The bytes lie outside the WebAssembly memory:
/// in blobs, or in files of the spool, which only the worker can read.
#[derive(Debug, Default)]
pub(super) struct BlobRange {
    pieces: Vec<Piece>,
    end: u64,
}

#[derive(Debug)]
struct Piece {
    start: u64,
    end: u64,
    bytes: Bytes,
}

#[derive(Clone, Debug)]
pub(super) enum Bytes {
    Blob(Blob),
    File(StoredFile),
}

/// File of the spool.
#[derive(Clone, Debug)]
pub(super) struct StoredFile {
    pub(super) folder: String,
    pub(super) name: String,
    /// Size in bytes.
    pub(super) size: u64,
}

/// Some of the bytes: blobs, and ranges of files as `[folder, name, from, to]`.
#[derive(Clone, Debug)]
pub(super) struct Slice {
    parts: Array,
    has_files: bool,
}

impl Slice {
    /// Returns what the worker calls `parts`.
    pub(super) fn parts(&self) -> &Array {
        &self.parts
    }

    /// Returns one blob; `None` if the bytes are in files. With an empty `mime_type` the blob may have any: an existing
    /// blob costs nothing, a new one a call to another process.
    pub(super) fn blob(&self, mime_type: &str) -> Option<Blob> {
        if self.has_files {
            return None;
        }
        if mime_type.is_empty() && self.parts.length() == 1 {
            return Some(self.parts.get(0).unchecked_into());
        }
        blob(&self.parts, mime_type)
    }

    /// Reads the bytes; `None` if that is not possible.
    pub(super) async fn read(&self, mime_type: &str) -> Option<Blob> {
        if !self.has_files {
            return self.blob(mime_type);
        }
        let bytes: Blob = Worker::revived()?
            .read(&self.parts)
            .await?
            .dyn_into()
            .ok()?;
        if mime_type.is_empty() {
            return Some(bytes);
        }
        blob(&array(&[bytes.into()]), mime_type)
    }
}

impl Bytes {
    fn size(&self) -> u64 {
        match self {
            Self::Blob(blob) => whole(blob.size()),
            Self::File(file) => file.size,
        }
    }

    /// Returns the bytes from `from` up to `to`.
    fn part(&self, from: u64, to: u64) -> Option<JsValue> {
        Some(match self {
            Self::Blob(blob) if from == 0 && to == self.size() => blob.into(),
            Self::Blob(blob) => slice(blob, from, to)?.into(),
            Self::File(StoredFile { folder, name, .. }) => {
                array(&[folder.into(), name.into(), number(from), number(to)]).into()
            }
        })
    }
}

impl From<Blob> for Bytes {
    fn from(blob: Blob) -> Self {
        Self::Blob(blob)
    }
}

impl BlobRange {
    /// Creates an empty range at `start`.
    pub(super) fn starting_at(start: u64) -> Self {
        Self {
            pieces: Vec::new(),
            end: start,
        }
    }

    /// Replaces all blobs within `range` by a file with the same bytes.
    pub(super) fn replace(&mut self, range: &Range<u64>, file: StoredFile) {
        let is_within = |it: &Piece| it.start >= range.start && it.end <= range.end;
        let first = self.pieces.partition_point(|it| it.start < range.start);
        let count = self.pieces[first..]
            .iter()
            .take_while(|it| is_within(it))
            .count();
        let whole = count > 0
            && self.pieces[first].start == range.start
            && self.pieces[first + count - 1].end == range.end;
        if whole {
            let (start, end, bytes) = (range.start, range.end, Bytes::File(file));
            self.pieces[first] = Piece { start, end, bytes };
            self.pieces.drain(first + 1..first + count);
        }
    }

    /// Appends bytes and returns their number.
    pub(super) fn push(&mut self, bytes: impl Into<Bytes>) -> u64 {
        let bytes = bytes.into();
        let size = bytes.size();
        if size > 0 {
            let start = self.end;
            self.end += size;
            self.pieces.push(Piece {
                start,
                end: self.end,
                bytes,
            });
        }
        size
    }

    /// Returns the offset of the first byte. Pieces are released whole, so it may be less than the released offset.
    pub(super) fn start(&self) -> u64 {
        self.pieces.first().map_or(self.end, |piece| piece.start)
    }

    /// Returns the offset behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Drops the pieces below `up_to`.
    pub(super) fn release(&mut self, up_to: u64) {
        let count = self.pieces.partition_point(|piece| piece.end <= up_to);
        self.pieces.drain(..count);
    }

    /// Returns the bytes from `start` up to `end`; `None` if some were released.
    pub(super) fn slice(&self, start: u64, end: u64) -> Option<Slice> {
        if start < self.start() || end > self.end || start > end {
            return None;
        }
        let first = self.pieces.partition_point(|piece| piece.end <= start);
        let (parts, mut has_files) = (Array::new(), false);
        for piece in self.pieces[first..]
            .iter()
            .take_while(|piece| piece.start < end)
        {
            let from = start.max(piece.start) - piece.start;
            let to = end.min(piece.end) - piece.start;
            parts.push(&piece.bytes.part(from, to)?);
            has_files |= matches!(piece.bytes, Bytes::File(_));
        }
        Some(Slice { parts, has_files })
    }
}
