//! Conversion of times.

const SECOND_NS: i128 = 1_000_000_000;
/// Largest time: sums of a few of them do not overflow.
const LATEST: i128 = 1 << 61;

/// Converts nanoseconds to a timescale, rounded to nearest. Times before 0 become 0.
pub(super) fn units(ns: i64, timescale: u32) -> u64 {
    let units = (i128::from(ns) * i128::from(timescale) + SECOND_NS / 2).div_euclid(SECOND_NS);
    u64::try_from(units.clamp(0, LATEST)).unwrap_or(0)
}

/// Converts nanoseconds to milliseconds, rounded up.
pub(super) fn milliseconds(ns: u64) -> u64 {
    ns.div_ceil(1_000_000)
}

/// Returns the distance of two times as a 32-bit number, at most its largest value.
pub(super) fn distance(from: u64, to: u64) -> u32 {
    u32::try_from(to.saturating_sub(from)).unwrap_or(u32::MAX)
}
