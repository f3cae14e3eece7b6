//! Reports of the agent on a recording in progress (`record --json`).

use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// The recording has started.
    Begun { encoder: Option<String> },
    /// This much of the file is durable: it must survive a power cut.
    Written { duration_ms: u64, size_bytes: u64 },
    /// The file is finished, durably.
    Finished { duration_ms: u64, size_bytes: u64 },
    /// An interrupted recording was handled.
    RecoveredFile {
        name: String,
        /// `finished`, or another outcome.
        outcome: String,
    },
}

impl Report {
    /// Parses a line; `None` if it is text for people, incomplete, or irrelevant.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let said: Value = serde_json::from_str(line).ok()?;
        let number = |name: &str| said[name].as_u64();
        let text = |name: &str| Some(said[name].as_str()?.to_owned());
        match said["event"].as_str()? {
            "begun" => Some(Self::Begun {
                encoder: text("encoder"),
            }),
            "written" => Some(Self::Written {
                duration_ms: number("duration_ms")?,
                size_bytes: number("size_bytes")?,
            }),
            "finished" => Some(Self::Finished {
                duration_ms: number("duration_ms")?,
                size_bytes: number("size_bytes")?,
            }),
            "recovered" => Some(Self::RecoveredFile {
                name: text("name")?,
                outcome: text("outcome")?,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Option<Report>) {
        assert_eq!(Report::read(line), expected);
    }

    #[test]
    fn whole_lines_are_parsed_and_others_skipped() {
        let written = r#"{"event":"written","duration_ms":1500,"size_bytes":70000,"dropped":3}"#;
        check(
            written,
            Some(Report::Written {
                duration_ms: 1500,
                size_bytes: 70_000,
            }),
        );
        // Truncated by the power cut.
        check(&written[..written.len() - 1], None);
        check("recording 640x480@60, x264enc; Ctrl-C stops", None);
        check(r#"{"event":"something new"}"#, None);
        check(
            r#"{"event":"recovered","name":"a.mp4","outcome":"finished","duration_ms":5}"#,
            Some(Report::RecoveredFile {
                name: "a.mp4".to_owned(),
                outcome: "finished".to_owned(),
            }),
        );
    }
}
