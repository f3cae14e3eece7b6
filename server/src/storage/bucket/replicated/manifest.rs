//! Manifest of a shared recording: the spans in the bucket that count.

use std::cmp::Reverse;
use std::io;

use serde::{Deserialize, Serialize};
use sortie_media::HEAD_ROOM;

use crate::storage::StorageError;
use crate::storage::bucket::state::State;

/// Version of the manifest format.
const VERSION: u32 = 1;
const CHECKPOINT_PREFIX: &str = "excerpts-";

/// A persistent format: fields may be added, with a default.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    version: u32,
    /// Fencing token of its writer.
    pub(super) fence: i64,
    /// Length of the object when the manifest was written. Later spans with the same fencing token that continue it
    /// count too.
    pub(super) length: u64,
    /// Spans of parts that are not in the multipart upload; ordered, with gaps only for uploaded parts.
    pub(super) pieces: Vec<Span>,
    /// Spans of the checkpoint file; from 0, without gaps.
    #[serde(rename = "excerpts")]
    pub(super) checkpoints: Vec<Span>,
    pub(super) state: State,
    /// The object is complete; its spans are being removed.
    #[serde(default)]
    pub(super) finished: bool,
}

/// Content of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Piece,
    Checkpoints,
}

/// An object in the bucket with a byte range of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Fencing token of its writer.
    pub(super) fence: i64,
}

impl Span {
    /// Returns its path; `folder` is the growing path of the recording.
    pub(super) fn path(&self, kind: Kind, folder: &str) -> String {
        let Self { from, to, fence } = self;
        let kind = match kind {
            Kind::Piece => "",
            Kind::Checkpoints => CHECKPOINT_PREFIX,
        };
        format!("{folder}/{kind}{from:016x}-{to:016x}-{fence:x}")
    }

    /// Parses the name of a span.
    pub(super) fn of_name(name: &str) -> Option<(Kind, Self)> {
        let (kind, numbers) = match name.strip_prefix(CHECKPOINT_PREFIX) {
            Some(numbers) => (Kind::Checkpoints, numbers),
            None => (Kind::Piece, name),
        };
        let mut numbers = numbers.split('-');
        let mut number = || u64::from_str_radix(numbers.next()?, 16).ok();
        let (from, to, fence) = (number()?, number()?, number()?);
        let fence = i64::try_from(fence).ok()?;
        (numbers.next().is_none() && from < to).then_some((kind, Self { from, to, fence }))
    }
}

