//! Required recordings: reports running sessions whose recording is required and missing.

mod policy;

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Config;
use crate::db::{Actor, Database, DatabaseError};
use crate::metrics::Metrics;
use crate::uploads::Uploads;
use policy::{Alarm, MissingPolicy, Observation};

/// Watches the sessions whose recording is required.
pub(crate) struct RequiredRecordings {
    database: Database,
    uploads: Uploads,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    policy: MissingPolicy,
}

impl RequiredRecordings {
    pub(crate) fn new(
        database: Database,
        uploads: Uploads,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        config: &Config,
    ) -> Self {
        Self {
            database,
            uploads,
            clock,
            metrics,
            policy: MissingPolicy::new(config.recording_missing),
        }
    }

    /// Reports what has changed since the last call.
    pub(crate) async fn tick(&mut self) {
        if let Err(error) = self.check().await {
            tracing::warn!("cannot check required recordings, will try again: {error}");
        }
    }

    async fn check(&mut self) -> Result<(), DatabaseError> {
        let observations = self.observe().await?;
        let (now, schedule) = (self.clock.monotonic(), self.clock.schedule());
        let alarms = self.policy.observe(now, schedule, &observations);
        let mut missing = observations.iter().filter(|it| it.is_missing).count();
        let (sessions, actor) = (self.database.sessions(), Actor::system());
        for (session, alarm) in alarms {
            let now_ms = self.clock.now_ms();
            match alarm {
                Alarm::Missing { quiet, resumes } => {
                    let quiet_ms = i64::try_from(quiet.as_millis()).unwrap_or(i64::MAX);
                    let since_ms = now_ms.saturating_sub(quiet_ms);
                    if sessions
                        .set_missing(&session, since_ms, resumes, &actor, now_ms)
                        .await?
                    {
                        tracing::warn!(session, "a required recording is missing");
                        self.metrics.recording_missing();
                    }
                    missing += 1;
                }
                Alarm::Resumed => {
                    if sessions.set_resumed(&session, &actor, now_ms).await? {
                        tracing::info!(session, "a required recording is back");
                        self.metrics.recording_resumed();
                    }
                    missing = missing.saturating_sub(1);
                }
            }
        }
        self.metrics.sessions_missing(missing);
        Ok(())
    }

    /// Returns the state of all running sessions whose recording is required.
    async fn observe(&self) -> Result<Vec<Observation>, DatabaseError> {
        let mut observations: Vec<Observation> = Vec::new();
        for row in self.database.sessions().required().await? {
            if observations
                .last()
                .is_none_or(|last| last.session != row.session_id)
            {
                observations.push(Observation {
                    session: row.session_id,
                    is_missing: row.is_missing,
                    resumes: row.resumes,
                    recordings: Vec::new(),
                });
            }
            if let (Some((id, stored)), Some(last)) = (row.recording, observations.last_mut()) {
                // The row has more bytes if another server receives the recording.
                let here = self
                    .uploads
                    .progress(&id)
                    .map(|progress| progress.size_bytes);
                last.recordings
                    .push((id, here.unwrap_or_default().max(stored)));
            }
        }
        Ok(observations)
    }
}
