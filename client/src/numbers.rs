//! Conversion of JavaScript's numbers.

/// Converts a count or time in milliseconds to a whole number; negative numbers become 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, which is meant"
)]
pub(crate) fn whole(number: f64) -> u64 {
    number as u64
}

/// Converts like [`whole`], limited to 32 bits.
#[cfg(target_arch = "wasm32")]
pub(crate) fn saturated(number: f64) -> u32 {
    u32::try_from(whole(number)).unwrap_or(u32::MAX)
}