impl Manifest {
    /// Returns the manifest of a new recording.
    pub(super) fn new(state: State) -> Self {
        Self {
            version: VERSION,
            fence: 1,
            length: HEAD_ROOM,
            pieces: Vec::new(),
            checkpoints: Vec::new(),
            state,
            finished: false,
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, StorageError> {
        let manifest: Self = serde_json::from_str(text).map_err(io::Error::other)?;
        if manifest.version != VERSION || manifest.state.part_size == 0 {
            return Err(StorageError::Io(io::Error::other(format!(
                "a manifest was written by another version ({})",
                manifest.version
            ))));
        }
        Ok(manifest)
    }

    pub(super) fn to_text(&self) -> Result<String, StorageError> {
        Ok(serde_json::to_string(self).map_err(io::Error::other)?)
    }

    /// Returns the manifest of the next holder, which has listed `spans`. Spans that the former holder wrote after its
    /// manifest count if they continue the object. Older spans that the manifest does not list do not count.
    pub(super) fn taken_over(mut self, fence: i64, spans: &[(Kind, Span)]) -> Self {
        let mut own: Vec<_> = spans
            .iter()
            .filter(|(kind, span)| *kind == Kind::Piece && span.fence == self.fence)
            .map(|(_, span)| *span)
            .collect();
        // Of two spans with the same start the longer one is a merge of the shorter one and its successors.
        own.sort_by_key(|span| (span.from, Reverse(span.to)));
        for span in own {
            if span.from == self.length {
                self.length = span.to;
                self.pieces.push(span);
            }
        }
        self.fence = fence;
        self
    }

    /// Removes and returns the pieces whose bytes are all in the multipart upload.
    pub(super) fn prune(&mut self) -> Vec<Span> {
        let Self { pieces, state, .. } = self;
        let size = state.part_size;
        let sealed = |span: &Span| {
            (span.from / size..=(span.to - 1) / size).all(|part| state.parts.contains_key(&part))
        };
        pieces.extract_if(.., |span| sealed(span)).collect()
    }

    /// Returns the ranges of runs of at least `least` contiguous pieces that begin in the same part.
    pub(super) fn mergeable(&self, least: usize) -> Vec<(u64, u64)> {
        let size = self.state.part_size;
        let runs = self
            .pieces
            .chunk_by(|one, next| one.to == next.from && one.from / size == next.from / size);
        let long = runs.filter(|run| run.len() >= least);
        long.filter_map(|run| Some((run.first()?.from, run.last()?.to)))
            .collect()
    }

    /// Replaces the pieces that `merged` covers; returns them.
    pub(super) fn merge(&mut self, merged: Span) -> Vec<Span> {
        let within = |span: &Span| span.from >= merged.from && span.to <= merged.to;
        let parts: Vec<_> = self.pieces.extract_if(.., |span| within(span)).collect();
        let at = self.pieces.partition_point(|span| span.from < merged.from);
        self.pieces.insert(at, merged);
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: u64, to: u64, fence: i64) -> Span {
        Span { from, to, fence }
    }

    fn manifest(length: u64, pieces: &[Span]) -> Manifest {
        Manifest {
            length,
            pieces: pieces.to_vec(),
            ..Manifest::new(State::new(10_000))
        }
    }

    #[test]
    fn span_names_round_trip() {
        for kind in [Kind::Piece, Kind::Checkpoints] {
            let span = span(4096, 1 << 40, 77);
            let path = span.path(kind, "recordings/id.part");
            let name = path.strip_prefix("recordings/id.part/");
            assert_eq!(name.and_then(Span::of_name), Some((kind, span)), "{path}");
        }
        for name in [
            "",
            "1-2",
            "2-2-1",
            "1-2-3-4",
            "x-2-1",
            "excerpts-1-2",
            "1-2--3",
        ] {
            assert_eq!(Span::of_name(name), None, "{name:?}");
        }
    }

    /// Checks the manifest of server 9 after it has listed `found`.
    #[track_caller]
    fn check(before: Manifest, found: &[Span], length: u64, pieces: &[Span]) {
        let found: Vec<_> = found.iter().map(|span| (Kind::Piece, *span)).collect();
        let after = before.taken_over(9, &found);
        assert_eq!((after.length, after.fence), (length, 9));
        assert_eq!(after.pieces, pieces);
    }

    #[test]
    fn spans_that_continue_the_object_count() {
        let before = || manifest(5000, &[span(4096, 5000, 1)]);
        let pieces = [
            span(4096, 5000, 1),
            span(5000, 5100, 1),
            span(5100, 5200, 1),
        ];
        check(before(), &pieces[..1], 5000, &pieces[..1]);
        check(before(), &pieces, 5200, &pieces);
        // In any listing order.
        check(before(), &[pieces[2], pieces[1]], 5200, &pieces);
        // Bytes behind a gap were never acknowledged.
        check(before(), &[pieces[2]], 5000, &pieces[..1]);
    }

    #[test]
    fn late_spans_of_former_holder_do_not_count() {
        let mut before = manifest(5000, &[span(4096, 5000, 1)]);
        before.fence = 2;
        check(
            before,
            &[
                span(4096, 5000, 1),
                span(5000, 6000, 1),
                span(5000, 5001, 2),
            ],
            5001,
            &[span(4096, 5000, 1), span(5000, 5001, 2)],
        );
    }

    #[test]
    fn unrecorded_merge_replaces_its_pieces() {
        let before = manifest(4096, &[]);
        let found = [
            span(4096, 5000, 1),
            span(5000, 6000, 1),
            span(4096, 6000, 1),
            span(6000, 6001, 1),
        ];
        check(before, &found, 6001, &[found[2], found[3]]);
    }

    #[test]
    fn uploaded_pieces_are_pruned() {
        let pieces = [
            span(4096, 9_000, 1),
            span(9_000, 11_000, 1),
            span(11_000, 20_000, 1),
            span(20_000, 20_001, 1),
        ];
        let mut manifest = manifest(20_001, &pieces);
        assert_eq!(manifest.prune(), []);
        manifest.state.parts.insert(1, "etag".to_owned());
        assert_eq!(manifest.prune(), [pieces[2]]);
        // The first part is held back until the finish, so the piece that reaches into it stays.
        assert_eq!(manifest.pieces, [pieces[0], pieces[1], pieces[3]]);
    }

    #[test]
    fn small_pieces_are_merged() {
        let pieces: Vec<_> = (0..30)
            .map(|n| span(9_700 + n * 20, 9_720 + n * 20, 1))
            .collect();
        let mut manifest = manifest(10_300, &pieces);
        assert_eq!(manifest.mergeable(16), []);
        assert_eq!(manifest.mergeable(15), [(9_700, 10_000), (10_000, 10_300)]);
        assert_eq!(manifest.merge(span(9_700, 10_000, 1)), pieces[..15]);
        assert_eq!(manifest.pieces[0], span(9_700, 10_000, 1));
        assert_eq!(manifest.pieces[1..], pieces[15..]);
    }

    #[test]
    fn manifest_of_another_version_is_refused() -> Result<(), StorageError> {
        let text = manifest(4096, &[]).to_text()?;
        assert!(Manifest::parse(&text).is_ok());
        assert!(Manifest::parse(&text.replace("\"version\":1", "\"version\":2")).is_err());
        assert!(Manifest::parse("{}").is_err());
        Ok(())
    }
}
