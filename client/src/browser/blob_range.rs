//! Bytes that the server has not acknowledged, as blobs.

use std::ops::Range;

use js_sys::Array;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Blob;

use super::object::{blob, slice};
use crate::numbers::whole;

/// Range of bytes that grows at its end and is released at its beginning. Blobs lie outside the WebAssembly memory, and
/// those of files outside any memory.
#[derive(Debug, Default)]
pub(super) struct BlobRange {
    pieces: Vec<Piece>,
    end: u64,
}

#[derive(Debug)]
struct Piece {
    start: u64,
    end: u64,
    blob: Blob,
}

impl BlobRange {
    /// Creates an empty range at `start`.
    pub(super) fn starting_at(start: u64) -> Self {
        Self {
            pieces: Vec::new(),
            end: start,
        }
    }

    /// Replaces all blobs within `range` by one with the same bytes.
    pub(super) fn replace(&mut self, range: &Range<u64>, blob: Blob) {
        let is_within = |it: &Piece| it.start >= range.start && it.end <= range.end;
        let first = self.pieces.partition_point(|it| it.start < range.start);
        let count = self.pieces[first..]
            .iter()
            .take_while(|it| is_within(it))
            .count();
        let whole = count > 0
            && self.pieces[first].start == range.start
            && self.pieces[first + count - 1].end == range.end
            && whole(blob.size()) == range.end - range.start;
        if whole {
            let (start, end) = (range.start, range.end);
            self.pieces[first] = Piece { start, end, blob };
            self.pieces.drain(first + 1..first + count);
        }
    }

    /// Appends a chunk and returns its size in bytes.
    pub(super) fn push(&mut self, blob: Blob) -> u64 {
        let size = whole(blob.size());
        if size > 0 {
            let start = self.end;
            self.end += size;
            self.pieces.push(Piece {
                start,
                end: self.end,
                blob,
            });
        }
        size
    }

    /// Returns the offset of the first byte. Blobs are released whole, so it may be less than the released offset.
    pub(super) fn start(&self) -> u64 {
        self.pieces.first().map_or(self.end, |piece| piece.start)
    }

    /// Returns the offset behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Drops the blobs below `up_to`.
    pub(super) fn release(&mut self, up_to: u64) {
        let count = self.pieces.partition_point(|piece| piece.end <= up_to);
        self.pieces.drain(..count);
    }

    /// Returns the bytes from `start` up to `end` as one blob; `None` if some were released. With an empty `mime_type`
    /// the blob may have any: an existing blob costs nothing, a new one a call to another process.
    pub(super) fn slice(&self, start: u64, end: u64, mime_type: &str) -> Option<Blob> {
        if start < self.start() || end > self.end || start > end {
            return None;
        }
        let first = self.pieces.partition_point(|piece| piece.end <= start);
        let parts = Array::new();
        for piece in self.pieces[first..]
            .iter()
            .take_while(|piece| piece.start < end)
        {
            let from = start.max(piece.start) - piece.start;
            let to = end.min(piece.end) - piece.start;
            let is_whole = from == 0 && to == whole(piece.blob.size());
            parts.push(&if is_whole {
                piece.blob.clone().into()
            } else {
                JsValue::from(slice(&piece.blob, from, to)?)
            });
        }
        if mime_type.is_empty() && parts.length() == 1 {
            return Some(parts.get(0).unchecked_into());
        }
        blob(&parts, mime_type)
    }
}
