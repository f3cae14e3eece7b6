//! Last 24 hours of an appliance as segments of a strip.

use sortie_api::ApplianceHistory;

/// State of a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// A recording shows it.
    Recorded {
        /// ID of the recording.
        id: String,
        /// Begin of the recording, Unix time in ms.
        begin_ms: i64,
    },
    /// There was a signal, and no recording.
    Idle,
    /// There was no signal.
    NoSignal,
    /// The recorder did not run, or its history is lost.
    Unknown,
}

/// Part of the strip with one state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Begin, Unix time in ms.
    pub from_ms: i64,
    /// End, Unix time in ms.
    pub to_ms: i64,
    /// State of this time.
    pub kind: SegmentKind,
}

/// The last 24 hours. All times are Unix times in ms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Day {
    /// Begin of the 24 hours.
    pub from_ms: i64,
    /// End of the 24 hours.
    pub to_ms: i64,
    /// Segments without a gap, in order.
    pub segments: Vec<Segment>,
    /// Begin and end of times with dropped frames, and their number.
    pub dropped: Vec<(i64, i64, u64)>,
}

impl Day {
    /// Joins signal and recordings; a recording hides the state of the signal. `parse` converts an RFC 3339 time to Unix
    /// time in ms.
    pub fn new(history: &ApplianceHistory, parse: impl Fn(&str) -> i64) -> Self {
        let (from_ms, to_ms) = (parse(&history.from), parse(&history.to));
        let clip = |ms: i64| ms.clamp(from_ms, to_ms.max(from_ms));
        let signal: Vec<_> = history
            .signal
            .iter()
            .map(|span| {
                (
                    clip(parse(&span.from)),
                    clip(parse(&span.to)),
                    span.has_signal,
                )
            })
            .collect();
        let recordings: Vec<_> = history
            .recordings
            .iter()
            .map(|span| (parse(&span.from), parse(&span.to), &span.id))
            .collect();
        let mut times = vec![clip(from_ms), clip(to_ms)];
        times.extend(signal.iter().flat_map(|(from, to, _)| [*from, *to]));
        times.extend(
            recordings
                .iter()
                .flat_map(|(from, to, _)| [clip(*from), clip(*to)]),
        );
        times.sort_unstable();
        times.dedup();
        let mut segments: Vec<Segment> = Vec::new();
        for pair in times.windows(2) {
            let (from_ms, to_ms) = (pair[0], pair[1]);
            let recorded = recordings[..recordings.partition_point(|(from, ..)| *from <= from_ms)]
                .last()
                .filter(|(_, to, _)| *to > from_ms);
            let signal = signal[..signal.partition_point(|(from, ..)| *from <= from_ms)]
                .last()
                .filter(|(_, to, _)| *to > from_ms);
            let kind = match (recorded, signal) {
                (Some((begin_ms, _, id)), _) => SegmentKind::Recorded {
                    id: (*id).clone(),
                    begin_ms: *begin_ms,
                },
                (None, Some((_, _, true))) => SegmentKind::Idle,
                (None, Some((_, _, false))) => SegmentKind::NoSignal,
                (None, None) => SegmentKind::Unknown,
            };
            match segments.last_mut() {
                Some(last) if last.kind == kind => last.to_ms = to_ms,
                _ => segments.push(Segment {
                    from_ms,
                    to_ms,
                    kind,
                }),
            }
        }
        let dropped = history
            .dropped
            .iter()
            .map(|span| (clip(parse(&span.from)), clip(parse(&span.to)), span.frames));
        Self {
            from_ms,
            to_ms,
            segments,
            dropped: dropped.filter(|(from, to, _)| from < to).collect(),
        }
    }

    /// Returns the share of the strip in front of a time, from 0 to 1.
    pub fn share(&self, ms: i64) -> f64 {
        let length = (self.to_ms - self.from_ms).max(1);
        #[expect(clippy::cast_precision_loss, reason = "at most a day")]
        let share = (ms - self.from_ms) as f64 / length as f64;
        share.clamp(0.0, 1.0)
    }

    /// Returns the time at a share of the strip.
    pub fn at(&self, share: f64) -> i64 {
        #[expect(clippy::cast_precision_loss, reason = "at most a day")]
        let offset = (self.to_ms - self.from_ms) as f64 * share.clamp(0.0, 1.0);
        #[expect(clippy::cast_possible_truncation, reason = "at most a day")]
        let offset = offset as i64;
        self.from_ms + offset
    }

    /// Returns the segment at a time.
    pub fn segment(&self, ms: i64) -> Option<&Segment> {
        let index = self.segments.partition_point(|it| it.from_ms <= ms);
        self.segments[..index].last()
    }

    /// Returns the recorded segment at a time, or the nearest one within `tolerance_ms`, and the time in it.
    pub fn recorded(&self, ms: i64, tolerance_ms: i64) -> Option<(&Segment, i64)> {
        let recorded = (self.segments.iter())
            .filter(|segment| matches!(segment.kind, SegmentKind::Recorded { .. }));
        let distance = |segment: &Segment| match ms {
            _ if ms < segment.from_ms => segment.from_ms - ms,
            _ if ms >= segment.to_ms => ms - segment.to_ms + 1,
            _ => 0,
        };
        let nearest = recorded.min_by_key(|segment| distance(segment))?;
        (distance(nearest) <= tolerance_ms)
            .then(|| (nearest, ms.clamp(nearest.from_ms, nearest.to_ms - 1)))
    }

