//! Days of a list, and ages of recordings.

use sortie_api::Recording;

/// Recordings of one local day, in the order of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Day {
    /// Local date: `2026-11-21`; empty if the list is not grouped.
    pub date: String,
    /// Rows of this day.
    pub rows: Vec<Recording>,
}

/// Groups adjacent rows of the same local date. `date_of` returns the local date of an RFC 3339 time.
pub fn days(rows: &[Recording], date_of: impl Fn(&str) -> String) -> Vec<Day> {
    let mut days: Vec<Day> = Vec::new();
    for row in rows {
        let date = date_of(&row.created_at);
        match days.last_mut() {
            Some(day) if day.date == date => day.rows.push(row.clone()),
            _ => days.push(Day {
                date,
                rows: vec![row.clone()],
            }),
        }
    }
    days
}

/// Formats the age of a recording: `2 h ago`; `None` for a week and more, whose date says more.
pub fn ago(age_ms: i64) -> Option<String> {
    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    Some(match age_ms {
        // The clocks of server and browser differ.
        ..MINUTE => "just now".to_owned(),
        MINUTE..HOUR => format!("{} min ago", age_ms / MINUTE),
        HOUR..DAY => format!("{} h ago", age_ms / HOUR),
        _ if age_ms < 7 * DAY => format!("{} d ago", age_ms / DAY),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use sortie_api::RecordingStatus;

    use super::*;
    use crate::list_page::tests::row;

    #[test]
    fn adjacent_rows_of_one_date_are_grouped() {
        let at = |id: &str, time: &str| Recording {
            created_at: time.to_owned(),
            ..row(id, RecordingStatus::Ready)
        };
        let rows = [
            at("c", "2026-11-30T10:00:00Z"),
            at("b", "2026-11-30T09:00:00Z"),
            at("a", "2026-11-29T09:00:00Z"),
        ];
        let days = days(&rows, |time| time[..10].to_owned());
        let shape: Vec<_> = days
            .iter()
            .map(|day| (day.date.as_str(), day.rows.len()))
            .collect();
        assert_eq!(shape, [("2026-11-30", 2), ("2026-11-29", 1)]);
        assert_eq!(super::days(&rows, |_| String::new()).len(), 1);
        assert_eq!(super::days(&[], |_| String::new()), []);
    }

    #[test]
    fn age_has_one_unit_and_ends_after_a_week() {
        for (age_ms, expected) in [
            (-5_000, Some("just now")),
            (59_999, Some("just now")),
            (60_000, Some("1 min ago")),
            (7_200_000, Some("2 h ago")),
            (86_400_000, Some("1 d ago")),
            (7 * 86_400_000 - 1, Some("6 d ago")),
            (7 * 86_400_000, None),
        ] {
            assert_eq!(ago(age_ms).as_deref(), expected, "{age_ms}");
        }
    }
}
