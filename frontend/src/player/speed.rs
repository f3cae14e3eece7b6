//! Playback speeds in percent. Integers keep the formatting of floating-point numbers out of the pages.

/// Speeds that the player offers.
pub const SPEEDS: [u32; 8] = [50, 75, 100, 125, 150, 200, 300, 400];

/// Speed unless the user has chosen another.
pub const NORMAL: u32 = 100;

/// Returns the next faster speed; the fastest stays.
pub fn faster(speed: u32) -> u32 {
    let next = SPEEDS.into_iter().find(|offered| *offered > speed);
    next.unwrap_or(SPEEDS[SPEEDS.len() - 1])
}

/// Returns the next slower speed; the slowest stays.
pub fn slower(speed: u32) -> u32 {
    let next = SPEEDS.into_iter().rev().find(|offered| *offered < speed);
    next.unwrap_or(SPEEDS[0])
}

/// Parses a stored or selected speed; `None` unless the player offers it.
pub fn parse(text: &str) -> Option<u32> {
    let speed: u32 = text.parse().ok()?;
    SPEEDS.contains(&speed).then_some(speed)
}

/// Label of a speed: `1.25×`.
pub fn label(speed: u32) -> String {
    let (whole, hundredths) = (speed / 100, speed % 100);
    match (hundredths, hundredths % 10) {
        (0, _) => format!("{whole}×"),
        (_, 0) => format!("{whole}.{}×", hundredths / 10),
        _ => format!("{whole}.{hundredths:02}×"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_stop_at_the_ends() {
        assert_eq!((slower(100), faster(100)), (75, 125));
        assert_eq!((slower(50), faster(400)), (50, 400));
    }

    #[test]
    fn only_offered_speeds_are_parsed() {
        assert_eq!(parse("150"), Some(150));
        for text in ["", "1.5", "1600", "NaN", "-100", "fast"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn labels_have_no_needless_digits() {
        let labels = SPEEDS.map(label).join(" ");
        assert_eq!(labels, "0.5× 0.75× 1× 1.25× 1.5× 2× 3× 4×");
    }
}
