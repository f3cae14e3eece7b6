//! What part of a file is asked for: `Range` (RFC 9110, section 14.2).

use std::ops::Range;

/// More ranges than this in one request are nobody's player: the field is ignored then, as section 14.2 allows.
const MOST_RANGES: usize = 16;
/// Ranges with a smaller gap between them become one: a part of its own costs more than the gap
/// (section 15.3.7.2).
const GAP: u64 = 80;

/// What part of a file is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) enum Wanted {
    /// All of it.
    Whole,
    /// One range, not empty.
    One(Range<u64>),
    /// Two or more, in the order of the request; none is empty, no two touch.
    Several(Vec<Range<u64>>),
    /// Nothing that is there.
    Unsatisfiable,
}

/// One element of the list.
#[derive(Clone, Copy, Debug)]
enum Spec {
    /// From here to there, both included.
    From(u64, Option<u64>),
    /// The last so many bytes.
    Last(u64),
}

/// Reads `Range` for a file of `size` bytes. What is malformed, of another unit or of too many ranges is ignored.
pub(in crate::http) fn wanted(range: &str, size: u64) -> Wanted {
    let Some(specs) = specs(range) else {
        return Wanted::Whole;
    };
    let satisfiable = specs.into_iter().filter_map(|spec| in_file(spec, size));
    let mut ranges = coalesced(satisfiable);
    match (ranges.pop(), ranges.is_empty()) {
        (None, _) => Wanted::Unsatisfiable,
        (Some(only), true) => Wanted::One(only),
        (Some(last), false) => {
            ranges.push(last);
            Wanted::Several(ranges)
        }
    }
}

/// The elements of the list (section 14.1.1); empty ones do not count (section 5.6.1.2).
fn specs(range: &str) -> Option<Vec<Spec>> {
    let (unit, list) = range.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let elements = list
        .split(',')
        .map(|element| element.trim_matches([' ', '\t']));
    let mut specs = Vec::new();
    for element in elements.filter(|element| !element.is_empty()) {
        if specs.len() == MOST_RANGES {
            return None;
        }
        specs.push(spec(element)?);
    }
    (!specs.is_empty()).then_some(specs)
}

fn spec(element: &str) -> Option<Spec> {
    let (first, last) = element.split_once('-')?;
    if first.is_empty() {
        return number(last).map(Spec::Last);
    }
    let first = number(first)?;
    if last.is_empty() {
        return Some(Spec::From(first, None));
    }
    let last = number(last)?;
    (first <= last).then_some(Spec::From(first, Some(last)))
}

fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A number too large for us is larger than any file.
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

/// The bytes that are meant, if there are any.
fn in_file(spec: Spec, size: u64) -> Option<Range<u64>> {
    let range = match spec {
        Spec::From(first, last) => {
            let end = last.map_or(size, |last| last.saturating_add(1).min(size));
            first..end
        }
        Spec::Last(count) => size.saturating_sub(count)..size,
    };
    (!range.is_empty()).then_some(range)
}

/// Joins what overlaps or nearly touches; what is left keeps the place of its first mention.
fn coalesced(ranges: impl Iterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for mut range in ranges {
        let mut place = joined.len();
        while let Some(at) = joined.iter().position(|known| touch(known, &range)) {
            let known = joined.remove(at);
            range = known.start.min(range.start)..known.end.max(range.end);
            place = place.min(at);
        }
        joined.insert(place.min(joined.len()), range);
    }
    joined
}

