//! Follows the audit log and sends an event for each change.

use std::collections::HashMap;
use std::time::Duration;

use sortie_api::{Appliance, AuditResult, DeletedRecording, DeletedSession, Event, LiveSettings};
use tokio::time::MissedTickBehavior;

use super::{Events, Kind, Notice, Source};
use crate::db::{Action, AuditRow, Database, DatabaseError, RecordingRow, UploadKind};
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
        database,
        source,
        growing: HashMap::new(),
        appliance: None,
    };
    closing.run_until_cancelled(follower.run()).await;
}

struct Follower<S> {
    events: Events,
    database: Database,
    source: S,
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
                self.send(None, None, &Event::Hello);
            }
        }
    }

    /// Follows the log until no listener is left.
    async fn while_wanted(&mut self) -> Result<(), DatabaseError> {
        let database = self.database.clone();
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
            for row in &rows {
                seq = row.seq;
                self.send_change(row).await?;
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

    /// Sends the current state of the resource that a row is about.
    async fn send_change(&mut self, row: &AuditRow) -> Result<(), DatabaseError> {
        // The reuse of a refresh token is denied, but has ended the sign-in.
        if row.result()? != AuditResult::Ok && row.action != Action::TokenReuse.name() {
            return Ok(());
        }
        match row.action.as_str() {
            action if action == Action::SignInEnd.name() || action == Action::TokenReuse.name() => {
                self.events.send(Notice {
                    user_id: Some(row.subject.clone()),
                    admins_only: false,
                    session_id: None,
                    kind: Kind::SignInEnded,
                });
            }
            action if action == Action::TokenRevoke.name() => self.events.send(Notice {
                user_id: None,
                admins_only: false,
                session_id: None,
                kind: Kind::TokenRevoked {
                    id: row.subject.clone(),
                },
            }),
            // No change.
            "recording.view" | "recording.download" => {}
            "recording.gone" => {
                self.growing.remove(&row.subject);
                // The row is deleted; the detail contains the owner.
                let id = row.subject.clone();
                let event = Event::RecordingDeleted(DeletedRecording { id });
                self.send(Some(row.detail.clone()), None, &event);
            }
            // About a session.
            "recording.missing" | "recording.resumed" => self.send_session(&row.subject).await?,
            action if action.starts_with("recording.") => {
                if let Some(recording) = self.database.recordings().get(&row.subject).await? {
                    self.growing.remove(&row.subject);
                    let part_of = recording.part_of.clone();
                    self.send_recording(recording).await?;
                    // The first part has the list of parts, which has changed too.
                    if let Some(first) = part_of
                        && let Some(first) = self.database.recordings().get(&first).await?
                    {
                        self.send_recording(first).await?;
                    }
                }
            }
            "session.delete" => {
                let id = row.subject.clone();
                let event = Event::SessionDeleted(DeletedSession { id: id.clone() });
                self.send(Some(row.detail.clone()), Some(id), &event);
            }
            action if action.starts_with("session.") => self.send_session(&row.subject).await?,
            "settings.change" => {
                let recording_auto_record = self.database.settings().auto_record().await?;
                let event = Event::Settings(LiveSettings {
                    recording_auto_record,
                });
                self.send(None, None, &event);
            }
            // The user's roles may have changed, or the user is disabled.
            action if action.starts_with("user.") => self.events.send(Notice {
                user_id: Some(row.subject.clone()),
                admins_only: false,
                session_id: None,
                kind: Kind::AccessChanged,
            }),
            _ => {}
        }
        Ok(())
    }

    /// Sends the state of the appliance's recorder if it has changed.
    async fn send_appliance(&mut self) -> Result<(), DatabaseError> {
        let now = self.source.appliance().await;
        if now == self.appliance {
            return Ok(());
        }
        self.appliance.clone_from(&now);
        if let (Some(now), Some(owner)) = (now, self.database.users().first_administrator().await?)
        {
            let event = Event::Appliance(Box::new(now));
            if let Some(mut notice) = notice(Some(owner), None, &event) {
                notice.admins_only = true;
                self.events.send(notice);
            }
        }
        Ok(())
    }

    async fn send_session(&self, id: &str) -> Result<(), DatabaseError> {
        if let Some(session) = self.database.sessions().get(id).await? {
            let session = self.source.session(session).await?;
            let (user_id, id) = (session.user_id.clone(), session.id.clone());
            self.send(Some(user_id), Some(id), &Event::Session(Box::new(session)));
        }
        Ok(())
    }

    async fn send_recording(&self, row: RecordingRow) -> Result<(), DatabaseError> {
        if row.kind == UploadKind::Partial || !self.events.has_listener_for(&row.user_id) {
            return Ok(());
        }
        for recording in self.source.recordings(vec![row]).await? {
            let (user_id, session_id) = (recording.user_id.clone(), recording.session_id.clone());
            let event = Event::Recording(Box::new(recording));
            self.send(Some(user_id), Some(session_id), &event);
        }
        Ok(())
    }

    fn send(&self, user_id: Option<String>, session_id: Option<String>, event: &Event) {
        if let Some(notice) = notice(user_id, session_id, event) {
            self.events.send(notice);
        }
    }

    /// Sends the recordings that have grown since the last call.
    async fn send_growing(&mut self) -> Result<(), DatabaseError> {
        let now = self.source.growing();
        let mut known = std::mem::take(&mut self.growing);
        for (id, progress) in now {
            let row = match known.remove(&id) {
                Some((row, before)) => {
                    if before != progress {
                        self.send_recording(row.clone()).await?;
                    }
                    row
                }
                None => match self.database.recordings().get(&id).await? {
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

fn notice(user_id: Option<String>, session_id: Option<String>, event: &Event) -> Option<Notice> {
    match event.data() {
        Ok(data) => Some(Notice {
            user_id,
            admins_only: false,
            session_id,
            kind: Kind::Event {
                name: event.name(),
                data,
            },
        }),
        Err(error) => {
            tracing::error!("cannot serialise an event: {error}");
            None
        }
    }
}
