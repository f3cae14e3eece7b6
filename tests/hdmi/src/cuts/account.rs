//! Reports of the agent so far, with their times.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::guest::Event;
use crate::report::Report;

/// Progress of one recording according to the agent.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Duration reported as durable, in ms.
    pub durable_ms: u64,
    /// Bytes of the file reported as durable.
    pub durable_bytes: u64,
    begun: Option<Duration>,
    first_picture: Option<Duration>,
    stopped: bool,
    ended: bool,
    spoken: Vec<String>,
}

impl Account {
    /// Whether a recording is in progress.
    #[must_use]
    pub fn begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Whether the agent has ended.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Permits the agent to end.
    pub fn may_end(&mut self) {
        self.stopped = true;
    }

    /// Handles a report at the guest's time `at`.
    ///
    /// # Errors
    /// The agent ends unexpectedly or with a failure.
    pub fn handle_report(&mut self, at: Duration, event: &Event) -> Result<()> {
        match event {
            Event::Line(line) => {
                self.line(line);
                match Report::read(line) {
                    Some(Report::Begun { .. }) => self.begun = Some(at),
                    Some(Report::Written { duration_ms, .. }) if duration_ms > 0 => {
                        let length = Duration::from_millis(duration_ms);
                        // The first frame was captured at this time at the latest.
                        let first = at.saturating_sub(length);
                        self.first_picture =
                            Some(self.first_picture.map_or(first, |known| known.min(first)));
                    }
                    _ => {}
                }
            }
            Event::Ended(0) if self.stopped => self.ended = true,
            Event::Ended(code) => {
                bail!(
                    "the agent has ended unexpectedly, exit code {code}: {}",
                    self.spoken.join(" / ")
                )
            }
        }
        Ok(())
    }

    /// Handles reports from before the power cut that were read later.
    pub fn handle_late_reports(&mut self, last: &[Event]) {
        for event in last {
            if let Event::Line(line) = event {
                self.line(line);
            }
        }
    }

    /// Duration from the first frame, or from the start if unknown, to `cut`, in ms.
    #[must_use]
    pub fn recorded_ms(&self, cut: Duration) -> u64 {
        let first = self.first_picture.or(self.begun).unwrap_or(cut);
        u64::try_from(cut.saturating_sub(first).as_millis()).unwrap_or(u64::MAX)
    }

    fn line(&mut self, line: &str) {
        match Report::read(line) {
            Some(
                Report::Written {
                    duration_ms,
                    size_bytes,
                }
                | Report::Finished {
                    duration_ms,
                    size_bytes,
                },
            ) => {
                self.durable_ms = self.durable_ms.max(duration_ms);
                self.durable_bytes = self.durable_bytes.max(size_bytes);
            }
            Some(_) => {}
            None => self.spoken.push(line.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(ms: u64) -> Event {
        Event::Line(format!(
            r#"{{"event":"written","duration_ms":{ms},"size_bytes":{}}}"#,
            ms * 10
        ))
    }

    #[test]
    fn first_frame_time_comes_from_promptest_report() {
        let start = Duration::from_secs(1_795_281_897);
        let after = |ms| start + Duration::from_millis(ms);
        let mut account = Account::default();
        let begun = Event::Line(r#"{"event":"begun","encoder":"x264enc"}"#.to_owned());
        account.handle_report(after(100), &begun).unwrap();
        assert!(account.begun());
        assert_eq!(account.recorded_ms(after(400)), 300);
        account.handle_report(after(1000), &written(500)).unwrap();
        account.handle_report(after(1400), &written(1000)).unwrap();
        account.handle_report(after(2100), &written(1500)).unwrap();
        assert_eq!(account.recorded_ms(after(2400)), 2000);
        account.handle_late_reports(&[written(2000), Event::Line(r#"{"event":"wri"#.to_owned())]);
        assert_eq!((account.durable_ms, account.durable_bytes), (2000, 20_000));
    }

    #[test]
    fn unrequested_end_is_an_error() {
        let now = Duration::from_secs(1);
        let mut account = Account::default();
        account
            .handle_report(now, &Event::Line("no signal".to_owned()))
            .unwrap();
        let error = account.handle_report(now, &Event::Ended(0)).unwrap_err();
        assert!(error.to_string().contains("no signal"), "{error}");
        account.may_end();
        account.handle_report(now, &Event::Ended(0)).unwrap();
        assert!(account.ended());
        assert!(account.handle_report(now, &Event::Ended(3)).is_err());
    }
}
