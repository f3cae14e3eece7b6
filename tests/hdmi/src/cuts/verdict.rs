//! Comparison of a survivor with the agent's promises.

use std::fmt;

use crate::clip::Clip;
use crate::disk::{Fate, Loss};

/// Players round to the container's time scale.
const ROUNDING_MS: u64 = 2;

/// Result of one cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// From 1; part of the recording's name.
    pub number: u64,
    pub fate: Fate,
    pub loss: Loss,
    /// Whether the agent had just been told to stop.
    pub stopping: bool,
    /// Duration from the first frame to the cut.
    pub recorded_ms: u64,
    /// Duration that the agent had reported as durable.
    pub durable_ms: u64,
    /// Bytes that the agent had reported as durable.
    pub durable_bytes: u64,
    pub survivor: Option<Survivor>,
}

/// File that was found after the cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    pub size_bytes: u64,
    /// Content of the file, or the reason why it cannot be played.
    pub clip: Result<Clip, String>,
}

impl Row {
    fn survived_ms(&self) -> u64 {
        match &self.survivor {
            Some(Survivor { clip: Ok(clip), .. }) => clip.duration_ms,
            _ => 0,
        }
    }

    /// Duration that is lost, in ms.
    #[must_use]
    pub fn lost_ms(&self) -> u64 {
        self.recorded_ms.saturating_sub(self.survived_ms())
    }
}

/// Heading of a table of cuts.
pub const HEADING: &str =
    "cut    cache          sectors cached/lost    recorded     durable    survived        lost  ms";

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fate = match self.fate {
            Fate::Lost => "lost".to_owned(),
            Fate::Kept => "kept".to_owned(),
            Fate::Torn(percent) => format!("{percent} % kept"),
        };
        let Loss { cached, lost } = self.loss;
        write!(
            f,
            "{:>3}    {fate:<12} {:>20} {:>11} {:>11} {:>11} {:>11}{}",
            self.number,
            format!("{cached}/{lost}"),
            self.recorded_ms,
            self.durable_ms,
            self.survived_ms(),
            self.lost_ms(),
            if self.stopping {
                "  while stopping"
            } else {
                ""
            }
        )
    }
}

/// Lists the broken promises: durable bytes were lost, the file cannot be played, or more than `limit_ms` is missing.
#[must_use]
pub fn faults(row: &Row, limit_ms: u64) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |what: String| faults.push(format!("cut {}: {what}", row.number));
    match &row.survivor {
        None if row.durable_ms > 0 => {
            fault(format!(
                "{} ms were durable, and there is no file",
                row.durable_ms
            ));
        }
        None => {}
        Some(Survivor {
            clip: Err(error), ..
        }) => fault(error.clone()),
        Some(Survivor {
            clip: Ok(clip),
            size_bytes,
        }) => {
            if clip.duration_ms + ROUNDING_MS < row.durable_ms {
                fault(format!(
                    "{} ms were durable, {} ms are left",
                    row.durable_ms, clip.duration_ms
                ));
            }
            if *size_bytes < row.durable_bytes {
                fault(format!(
                    "{} bytes were durable, {size_bytes} are left",
                    row.durable_bytes
                ));
            }
        }
    }
    // The time of the first frame is unknown before the first report.
    if row.durable_ms > 0 && !row.stopping && row.lost_ms() > limit_ms {
        fault(format!(
            "{} ms are lost, more than {limit_ms}",
            row.lost_ms()
        ));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Row = Row {
        number: 7,
        fate: Fate::Torn(40),
        loss: Loss {
            cached: 30,
            lost: 12,
        },
        stopping: false,
        recorded_ms: 5000,
        durable_ms: 4500,
        durable_bytes: 90_000,
        survivor: None,
    };

    fn survivor(duration_ms: u64, size_bytes: u64) -> Option<Survivor> {
        let clip = Clip {
            width: 640,
            height: 480,
            frames: duration_ms / 20,
            duration_ms,
        };
        Some(Survivor {
            size_bytes,
            clip: Ok(clip),
        })
    }

    #[track_caller]
    fn check(row: Row, expected: &[&str]) {
        assert_eq!(faults(&row, 1000), expected);
    }

    #[test]
    fn survivor_within_the_promises_has_no_fault() {
        check(
            Row {
                survivor: survivor(4500, 91_000),
                ..ROW
            },
            &[],
        );
        // The container's clock differs from the guest's.
        check(
            Row {
                survivor: survivor(4499, 91_000),
                ..ROW
            },
            &[],
        );
        check(
            Row {
                durable_ms: 0,
                durable_bytes: 0,
                ..ROW
            },
            &[],
        );
        // Frames after the stop do not count.
        check(
            Row {
                recorded_ms: 9000,
                stopping: true,
                survivor: survivor(4600, 95_000),
                ..ROW
            },
            &[],
        );
    }

    #[test]
    fn broken_promises_are_listed() {
        check(
            ROW,
            &[
                "cut 7: 4500 ms were durable, and there is no file",
                "cut 7: 5000 ms are lost, more than 1000",
            ],
        );
        check(
            Row {
                survivor: survivor(4400, 91_000),
                ..ROW
            },
            &["cut 7: 4500 ms were durable, 4400 ms are left"],
        );
        check(
            Row {
                survivor: survivor(4500, 89_999),
                ..ROW
            },
            &["cut 7: 90000 bytes were durable, 89999 are left"],
        );
        check(
            Row {
                recorded_ms: 5501,
                survivor: survivor(4500, 91_000),
                ..ROW
            },
            &["cut 7: 1001 ms are lost, more than 1000"],
        );
        let damaged = Some(Survivor {
            size_bytes: 95_000,
            clip: Err("it does not play".to_owned()),
        });
        check(
            Row {
                stopping: true,
                survivor: damaged,
                ..ROW
            },
            &["cut 7: it does not play"],
        );
    }

    #[test]
    fn table_row_aligns_with_its_heading() {
        let row = Row {
            survivor: survivor(4600, 95_000),
            ..ROW
        };
        assert_eq!(
            format!("{HEADING}\n{row}"),
            "cut    cache          sectors cached/lost    recorded     durable    survived        lost  ms\n  \
             7    40 % kept                   30/12        5000        4500        4600         400"
        );
    }
}