    /// Returns the begin of the next segment, or of the one before.
    pub fn step(&self, ms: i64, forward: bool) -> i64 {
        let begins = || self.segments.iter().map(|segment| segment.from_ms);
        match forward {
            true => begins().find(|begin| *begin > ms).unwrap_or(ms),
            false => begins().rfind(|begin| *begin < ms).unwrap_or(self.from_ms),
        }
    }

    /// Returns the number of frames dropped in the minute of a time.
    pub fn dropped_at(&self, ms: i64) -> Option<u64> {
        let span = (self.dropped.iter()).find(|(from, to, _)| (*from..*to).contains(&ms));
        span.map(|(_, _, frames)| *frames)
    }
}

impl SegmentKind {
    /// Name of the state.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Recorded { .. } => "Recorded",
            Self::Idle => "Nothing recorded",
            Self::NoSignal => "No signal",
            Self::Unknown => "Unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use sortie_api::{DroppedSpan, RecordedSpan, SignalSpan};

    use super::*;

    fn recorded(id: &str, from: &str, to: &str) -> RecordedSpan {
        RecordedSpan {
            id: id.to_owned(),
            from: from.to_owned(),
            to: to.to_owned(),
            growing: false,
        }
    }

    fn signal(from: &str, to: &str, has_signal: bool) -> SignalSpan {
        SignalSpan {
            from: from.to_owned(),
            to: to.to_owned(),
            has_signal,
        }
    }

    /// Times are numbers here.
    fn day(signal: Vec<SignalSpan>, recordings: Vec<RecordedSpan>) -> Day {
        let history = ApplianceHistory {
            from: "1000".to_owned(),
            to: "2000".to_owned(),
            signal,
            dropped: vec![DroppedSpan {
                from: "1100".to_owned(),
                to: "1160".to_owned(),
                frames: 7,
            }],
            recordings,
        };
        Day::new(&history, |text| text.parse().expect("a number"))
    }

    /// Abbreviates segments: `R` recorded, `i` idle, `n` no signal, `?` unknown.
    fn shown(day: &Day) -> Vec<String> {
        let letter = |kind: &SegmentKind| match kind {
            SegmentKind::Recorded { id, .. } => format!("R{id}"),
            SegmentKind::Idle => "i".to_owned(),
            SegmentKind::NoSignal => "n".to_owned(),
            SegmentKind::Unknown => "?".to_owned(),
        };
        let segments = day.segments.iter();
        segments
            .map(|it| format!("{}-{} {}", it.from_ms, it.to_ms, letter(&it.kind)))
            .collect()
    }

    #[test]
    fn recordings_hide_the_signal_and_gaps_are_unknown() {
        let day = day(
            vec![
                signal("1200", "1500", true),
                signal("1500", "1700", false),
                signal("1700", "2000", true),
            ],
            vec![recorded("a", "1300", "1550"), recorded("b", "1990", "2010")],
        );
        assert_eq!(
            shown(&day),
            [
                "1000-1200 ?",
                "1200-1300 i",
                "1300-1550 Ra",
                "1550-1700 n",
                "1700-1990 i",
                "1990-2000 Rb",
            ]
        );
    }

    #[test]
    fn recording_across_the_begin_keeps_its_own_begin() {
        let day = day(vec![], vec![recorded("a", "500", "1100")]);
        assert_eq!(shown(&day), ["1000-1100 Ra", "1100-2000 ?"]);
        let (segment, at) = day.recorded(1050, 0).expect("recorded");
        assert_eq!(at, 1050);
        assert!(matches!(
            segment.kind,
            SegmentKind::Recorded { begin_ms: 500, .. }
        ));
    }

    #[test]
    fn overlapping_recordings_and_times_outside_are_clipped() {
        let day = day(
            vec![signal("0", "100", true)],
            vec![
                recorded("a", "1000", "1500"),
                recorded("b", "1400", "1600"),
                recorded("c", "9000", "9100"),
            ],
        );
        assert_eq!(shown(&day), ["1000-1400 Ra", "1400-1600 Rb", "1600-2000 ?"]);
    }

    #[test]
    fn clock_that_goes_back_leaves_an_empty_strip() {
        let history = ApplianceHistory {
            from: "2000".to_owned(),
            to: "1000".to_owned(),
            signal: vec![signal("5000", "1", true)],
            dropped: vec![],
            recordings: vec![recorded("a", "3000", "10")],
        };
        let day = Day::new(&history, |text| text.parse().expect("a number"));
        assert_eq!(day.segments, []);
        assert_eq!((day.at(0.5), day.recorded(1, 9)), (1500, None));
    }

    #[test]
    fn short_recording_is_hit_nearby() {
        let day = day(vec![], vec![recorded("a", "1300", "1302")]);
        assert_eq!(day.recorded(1290, 5), None);
        assert_eq!(day.recorded(1296, 5).map(|(_, at)| at), Some(1300));
        assert_eq!(day.recorded(1301, 0).map(|(_, at)| at), Some(1301));
        assert_eq!(day.recorded(1305, 5).map(|(_, at)| at), Some(1301));
    }

    #[test]
    fn steps_go_from_segment_to_segment() {
        let day = day(vec![], vec![recorded("a", "1300", "1302")]);
        assert_eq!(day.step(1000, true), 1300);
        assert_eq!(day.step(1300, true), 1302);
        assert_eq!(day.step(1302, true), 1302);
        assert_eq!(day.step(1302, false), 1300);
        assert_eq!(day.step(1000, false), 1000);
        assert_eq!(day.dropped_at(1100), Some(7));
        assert_eq!(day.dropped_at(1160), None);
    }
}
