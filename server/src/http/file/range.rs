//! Range requests (RFC 9110, section 14.2).
//!
//! `Range` of the crate `headers` does not distinguish a malformed header (ignored) from an unsatisfiable one (416),
//! and rejects a suffix longer than the file, which players send for small files.

use std::ops::Range;

/// Part of a file that a request selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) enum Selection {
    Whole,
    /// Range of bytes, which is not empty.
    Part(Range<u64>),
    Unsatisfiable,
}

/// Evaluates `Range` for a file of `size` bytes. A malformed header, another unit and more than one range are ignored,
/// as section 14.2 permits.
pub(in crate::http) fn select(range: &str, size: u64) -> Selection {
    match parse(range, size) {
        None => Selection::Whole,
        Some(range) if range.is_empty() => Selection::Unsatisfiable,
        Some(range) => Selection::Part(range),
    }
}

/// Returns the bytes of the only range; empty if it lies outside of the file.
fn parse(range: &str, size: u64) -> Option<Range<u64>> {
    let (unit, list) = range.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    // Empty elements of a list do not count (section 5.6.1.2).
    let elements = list.split(',').map(|it| it.trim_matches([' ', '\t']));
    let mut elements = elements.filter(|element| !element.is_empty());
    let (first, last) = elements.next()?.split_once('-')?;
    if elements.next().is_some() {
        return None;
    }
    if first.is_empty() {
        return Some(size.saturating_sub(number(last)?)..size);
    }
    let first = number(first)?;
    if last.is_empty() {
        return Some(first..size);
    }
    let last = number(last)?;
    (first <= last).then(|| first..last.saturating_add(1).min(size))
}

/// A number beyond `u64` is larger than any file.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(range: &str, size: u64, expected: Selection) {
        assert_eq!(select(range, size), expected, "{range} of {size}");
    }

    #[test]
    fn single_range_is_clipped_to_the_file() {
        check("bytes=0-0", 10, Selection::Part(0..1));
        check("bytes=2-5", 10, Selection::Part(2..6));
        check("BYTES=2-5", 10, Selection::Part(2..6));
        check("bytes=2-", 10, Selection::Part(2..10));
        check("bytes=0-", 10, Selection::Part(0..10));
        check(
            "bytes=2-99999999999999999999999",
            10,
            Selection::Part(2..10),
        );
        check("bytes=-3", 10, Selection::Part(7..10));
        check("bytes=-30", 10, Selection::Part(0..10));
        check("bytes=, 2-5 ,,", 10, Selection::Part(2..6));
        check("bytes=10-", 10, Selection::Unsatisfiable);
        check("bytes=-0", 10, Selection::Unsatisfiable);
        check("bytes=0-", 0, Selection::Unsatisfiable);
        check(
            "bytes=99999999999999999999999-",
            10,
            Selection::Unsatisfiable,
        );
    }

    #[test]
    fn several_ranges_are_ignored() {
        check("bytes=0-99,500-599", 1000, Selection::Whole);
        check("bytes=0-0\t, -1", 1000, Selection::Whole);
    }

    #[test]
    fn malformed_range_is_ignored() {
        for range in [
            "bytes=5-2",
            "bytes=-",
            "bytes=",
            "bytes=,",
            "bytes=a-b",
            "bytes=1 - 2",
            "bytes=--1",
            "bytes=+1-2",
            "bytes=0-1,5-2",
            "bytes=0-1;3-4",
            "chapters=1-2",
            "bytes 0-1",
            "",
        ] {
            check(range, 10, Selection::Whole);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn arbitrary_text_does_not_panic(text in "\\PC*", size in any::<u64>()) {
            let _ = select(&text, size);
            let _ = select(&format!("bytes={text}"), size);
        }
    }
}
