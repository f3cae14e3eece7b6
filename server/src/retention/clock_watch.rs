//! Clock watch: compares the clocks by a [`ClockGuard`], stores the trusted time, and reports doubts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sortie_api::{ClockDoubt, ClockHold};

use super::clock_guard::{ClockGuard, Doubt, Reading, believed_absence_ms};
use crate::clock::{Clock, rfc3339};
use crate::db::{Action, Actor, AuditEvent, Database, DatabaseError};

/// Interval at which the trusted wall time is stored.
const WRITE_EVERY: Duration = Duration::from_secs(60);

/// Decides whether automatic deletions may use the wall clock.
pub(crate) struct ClockWatch {
    database: Database,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    guard: ClockGuard,
    doubt: Option<Doubt>,
    /// Whether the doubt was written to the log and the audit log.
    told: bool,
    /// Monotonic reading at which the trusted time was stored.
    written: Option<Duration>,
    /// Trusted wall time last read from the database while in doubt.
    read_ms: Option<i64>,
}

impl ClockWatch {
    /// Creates the watch with the state of the previous run.
    pub(crate) async fn open(
        database: Database,
        clock: Arc<dyn Clock>,
        retention_days: u32,
    ) -> Result<Self, DatabaseError> {
        let last_ms = database.settings().last_trusted_time().await?;
        let absence_ms = believed_absence_ms(retention_days);
        let guard = ClockGuard::new(last_ms, absence_ms, clock.monotonic());
        let watch = Self {
            database,
            clock,
            state: Mutex::new(State {
                guard,
                doubt: None,
                told: false,
                written: None,
                read_ms: last_ms,
            }),
        };
        match (watch.doubt(), last_ms) {
            (None, _) => watch.write().await?,
            // From here on, the audit log contains rows with times in doubt.
            (Some(_), Some(last_ms)) => watch.database.settings().set_trusted_time(last_ms).await?,
            (Some(_), None) => {}
        }
        Ok(watch)
    }

    /// Whether deletions may use the wall clock now. Reads both clocks each time.
    pub(crate) fn is_trusted(&self) -> bool {
        self.doubt().is_none()
    }

    /// Returns the doubt that stops deletions now, with a sentence for administrators.
    pub(crate) fn hold(&self) -> Option<ClockHold> {
        let doubt = self.doubt()?;
        let (kind, by_ms) = match doubt {
            Doubt::Ahead(by_ms) => (ClockDoubt::Ahead, by_ms),
            Doubt::Behind(by_ms) => (ClockDoubt::Behind, by_ms),
        };
        Some(ClockHold {
            doubt: kind,
            seconds: by_ms.unsigned_abs() / 1000,
            now: rfc3339(self.clock.now_ms()),
            message: message(doubt),
        })
    }

    /// Reads the clocks and reports the beginning and the end of a doubt; call it every few seconds.
    pub(crate) async fn tick(&self) {
        if let Err(error) = self.try_tick().await {
            tracing::warn!("the state of the clock cannot be stored: {error}");
        }
    }

    async fn try_tick(&self) -> Result<(), DatabaseError> {
        if self.doubt().is_some() {
            self.compare_with_replicas().await?;
        }
        let doubt = self.doubt();
        let was_told = self.state().told;
        let actor = Actor::system();
        match doubt {
            Some(doubt) if !was_told => {
                let detail = message(doubt);
                tracing::error!("{detail}");
                self.state().told = true;
                let event = AuditEvent::done(&actor, Action::ClockHold, "clock").detail(&detail);
                self.database
                    .audit()
                    .append(self.clock.now_ms(), &event)
                    .await?;
            }
            None if was_told => {
                tracing::warn!("the clock is trusted again; automatic deletion continues");
                self.state().told = false;
                let event = AuditEvent::done(&actor, Action::ClockResume, "clock");
                self.database
                    .audit()
                    .append(self.clock.now_ms(), &event)
                    .await?;
            }
            _ => {}
        }
        if doubt.is_none() {
            self.write().await?;
        }
        Ok(())
    }

    /// Confirms the wall clock for an administrator.
    pub(crate) async fn confirm(&self, actor: &Actor) -> Result<(), DatabaseError> {
        let now = self.reading();
        let event = AuditEvent::done(actor, Action::ClockConfirm, "clock");
        self.database
            .settings()
            .set_trusted_time(now.wall_ms)
            .await?;
        self.database.audit().append(now.wall_ms, &event).await?;
        let mut state = self.state();
        state.guard.trust(now);
        state.doubt = None;
        state.told = false;
        state.written = Some(now.monotonic);
        state.read_ms = Some(now.wall_ms);
        Ok(())
    }

    fn doubt(&self) -> Option<Doubt> {
        let mut state = self.state();
        // Under the lock, so that readings are in order.
        let now = self.reading();
        state.doubt = state.guard.observe(now);
        state.doubt
    }

    /// Another server on the same database may trust the time that this one doubts, after a confirmation there.
    async fn compare_with_replicas(&self) -> Result<(), DatabaseError> {
        let trusted_ms = self.database.settings().trusted_time().await?;
        let mut state = self.state();
        if trusted_ms == state.read_ms {
            return Ok(());
        }
        state.read_ms = trusted_ms;
        let now = self.reading();
        if trusted_ms.is_some_and(|trusted_ms| ClockGuard::agrees(now, trusted_ms)) {
            state.guard.trust(now);
        }
        Ok(())
    }

    /// Stores the trusted time at a shutdown, so that only the absence has to be accepted next time.
    pub(crate) async fn close(&self) {
        if !self.is_trusted() {
            return;
        }
        self.state().written = None;
        if let Err(error) = self.write().await {
            tracing::warn!("the state of the clock cannot be stored: {error}");
        }
    }

    /// Stores the trusted time once a minute.
    async fn write(&self) -> Result<(), DatabaseError> {
        let now = self.reading();
        let written = self.state().written;
        if written.is_some_and(|written| now.monotonic.saturating_sub(written) < WRITE_EVERY) {
            return Ok(());
        }
        self.database
            .settings()
            .set_trusted_time(now.wall_ms)
            .await?;
        let mut state = self.state();
        state.written = Some(now.monotonic);
        state.read_ms = Some(now.wall_ms);
        Ok(())
    }

    fn reading(&self) -> Reading {
        Reading {
            wall_ms: self.clock.now_ms(),
            monotonic: self.clock.monotonic(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // The state is always valid, so a poisoned lock is harmless.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn message(doubt: Doubt) -> String {
    let (by_ms, direction) = match doubt {
        Doubt::Ahead(by_ms) => (by_ms, "ahead of"),
        Doubt::Behind(by_ms) => (by_ms, "behind"),
    };
    format!(
        "The server's clock is {} {direction} the time it should show, so nothing is deleted automatically. Set the \
         clock right, or confirm that it is.",
        span(by_ms.unsigned_abs() / 1000)
    )
}

/// Formats a duration in the largest fitting unit.
fn span(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_names_the_difference_and_what_to_do() {
        let message = message(Doubt::Ahead(400 * 24 * 60 * 60 * 1000));
        assert!(message.starts_with("The server's clock is 400 days ahead of"));
        for (seconds, text) in [
            (60, "1 minute"),
            (3_600, "60 minutes"),
            (7_200, "2 hours"),
            (172_800, "2 days"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
