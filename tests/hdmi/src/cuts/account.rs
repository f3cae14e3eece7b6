//! What the agent has said so far, and when.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::guest::Event;
use crate::report::Report;

/// The books on one recording.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Milliseconds that were said to be durable.
    pub durable_ms: u64,
    /// Bytes of the file that were said to be durable.
    pub durable_bytes: u64,
    begun: Option<Duration>,
    first_picture: Option<Duration>,
    stopped: bool,
    ended: bool,
    spoken: Vec<String>,
}

impl Account {
    /// Whether pictures are taken.
    #[must_use]
    pub fn begun(&self) -> bool {
        self.begun.is_some()
    }

    /// Whether the agent is no more.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// It was told to stop.
    pub fn may_end(&mut self) {
        self.stopped = true;
    }

    /// Takes in what it says, said `at`, by the guest's clock.
    ///
    /// # Errors
    /// When it ends without having been told to, or badly.
    pub fn hear(&mut self, at: Duration, event: &Event) -> Result<()> {
        match event {
            Event::Line(line) => {
                self.line(line);
                match Report::read(line) {
                    Some(Report::Begun { .. }) => self.begun = Some(at),
                    Some(Report::Written { duration_ms, .. }) if duration_ms > 0 => {
                        let length = Duration::from_millis(duration_ms);
                        // What was taken before it was durable was taken no later than this.
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
                    "the agent has ended by itself, exit code {code}: {}",
                    self.spoken.join(" / ")
                )
            }
        }
        Ok(())
    }

    /// Takes in what it had said before the power was cut, but was read later.
    pub fn hear_last(&mut self, last: &[Event]) {
        for event in last {
            if let Event::Line(line) = event {
                self.line(line);
            }
        }
    }

    /// Milliseconds from the first picture, or from the beginning where none is known of, to `cut`.
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
    fn the_first_picture_is_told_from_the_promptest_report() {
        let start = Duration::from_secs(1_795_281_897);
        let after = |ms| start + Duration::from_millis(ms);
        let mut account = Account::default();
        let begun = Event::Line(r#"{"event":"begun","encoder":"x264enc"}"#.to_owned());
        account.hear(after(100), &begun).unwrap();
        assert!(account.begun());
        assert_eq!(account.recorded_ms(after(400)), 300);
        account.hear(after(1000), &written(500)).unwrap();
        account.hear(after(1400), &written(1000)).unwrap();
        account.hear(after(2100), &written(1500)).unwrap();
        assert_eq!(account.recorded_ms(after(2400)), 2000);
        account.hear_last(&[written(2000), Event::Line(r#"{"event":"wri"#.to_owned())]);
        assert_eq!((account.durable_ms, account.durable_bytes), (2000, 20_000));
    }

    #[test]
    fn an_end_must_have_been_asked_for() {
        let now = Duration::from_secs(1);
        let mut account = Account::default();
        account
            .hear(now, &Event::Line("no signal".to_owned()))
            .unwrap();
        let error = account.hear(now, &Event::Ended(0)).unwrap_err();
        assert!(error.to_string().contains("no signal"), "{error}");
        account.may_end();
        account.hear(now, &Event::Ended(0)).unwrap();
        assert!(account.ended());
        assert!(account.hear(now, &Event::Ended(3)).is_err());
    }
}