fn touch(one: &Range<u64>, two: &Range<u64>) -> bool {
    one.start <= two.end.saturating_add(GAP) && two.start <= one.end.saturating_add(GAP)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(range: &str, size: u64, expected: Wanted) {
        assert_eq!(wanted(range, size), expected, "{range} of {size}");
    }

    #[test]
    fn one_range() {
        check("bytes=0-0", 10, Wanted::One(0..1));
        check("bytes=2-5", 10, Wanted::One(2..6));
        check("BYTES=2-5", 10, Wanted::One(2..6));
        check("bytes=2-", 10, Wanted::One(2..10));
        check("bytes=0-", 10, Wanted::One(0..10));
        check("bytes=2-99999999999999999999999", 10, Wanted::One(2..10));
        check("bytes=-3", 10, Wanted::One(7..10));
        check("bytes=-30", 10, Wanted::One(0..10));
        check("bytes=, 2-5 ,,", 10, Wanted::One(2..6));
        check("bytes=10-", 10, Wanted::Unsatisfiable);
        check("bytes=-0", 10, Wanted::Unsatisfiable);
        check("bytes=0-", 0, Wanted::Unsatisfiable);
        check("bytes=99999999999999999999999-", 10, Wanted::Unsatisfiable);
    }

    #[test]
    fn several_ranges() {
        let several = |ranges: &[Range<u64>]| Wanted::Several(ranges.to_vec());
        check("bytes=0-99,500-599", 1000, several(&[0..100, 500..600]));
        check("bytes=500-599,0-99", 1000, several(&[500..600, 0..100]));
        check("bytes=0-0\t, -1", 1000, several(&[0..1, 999..1000]));
        // What is not there is left out, as long as something is.
        check("bytes=0-99,2000-,-0", 1000, Wanted::One(0..100));
        check("bytes=1000-,-0", 1000, Wanted::Unsatisfiable);
        // Overlapping, touching, nearly touching, in any order, one over a gap between two others.
        check("bytes=0-99,50-149", 1000, Wanted::One(0..150));
        check("bytes=100-199,0-99", 1000, Wanted::One(0..200));
        check("bytes=0-99,180-299", 1000, Wanted::One(0..300));
        check("bytes=0-99,181-299", 1000, several(&[0..100, 181..300]));
        check(
            "bytes=0-99,900-,400-499,150-850",
            1000,
            Wanted::One(0..1000),
        );
        check(
            "bytes=900-,0-99,300-399,100-150",
            1000,
            several(&[900..1000, 0..151, 300..400]),
        );
    }

    #[test]
    fn what_is_no_range_is_ignored() {
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
            check(range, 10, Wanted::Whole);
        }
    }

    #[test]
    fn no_more_than_so_many() {
        let list = |count: u64| {
            let ranges: Vec<_> = (0..count).map(|at| format!("{0}-{0}", at * 1000)).collect();
            format!("bytes={}", ranges.join(","))
        };
        assert!(
            matches!(wanted(&list(16), 1 << 20), Wanted::Several(ranges) if ranges.len() == 16)
        );
        check(&list(17), 1 << 20, Wanted::Whole);
        check(&list(100_000), 1 << 20, Wanted::Whole);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn exactly_what_was_asked_for_but_for_small_gaps(
            asked in prop::collection::vec((0u64..3000, 0u64..500), 1..=16), size in 1u64..4000,
        ) {
            let list: Vec<_> = asked.iter().map(|(first, more)| format!("{first}-{}", first + more)).collect();
            let ranges = match wanted(&format!("bytes={}", list.join(",")), size) {
                Wanted::Whole => return Err(TestCaseError::fail("it is well-formed")),
                Wanted::One(range) => vec![range],
                Wanted::Several(ranges) => ranges,
                Wanted::Unsatisfiable => Vec::new(),
            };
            let inside = |at: u64| ranges.iter().filter(|range| range.contains(&at)).count();
            for at in 0..size {
                let wanted = asked.iter().any(|(first, more)| (*first..=first + more).contains(&at));
                prop_assert!(inside(at) <= 1, "byte {} twice", at);
                prop_assert!(!wanted || inside(at) == 1, "byte {} is missing", at);
            }
            prop_assert!(ranges.iter().all(|range| range.start < range.end && range.end <= size));
            prop_assert_eq!(ranges.is_empty(), asked.iter().all(|(first, _)| *first >= size));
        }

        #[test]
        fn anything_at_all(text in "\\PC*", size in any::<u64>()) {
            let _ = wanted(&text, size);
            let _ = wanted(&format!("bytes={text}"), size);
        }
    }
}
