//! Positions in addresses (`?t=`) and on the page.

use crate::format;

/// Longest position that an address may have: a hundred days.
const MAX_MS: u64 = 8_640_000_000;

/// Parses the position of an address in milliseconds: `75`, `75.5`, `1m15s`, `1h2m3s`, `01:15`, `1:02:03`.
pub fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let position_ms = if text.contains(':') {
        clock_ms(text)
    } else if text.ends_with(['h', 'm', 's']) {
        units_ms(text)
    } else {
        seconds_ms(text)
    };
    position_ms.filter(|position_ms| *position_ms <= MAX_MS)
}

/// Parses seconds with up to three decimals. Integers keep the parsing of floating-point numbers out of the pages.
fn seconds_ms(text: &str) -> Option<u64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if decimals.len() > 3 {
        return None;
    }
    let missing_digits = 3 - u32::try_from(decimals.len()).ok()?;
    let fraction_ms = number(decimals)? * 10_u64.pow(missing_digits);
    number(whole)?.checked_mul(1000)?.checked_add(fraction_ms)
}

/// Parses digits; signs are refused.
fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

fn clock_ms(text: &str) -> Option<u64> {
    let fields: Vec<_> = text.split(':').collect();
    if fields.len() > 3 {
        return None;
    }
    let mut position_ms: u64 = 0;
    for (index, field) in fields.into_iter().enumerate() {
        let value_ms = seconds_ms(field)?;
        if index > 0 && value_ms >= 60_000 {
            return None;
        }
        position_ms = position_ms.checked_mul(60)?.checked_add(value_ms)?;
    }
    Some(position_ms)
}

fn units_ms(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut position_ms: u64 = 0;
    for (unit, factor) in [('h', 3600), ('m', 60), ('s', 1)] {
        if let Some((value, after)) = rest.split_once(unit) {
            position_ms = position_ms.checked_add(seconds_ms(value)?.checked_mul(factor)?)?;
            rest = after;
        }
    }
    rest.is_empty().then_some(position_ms)
}

/// Value of `?t=` for a position: whole seconds.
pub fn query_value(position_ms: u64) -> String {
    (position_ms / 1000).to_string()
}

/// Position and duration for the controls: `12:40 / 59:59`.
pub fn of_duration(position_ms: u64, duration_ms: u64) -> String {
    let position = format::clock(position_ms.min(duration_ms));
    format!("{position} / {}", format::clock(duration_ms))
}

/// Position and duration for screen readers: `12 minutes 40 seconds of 1 hour`.
pub fn spoken(position_ms: u64, duration_ms: u64) -> String {
    let position = format::duration_words(position_ms.min(duration_ms));
    format!("{position} of {}", format::duration_words(duration_ms))
}

/// Duration without idle spans, of the total: `Active 12:40 of 59:59`.
pub fn active(active_ms: u64, duration_ms: u64) -> String {
    let active = format::clock(active_ms.min(duration_ms));
    format!("Active {active} of {}", format::clock(duration_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation_is_parsed() {
        for (text, expected) in [
            ("0", 0),
            ("75", 75_000),
            ("75.5", 75_500),
            ("0.025", 25),
            ("1:15.5", 75_500),
            ("75s", 75_000),
            ("1m15s", 75_000),
            ("90m", 5_400_000),
            ("1h2m3s", 3_723_000),
            ("1h3s", 3_603_000),
            ("01:15", 75_000),
            ("1:02:03", 3_723_000),
            (" 12 ", 12_000),
        ] {
            assert_eq!(parse(text), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "-5",
            "1e9",
            "NaN",
            "inf",
            "s",
            "1s2m",
            "1m2",
            "1:60",
            ":",
            "1:2:3:4",
            "abc",
            "1.2.3",
            "9999999999",
            "99999999999999999999",
            "18446744073709551h",
            "1.2345",
            ".",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_copied_position_is_parsed_to_the_same_second() {
        assert_eq!(parse(&query_value(75_999)), Some(75_000));
    }

    #[test]
    fn positions_are_at_most_the_duration() {
        assert_eq!(of_duration(760_000, 3_599_000), "12:40 / 59:59");
        assert_eq!(of_duration(5_000, 4_000), "0:04 / 0:04");
        assert_eq!(active(760_000, 3_599_000), "Active 12:40 of 59:59");
        assert_eq!(spoken(75_000, 120_000), "1 minute 15 seconds of 2 minutes");
    }
}
