//! Texts of the health row: frame rate, dropped frames, remaining time, central server.

use sortie_api::{Forwarding, Space};

use super::{about_hours, rate, whole};

/// Formats the measured frame rate: `59.9 fps`; a dash while nothing is recorded.
pub fn frame_rate(measured_fps: Option<f64>) -> String {
    match measured_fps {
        Some(fps) => {
            #[expect(clippy::cast_precision_loss, reason = "a frame rate")]
            let tenths = whole(fps * 10.0) as f64 / 10.0;
            format!("{} fps", rate(tenths))
        }
        None => "–".to_owned(),
    }
}

/// Explains the number of dropped frames a minute: how many there were, and which part is too slow.
pub fn dropped_details(total: u64, by_disk: u64) -> String {
    let plural = if total == 1 { "" } else { "s" };
    match (total, by_disk) {
        (0, _) => "No frame was dropped since the recorder was started.".to_owned(),
        (_, 0) => format!(
            "{total} frame{plural} dropped since the recorder was started, because the encoder was too slow."
        ),
        _ if by_disk >= total => format!(
            "{total} frame{plural} dropped since the recorder was started, because the disk was too slow."
        ),
        _ => format!(
            "{total} frame{plural} dropped since the recorder was started, {by_disk} of them because the disk was too \
             slow, the others because the encoder was."
        ),
    }
}

/// Returns the remaining recording time and what happens at its end.
pub fn time_left(space: &Space, threshold_percent: Option<u8>) -> (String, String) {
    match (space.hours_to_threshold, threshold_percent) {
        (Some(hours), Some(percent)) if hours < space.hours_left => {
            let then = match hours > 0.0 {
                true => format!(
                    "{} until the oldest recordings are deleted, above {percent} % disk usage.",
                    about_hours(hours)
                ),
                false => format!("The oldest recordings are deleted above {percent} % disk usage."),
            };
            (about_hours(space.hours_left), then)
        }
        _ => (
            about_hours(space.hours_left),
            "Then recording stops, because the disk is full.".to_owned(),
        ),
    }
}

/// Describes how far the central server is behind. `since`: local time since which finished recordings wait.
pub fn central_server(now: &Forwarding, is_recording: bool, since: Option<&str>) -> String {
    // The growing recording is sent while it grows.
    let behind = match now.behind_since {
        Some(_) => now.waiting.saturating_sub(u64::from(is_recording)).max(1),
        None => 0,
    };
    let mut parts = Vec::new();
    if now.unreachable {
        parts.push("Unreachable".to_owned());
    }
    if behind > 0 {
        let plural = if behind == 1 { "" } else { "s" };
        let since = since.map(|since| format!(" since {since}"));
        parts.push(format!(
            "{behind} recording{plural} behind{}",
            since.unwrap_or_default()
        ));
    }
    for (count, what) in [(now.different, "different there"), (now.refused, "refused")] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    match parts.is_empty() {
        true => "Up to date".to_owned(),
        false => parts.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_rate_has_one_decimal_place() {
        for (fps, expected) in [
            (None, "–"),
            (Some(59.94), "59.9 fps"),
            (Some(60.04), "60 fps"),
            (Some(0.0), "0 fps"),
        ] {
            assert_eq!(frame_rate(fps), expected);
        }
    }

    #[test]
    fn dropped_frames_name_the_part_that_is_too_slow() {
        assert!(dropped_details(0, 0).starts_with("No frame"));
        assert!(dropped_details(1, 0).starts_with("1 frame dropped"));
        assert!(dropped_details(9, 9).contains("because the disk"));
        assert!(dropped_details(9, 2).contains("2 of them because the disk"));
    }

    #[test]
    fn time_left_says_what_happens_then() {
        let mut space = Space {
            used_bytes: 1,
            free_bytes: 1,
            hours_left: 52.0,
            hours_to_threshold: None,
        };
        let (left, then) = time_left(&space, None);
        assert_eq!(left, "About 52 hours");
        assert!(then.contains("stops"));
        space.hours_to_threshold = Some(20.0);
        let (_, then) = time_left(&space, Some(80));
        assert!(
            then.starts_with("About 20 hours until the oldest"),
            "{then}"
        );
        space.hours_to_threshold = Some(0.0);
        let (_, then) = time_left(&space, Some(80));
        assert!(
            then.starts_with("The oldest recordings are deleted"),
            "{then}"
        );
    }

    #[test]
    fn central_server_is_up_to_date_behind_or_unreachable() {
        let mut now = Forwarding {
            waiting: 1,
            ..Forwarding::default()
        };
        // Only the growing recording is incomplete there.
        assert_eq!(central_server(&now, true, None), "Up to date");
        now.waiting = 3;
        now.behind_since = Some("2026-12-02T14:02:00Z".to_owned());
        let text = |now: &Forwarding, records| central_server(now, records, Some("14:02"));
        assert_eq!(text(&now, true), "2 recordings behind since 14:02");
        assert_eq!(text(&now, false), "3 recordings behind since 14:02");
        now.unreachable = true;
        assert_eq!(
            text(&now, false),
            "Unreachable, 3 recordings behind since 14:02"
        );
        now = Forwarding {
            different: 1,
            refused: 2,
            ..Forwarding::default()
        };
        assert_eq!(text(&now, false), "1 different there, 2 refused");
    }
}
