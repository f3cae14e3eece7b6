//! What the agent says of a recording under way (`record --json`).

use serde_json::Value;

/// One line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// Pictures are taken from now on.
    Begun {
        /// The encoder.
        encoder: Option<String>,
    },
    /// This much of the file is durable: a power cut must not take it away any more.
    Written {
        /// In milliseconds.
        duration_ms: u64,
        /// In bytes.
        size_bytes: u64,
    },
    /// The file is an ordinary one, durably.
    Finished {
        /// In milliseconds.
        duration_ms: u64,
        /// In bytes.
        size_bytes: u64,
    },
    /// A recording that was cut off earlier was dealt with: its name, and how.
    Leftover {
        /// Its name.
        name: String,
        /// `finished`, or what else became of it.
        outcome: String,
    },
}

impl Report {
    /// Reads a line; `None` when it is for people, incomplete, or of no interest here.
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
            "leftover" => Some(Self::Leftover {
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
    fn whole_lines_are_read_and_others_passed_over() {
        let written = r#"{"event":"written","duration_ms":1500,"size_bytes":70000,"dropped":3}"#;
        check(
            written,
            Some(Report::Written {
                duration_ms: 1500,
                size_bytes: 70_000,
            }),
        );
        // Cut off together with the power.
        check(&written[..written.len() - 1], None);
        check("recording 640x480@60, x264enc; Ctrl-C stops", None);
        check(r#"{"event":"something new"}"#, None);
        check(
            r#"{"event":"leftover","name":"a.mp4","outcome":"finished","duration_ms":5}"#,
            Some(Report::Leftover {
                name: "a.mp4".to_owned(),
                outcome: "finished".to_owned(),
            }),
        );
    }
}
