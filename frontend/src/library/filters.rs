//! Values of the filters, as the page's address has them.

/// Periods: key in the address, label, and days before today at whose start they begin.
pub const DATES: [(&str, &str, i32); 3] = [
    ("today", "Today", 0),
    ("7d", "Last 7 days", 6),
    ("30d", "Last 30 days", 29),
];

/// Key of a period that begins and ends at the dates `from` and `to`.
pub const RANGE: &str = "range";

/// Durations: key in the address, label, and the server's `min_seconds` and `max_seconds`.
pub const LENGTHS: [(&str, &str, &str, &str); 4] = [
    ("1", "Under 1 min", "", "60"),
    ("10", "1 to 10 min", "60", "600"),
    ("60", "10 to 60 min", "600", "3600"),
    ("more", "Over 1 hour", "3600", ""),
];

/// Sources: value of the server, and label.
pub const SOURCES: [(&str, &str); 7] = [
    ("tab", "Tab"),
    ("window", "Window"),
    ("screen", "Screen"),
    ("camera", "Camera"),
    ("canvas", "Canvas"),
    ("hdmi", "HDMI"),
    ("file", "File"),
];

/// Returns the days before today at whose start a period begins; `None` for an unknown key.
pub fn days_back(key: &str) -> Option<i32> {
    let found = DATES.iter().find(|(known, ..)| *known == key)?;
    Some(found.2)
}

/// Returns the server's `min_seconds` and `max_seconds` for a key of the address; empty for an unknown one.
pub fn length(key: &str) -> (&'static str, &'static str) {
    let found = LENGTHS.iter().find(|(known, ..)| *known == key);
    found.map_or(("", ""), |(_, _, min, max)| (*min, *max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_do_not_filter() {
        assert_eq!(days_back("7d"), Some(6));
        assert_eq!(days_back("today"), Some(0));
        assert_eq!(days_back(RANGE), None);
        assert_eq!(length("10"), ("60", "600"));
        assert_eq!(length("more"), ("3600", ""));
        assert_eq!(length("x"), ("", ""));
    }
}
