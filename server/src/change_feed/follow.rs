//! Follows the audit log and sends an event for each change.

use std::collections::HashMap;
use std::time::Duration;

use sortie_api::{Appliance, Event, Hello};
use tokio::time::MissedTickBehavior;

use super::changes::{Change, Notices, change_of};
use super::{Events, Notice, Source};
use crate::db::{AuditRow, Database, DatabaseError, RecordingRow};
use crate::uploads::Progress;

/// Poll interval for rows that other servers have added, and for growing recordings.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Rows read by one query.
const BATCH: i64 = 200;

/// Sends events to the listeners until [`Events::shut_down`].
pub(crate) async fn follow(events: Events, database: Database, source: impl Source) {
    let closing = events.0.closing.clone();
    let follower = Follower {
        events,
        notices: Notices { database, source },
        growing: HashMap::new(),
        appliance: None,
    };
    closing.run_until_cancelled(follower.run()).await;
}

struct Follower<S> {
    events: Events,
    notices: Notices<S>,
    /// Rows and last progress of the recordings that this server receives.
    growing: HashMap<String, (RecordingRow, Progress)>,
    /// State of the appliance in the last event.
    appliance: Option<Appliance>,
}

impl<S: Source> Follower<S> {
    async fn run(mut self) {
        let mut wanted = self.events.0.wanted.subscribe();
        loop {
            if wanted.wait_for(|wanted| *wanted).await.is_err() {
                return;
            }
            if let Err(error) = self.while_wanted().await {
                tracing::warn!("the change feed failed and will retry: {error}");
                // Listeners may have missed a change: this event makes them reload.
                self.events.0.followed.send_replace(false);
                tokio::time::sleep(POLL_INTERVAL).await;
                if let Some(notice) = Notice::event(None, None, &Event::Hello(Hello::default())) {
                    self.events.send(notice);
                }
            }
        }
    }

    /// Follows the log until no listener is left.
    async fn while_wanted(&mut self) -> Result<(), DatabaseError> {
        let database = self.notices.database.clone();
        let mut seq = database.audit().head().await?;
        self.events.0.followed.send_replace(true);
        self.growing.clear();
        self.appliance = None;
        let mut tick = tokio::time::interval(POLL_INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.events.stop_if_unused() {
            let audited = database.audit().appended();
            tokio::pin!(audited);
            // Enabled before the query: a row that is added during the query wakes this task.
            audited.as_mut().enable();
            let rows = database.audit().after(seq, BATCH).await?;
            if let Some(last) = rows.last() {
                seq = last.seq;
                self.send_changes(&rows).await?;
            }
            if rows.len() == usize::try_from(BATCH).unwrap_or_default() {
                continue;
            }
            tokio::select! {
                () = audited => {}
                _ = tick.tick() => {
                    self.send_growing().await?;
                    self.send_appliance().await?;
                }
            }
        }
        Ok(())
    }

    /// Sends the current states of the resources that rows are about.
    async fn send_changes(&mut self, rows: &[AuditRow]) -> Result<(), DatabaseError> {
        for row in rows {
            if matches!(
                change_of(row)?,
                Some(Change::Recording | Change::RecordingDeleted)
            ) {
                self.growing.remove(&row.subject);
            }
        }
        let events = self.events.clone();
        let wanted = move |user_id: &str, _: Option<&str>| events.has_listener_for(user_id);
        for notice in self.notices.of_rows(rows, &wanted).await? {
            self.events.send(notice);
        }
        Ok(())
    }

    /// Sends the state of the appliance's recorder if it has changed.
    async fn send_appliance(&mut self) -> Result<(), DatabaseError> {
        let now = self.notices.source.appliance();
        if now == self.appliance {
            return Ok(());
        }
        self.appliance.clone_from(&now);
        if let (Some(now), Some(owner)) = (
            now,
            self.notices.database.users().first_administrator().await?,
        ) {
            let event = Event::Appliance(Box::new(now));
            if let Some(mut notice) = Notice::event(Some(owner), None, &event) {
                notice.admins_only = true;
                self.events.send(notice);
            }
        }
        Ok(())
    }

    async fn send_recording(&self, row: RecordingRow) -> Result<(), DatabaseError> {
        let events = self.events.clone();
        let wanted = move |user_id: &str, _: Option<&str>| events.has_listener_for(user_id);
        if let Some(notice) = self.notices.of_recording(row, &wanted).await? {
            self.events.send(notice);
        }
        Ok(())
    }

    /// Sends the recordings that have grown since the last call.
    async fn send_growing(&mut self) -> Result<(), DatabaseError> {
        let now = self.notices.source.growing();
        let mut known = std::mem::take(&mut self.growing);
        for (id, progress) in now {
            let row = match known.remove(&id) {
                Some((row, before)) => {
                    if before != progress {
                        self.send_recording(row.clone()).await?;
                    }
                    row
                }
                None => match self.notices.database.recordings().get(&id).await? {
                    Some(row) if row.status.is_open() => {
                        self.send_recording(row.clone()).await?;
                        row
                    }
                    _ => continue,
                },
            };
            self.growing.insert(id, (row, progress));
        }
        Ok(())
    }
}
