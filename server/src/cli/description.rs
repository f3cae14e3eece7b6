//! Sentences about a recording.

use std::fmt::Write;
use std::ops::Range;

use sortie_media::{ActivitySummary, Container, Report, Track, TrackKind};

/// Number of ranges listed individually.
const NAMED: usize = 5;

/// Describes a recording's contents, one sentence per line.
pub(super) fn contents(report: &Report) -> String {
    let container = match report.container {
        Some(Container::WebM) => "a WebM",
        Some(Container::Matroska) => "a Matroska",
        _ => "an MP4",
    };
    let mut text = format!(
        "This is {container} recording of {} with {}.\n",
        duration(report.duration_ms),
        count(report.tracks.len() as u64, "track"),
    );
    for one in &report.tracks {
        let _ = writeln!(text, "  Track {}: {}.", one.number, track(one));
    }
    let stats = &report.frame_stats;
    if stats.frames > 0 {
        let _ = write!(
            text,
            "The main track has {}, {} of them {}",
            count(stats.frames, "frame"),
            grouped(stats.keyframes),
            if stats.keyframes == 1 {
                "a keyframe"
            } else {
                "keyframes"
            }
        );
        let video = |track: &Track| track.kind == TrackKind::Video;
        if stats.keyframes > 1 && report.tracks.iter().any(video) {
            let _ = write!(
                text,
                ", {} apart on the average and {} at most",
                duration(stats.keyframe_distance_ms),
                duration(stats.longest_keyframe_distance_ms)
            );
        }
        text += ".\n";
    }
    if stats.gap_count > 0 {
        let times = stats.gaps_ms.iter().map(|&(from, to)| from..to);
        let _ = writeln!(
            text,
            "Two seconds or more without a frame: {}.",
            ranges(times, stats.gap_count, duration)
        );
    }
    text
}

/// Describes how much of the recording is active.
pub(super) fn activity(activity: &ActivitySummary) -> String {
    let spans = activity.idle_ms.len() as u64;
    if spans == 0 {
        return String::new();
    }
    let idle = activity.idle_ms.iter().map(|&(from, to)| from..to);
    format!(
        "The picture changes for {}. Nothing happens in {}: {}.\n",
        duration(activity.active_ms),
        count(spans, "span"),
        ranges(idle, spans, duration)
    )
}

/// Describes problems; empty without any.
pub(super) fn problems(report: &Report) -> String {
    let mut text = String::new();
    let damage = &report.damage;
    if damage.count > 0 {
        let places = ranges(damage.ranges.iter().cloned(), damage.count, |at| {
            grouped(at)
        });
        let _ = writeln!(
            text,
            "Damaged and passed over: {} in {} (at byte {places}).",
            count(damage.bytes, "byte"),
            count(damage.count, "place"),
        );
    }
    if report.data_behind_end {
        text += "It goes on behind its own end, where players may stop.\n";
    }
    if report.torn_bytes > 0 {
        let _ = writeln!(
            text,
            "The end is incomplete: the last {} belong to no complete frame or index.",
            count(report.torn_bytes, "byte")
        );
    }
    if report.missing_bytes > 0 {
        let _ = writeln!(
            text,
            "According to its own front matter, {} are missing at the end.",
            count(report.missing_bytes, "byte")
        );
    }
    text
}

fn track(track: &Track) -> String {
    let mut text = match track.kind {
        TrackKind::Video => format!("video, {}, {}×{}", track.codec, track.width, track.height),
        TrackKind::Audio => format!(
            "sound, {}, {} Hz, {}",
            track.codec,
            grouped(u64::from(track.sample_rate_hz)),
            count(u64::from(track.channels), "channel")
        ),
        _ => format!("other data, {}", track.codec),
    };
    if let Some(language) = &track.language {
        text += ", language ";
        text += language;
    }
    // Codecs and languages come from the sender and must not move a terminal's cursor.
    text.replace(char::is_control, "?")
}

fn ranges(
    ranges: impl Iterator<Item = Range<u64>>,
    count: u64,
    word: impl Fn(u64) -> String,
) -> String {
    let mut named: Vec<_> = ranges
        .take(NAMED)
        .map(|range| format!("{} to {}", word(range.start), word(range.end)))
        .collect();
    let more = count.saturating_sub(named.len() as u64);
    if more > 0 {
        named.push(format!("and {} more", grouped(more)));
    }
    named.join(", ")
}

/// Formats a count: "1 frame", "1,234 frames".
pub(super) fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(number))
}

/// Formats a number with thousands separators.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a duration: "40 ms", "4.2 s", "3:04 min", "1:02:03 h".
pub(super) fn duration(ms: u64) -> String {
    let (seconds, minutes, hours) = (ms / 1000 % 60, ms / 60_000 % 60, ms / 3_600_000);
    match (hours, ms / 60_000) {
        (0, 0) if ms < 1000 => format!("{ms} ms"),
        (0, 0) => format!("{seconds}.{} s", ms / 100 % 10),
        (0, _) => format!("{minutes}:{seconds:02} min"),
        _ => format!("{hours}:{minutes:02}:{seconds:02} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_are_formatted() {
        assert_eq!(count(1, "frame"), "1 frame");
        assert_eq!(count(0, "frame"), "0 frames");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(duration(40), "40 ms");
        assert_eq!(duration(4250), "4.2 s");
        assert_eq!(duration(184_000), "3:04 min");
        assert_eq!(duration(3_723_000), "1:02:03 h");
    }

    #[test]
    fn long_list_of_ranges_is_shortened() {
        let list = (0..9).map(|n| n..n + 1);
        let text = ranges(list, 20, |n| n.to_string());
        assert!(text.starts_with("0 to 1, 1 to 2"), "{text}");
        assert!(text.ends_with("4 to 5, and 15 more"), "{text}");
    }
}
