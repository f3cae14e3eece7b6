//! Recovery of a closed or crashed page's spool.

use std::ops::Range;

use super::facts::{Fact, Facts};

/// File with the beginning of the recording.
pub(crate) const HEAD_FILE: &str = "head";

/// Returns the name of the segment that begins at `start`.
pub(super) fn segment_name(start: u64) -> String {
    format!("s{start:016}")
}

pub(super) fn journal_name(number: u32) -> String {
    format!("j{number:08}")
}

/// Contents of one recording's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecoveredSpool {
    pub(crate) facts: Facts,
    /// Files and the bytes of the recording to take from each, in order and without a gap. The first byte of a range is
    /// the file's first byte.
    pub(crate) segments: Vec<(String, Range<u64>)>,
    /// End of the recording in bytes.
    pub(crate) end: u64,
    /// Length in ms.
    pub(crate) recorded_ms: u64,
    /// Bytes that the server had acknowledged.
    pub(crate) safe: u64,
}

impl RecoveredSpool {
    /// Reads a folder: its files with their sizes, and the texts of its journals, by name. `None` if no journal is
    /// intact; such a folder holds no usable bytes.
    pub(crate) fn read(files: &[(String, u64)], journals: &[(String, String)]) -> Option<Self> {
        let journals = in_order(journals, |(name, _)| name);
        // The newest journal may be torn at its beginning. The one before it then still exists.
        let facts = journals
            .iter()
            .rev()
            .filter_map(|(_, text)| Facts::read(text))
            .find(|it| at(it).is_some())?;
        let [end, recorded_ms, safe] = at(&facts)?;
        let from = facts.number(Fact::From).unwrap_or_default();

        let segments: Vec<_> = files.iter().filter_map(segment).collect();
        let mut kept: Vec<(String, Range<u64>)> = Vec::new();
        let mut wanted = end;
        // From the end backwards: segments that do not reach the next one are not connected to the rest.
        for (name, range) in in_order(&segments, |(_, range)| &range.start)
            .into_iter()
            .rev()
        {
            if range.start >= from && range.start < wanted && range.end >= wanted {
                wanted = range.start;
                kept.push((name.clone(), range.start..range.end.min(end)));
            }
        }
        for i in (1..kept.len()).rev() {
            kept[i].1.end = kept[i - 1].1.start;
        }
        kept.reverse();
        Some(Self {
            facts,
            segments: kept,
            end,
            recorded_ms,
            safe: safe.min(end),
        })
    }

    /// Returns the offset of the first byte on the device; the end if there is none.
    pub(crate) fn start(&self) -> u64 {
        self.segments.first().map_or(self.end, |it| it.1.start)
    }
}

/// Insertion sort, because the items are few and nearly in order. The standard library's sort adds 3 kB of program for
/// each type.
fn in_order<T, K: Ord>(items: &[T], key: impl Fn(&T) -> &K) -> Vec<&T> {
    let mut sorted: Vec<&T> = Vec::with_capacity(items.len());
    for item in items {
        let smaller = sorted.iter().rev().skip_while(|it| key(it) > key(item));
        let at = smaller.count();
        sorted.insert(at, item);
    }
    sorted
}

fn at(facts: &Facts) -> Option<[u64; 3]> {
    let mut numbers = facts.text(Fact::At)?.split(' ').map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some([next()?, next()?, next()?])
}

fn segment((name, size): &(String, u64)) -> Option<(String, Range<u64>)> {
    let start: u64 = name.strip_prefix('s')?.parse().ok()?;
    Some((name.clone(), start..start.checked_add(*size)?))
}
