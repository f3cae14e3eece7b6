//! What of a recording's spans counts.

use std::cmp::Reverse;
use std::io;

use serde::{Deserialize, Serialize};
use sortie_media::HEAD_ROOM;

use crate::storage::StorageError;
use crate::storage::bucket::state::State;

/// The layout that this program writes.
const VERSION: u32 = 1;
const CHECKPOINT_PREFIX: &str = "excerpts-";

/// A stored format: fields may be added, with a default.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    version: u32,
    /// Who wrote it.
    pub(super) fence: i64,
    /// How long the object was then. Spans of the same holder that continue it count too.
    pub(super) length: u64,
    /// What is in the bucket of parts that are not in the multipart upload; in order, without a gap but for those.
    pub(super) pieces: Vec<Span>,
    /// The checkpoints: from 0, without a gap.
    #[serde(rename = "excerpts")]
    pub(super) checkpoints: Vec<Span>,
    pub(super) state: State,
    /// The object is complete; what is left of this is being removed.
    #[serde(default)]
    pub(super) finished: bool,
}

/// What a span is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Piece,
    Checkpoints,
}

/// An object in the bucket that holds some bytes of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Span {
    pub(super) from: u64,
    pub(super) to: u64,
    /// Whose it is.
    pub(super) fence: i64,
}

impl Span {
    /// Where it is; `folder` is the growing path of its recording.
    pub(super) fn path(&self, kind: Kind, folder: &str) -> String {
        let Self { from, to, fence } = self;
        let kind = match kind {
            Kind::Piece => "",
            Kind::Checkpoints => CHECKPOINT_PREFIX,
        };
        format!("{folder}/{kind}{from:016x}-{to:016x}-{fence:x}")
    }

    /// What has this name.
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
    /// Of a recording that has just begun.
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

    /// The manifest of the next holder, which has found these spans. What its writer put after it counts as long as
    /// it continues the object; whatever came before the last manifest and is not named in it does not.
    pub(super) fn taken_over(mut self, fence: i64, spans: &[(Kind, Span)]) -> Self {
        let mut own: Vec<_> = spans
            .iter()
            .filter(|(kind, span)| *kind == Kind::Piece && span.fence == self.fence)
            .map(|(_, span)| *span)
            .collect();
        // Of two that begin alike the longer one was made of the shorter one and what followed it.
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

    /// Takes out the pieces that only hold what is in the multipart upload.
    pub(super) fn prune(&mut self) -> Vec<Span> {
        let Self { pieces, state, .. } = self;
        let size = state.part_size;
        let sealed = |span: &Span| {
            (span.from / size..=(span.to - 1) / size).all(|part| state.parts.contains_key(&part))
        };
        pieces.extract_if(.., |span| sealed(span)).collect()
    }

    /// Runs of at least so many pieces that begin in the same part: what they span together.
    pub(super) fn crowds(&self, least: usize) -> Vec<(u64, u64)> {
        let size = self.state.part_size;
        let runs = self
            .pieces
            .chunk_by(|one, next| one.to == next.from && one.from / size == next.from / size);
        let crowded = runs.filter(|run| run.len() >= least);
        crowded
            .filter_map(|run| Some((run.first()?.from, run.last()?.to)))
            .collect()
    }

    /// Puts one piece in the place of those that it was made of, which are the answer.
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
    fn names_go_there_and_back() {
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

    /// What is believed of what lies there, when server 2 takes over from server 1.
    #[track_caller]
    fn check(before: Manifest, found: &[Span], length: u64, pieces: &[Span]) {
        let found: Vec<_> = found.iter().map(|span| (Kind::Piece, *span)).collect();
        let after = before.taken_over(9, &found);
        assert_eq!((after.length, after.fence), (length, 9));
        assert_eq!(after.pieces, pieces);
    }

    #[test]
    fn what_continues_the_object_counts() {
        let before = || manifest(5000, &[span(4096, 5000, 1)]);
        let pieces = [
            span(4096, 5000, 1),
            span(5000, 5100, 1),
            span(5100, 5200, 1),
        ];
        check(before(), &pieces[..1], 5000, &pieces[..1]);
        check(before(), &pieces, 5200, &pieces);
        // In whatever order the store lists it.
        check(before(), &[pieces[2], pieces[1]], 5200, &pieces);
        // What was lost in between cannot have been answered; nor can what follows it.
        check(before(), &[pieces[2]], 5000, &pieces[..1]);
    }

    #[test]
    fn what_a_former_holder_put_late_does_not_count() {
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
    fn a_merged_piece_that_was_not_noted_is_as_good_as_its_parts() {
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
    fn what_the_store_has_goes() {
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
        // The first part is never in the store before the end, so the piece that reaches into it stays.
        assert_eq!(manifest.pieces, [pieces[0], pieces[1], pieces[3]]);
    }

    #[test]
    fn many_small_pieces_become_one() {
        let pieces: Vec<_> = (0..30)
            .map(|n| span(9_700 + n * 20, 9_720 + n * 20, 1))
            .collect();
        let mut manifest = manifest(10_300, &pieces);
        assert_eq!(manifest.crowds(16), []);
        assert_eq!(manifest.crowds(15), [(9_700, 10_000), (10_000, 10_300)]);
        assert_eq!(manifest.merge(span(9_700, 10_000, 1)), pieces[..15]);
        assert_eq!(manifest.pieces[0], span(9_700, 10_000, 1));
        assert_eq!(manifest.pieces[1..], pieces[15..]);
    }

    #[test]
    fn another_version_is_refused() -> Result<(), StorageError> {
        let text = manifest(4096, &[]).to_text()?;
        assert!(Manifest::parse(&text).is_ok());
        assert!(Manifest::parse(&text.replace("\"version\":1", "\"version\":2")).is_err());
        assert!(Manifest::parse("{}").is_err());
        Ok(())
    }
}
