//! Reads the audit log as it grows and says what has changed.

use std::collections::HashMap;
use std::time::Duration;

use sortie_api::{Appliance, AuditResult, DeletedRecording, DeletedSession, Event, LiveSettings};
use tokio::time::MissedTickBehavior;

use super::{Events, Kind, Notice};
use crate::db::{Action, AuditRow, DatabaseError, RecordingRow, UploadKind};
use crate::http::{AppState, shown_appliance, shown_session, shown_with_parts};
use crate::uploads::Progress;

/// How often others' additions to the log are looked for, and growing recordings looked at.
const EVERY: Duration = Duration::from_secs(1);
/// Rows of the log that are read in one go.
const BATCH: i64 = 200;

/// Tells listeners what changes, until the server is about to stop.
pub(crate) async fn follow(state: AppState) {
    let closing = state.events.0.closing.clone();
    closing.run_until_cancelled(follow_on(state)).await;
}

async fn follow_on(state: AppState) {
    let events = state.events.clone();
    let mut wanted = events.0.wanted.subscribe();
    loop {
        if wanted.wait_for(|wanted| *wanted).await.is_err() {
            return;
        }
        if let Err(error) = while_wanted(&state, &events).await {
            tracing::warn!("cannot tell what changes, will try again: {error}");
            // Whoever listens has missed something; dropped notices are told as being too slow is.
            events.0.followed.send_replace(false);
            tokio::time::sleep(EVERY).await;
            events.send(Notice {
                user_id: None,
                admins_only: false,
                session_id: None,
                kind: Kind::Event {
                    name: Event::Hello.name(),
                    data: "{}".to_owned(),
                },
            });
        }
    }
}

async fn while_wanted(state: &AppState, events: &Events) -> Result<(), DatabaseError> {
    let mut seq = state.database.audit_head().await?;
    events.0.followed.send_replace(true);
    let mut growing = Growing::default();
    let mut appliance = None;
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !events.rest() {
        let audited = state.database.audited();
        tokio::pin!(audited);
        // Before the log is read: what is added while it is read wakes us, too.
        audited.as_mut().enable();
        let rows = state.database.audit_after(seq, BATCH).await?;
        for row in &rows {
            seq = row.seq;
            tell(state, events, &mut growing, row).await?;
        }
        if rows.len() == usize::try_from(BATCH).unwrap_or_default() {
            continue;
        }
        tokio::select! {
            () = audited => {}
            _ = tick.tick() => {
                growing.tell(state, events).await?;
                tell_appliance(state, events, &mut appliance).await?;
            }
        }
    }
    Ok(())
}

/// Looks up how the thing is now that a row of the log is about, and says so.
async fn tell(
    state: &AppState,
    events: &Events,
    growing: &mut Growing,
    row: &AuditRow,
) -> Result<(), DatabaseError> {
    // A reused refresh token is denied to its sender, and has ended the sign-in.
    if row.result()? != AuditResult::Ok && row.action != Action::TokenReuse.name() {
        return Ok(());
    }
    match row.action.as_str() {
        action if action == Action::SignInEnd.name() || action == Action::TokenReuse.name() => {
            events.send(Notice {
                user_id: Some(row.subject.clone()),
                admins_only: false,
                session_id: None,
                kind: Kind::SignInEnded,
            });
        }
        action if action == Action::TokenRevoke.name() => events.send(Notice {
            user_id: None,
            admins_only: false,
            session_id: None,
            kind: Kind::TokenRevoked {
                id: row.subject.clone(),
            },
        }),
        // Looking changes nothing.
        "recording.view" | "recording.download" => {}
        "recording.gone" => {
            growing.rows.remove(&row.subject);
            // The log's detail is whose it was: the row can no longer say.
            let id = row.subject.clone();
            let event = Event::RecordingDeleted(DeletedRecording { id });
            send(events, Some(row.detail.clone()), None, &event);
        }
        action if action.starts_with("recording.") => {
            if let Some(recording) = state.database.recording(&row.subject).await? {
                growing.rows.remove(&row.subject);
                let part_of = recording.part_of.clone();
                tell_recording(state, events, recording).await?;
                // The list of parts on the first one has changed, too.
                if let Some(first) = part_of
                    && let Some(first) = state.database.recording(&first).await?
                {
                    tell_recording(state, events, first).await?;
                }
            }
        }
        "session.delete" => {
            let id = row.subject.clone();
            let event = Event::SessionDeleted(DeletedSession { id: id.clone() });
            send(events, Some(row.detail.clone()), Some(id), &event);
        }
        action if action.starts_with("session.") => {
            if let Some(session) = state.database.session(&row.subject).await? {
                let session = shown_session(session, state.database.auto_record().await?);
                let (user_id, id) = (session.user_id.clone(), session.id.clone());
                send(
                    events,
                    Some(user_id),
                    Some(id),
                    &Event::Session(Box::new(session)),
                );
            }
        }
        "settings.change" => {
            let recording_auto_record = state.database.auto_record().await?;
            let event = Event::Settings(LiveSettings {
                recording_auto_record,
            });
            send(events, None, None, &event);
        }
        // Their roles may be others, or they may be locked out.
        action if action.starts_with("user.") => events.send(Notice {
            user_id: Some(row.subject.clone()),
            admins_only: false,
            session_id: None,
            kind: Kind::Expelled,
        }),
        _ => {}
    }
    Ok(())
}

/// Says what the recorder on board is doing, if that is not what was said last.
async fn tell_appliance(
    state: &AppState,
    events: &Events,
    last: &mut Option<Appliance>,
) -> Result<(), DatabaseError> {
    let now = shown_appliance(state).await;
    if now == *last {
        return Ok(());
    }
    last.clone_from(&now);
    if let (Some(now), Some(owner)) = (now, state.database.first_administrator().await?) {
        let event = Event::Appliance(Box::new(now));
        if let Some(mut notice) = notice(Some(owner), None, &event) {
            notice.admins_only = true;
            events.send(notice);
        }
    }
    Ok(())
}

async fn tell_recording(
    state: &AppState,
    events: &Events,
    row: RecordingRow,
) -> Result<(), DatabaseError> {
    if row.kind == UploadKind::Partial || !events.concerns_somebody(&row.user_id) {
        return Ok(());
    }
    for recording in shown_with_parts(state, vec![row]).await? {
        let (user_id, session_id) = (recording.user_id.clone(), recording.session_id.clone());
        let event = Event::Recording(Box::new(recording));
        send(events, Some(user_id), Some(session_id), &event);
    }
    Ok(())
}

fn send(events: &Events, user_id: Option<String>, session_id: Option<String>, event: &Event) {
    if let Some(notice) = notice(user_id, session_id, event) {
        events.send(notice);
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
            tracing::error!("an event cannot be written: {error}");
            None
        }
    }
}

/// Recordings that grow on this server: their rows are looked up once, their progress is in memory.
#[derive(Default)]
struct Growing {
    rows: HashMap<String, (RecordingRow, Progress)>,
}

impl Growing {
    /// Says which have grown since the last time.
    async fn tell(&mut self, state: &AppState, events: &Events) -> Result<(), DatabaseError> {
        let now = state.uploads.growing();
        let mut known = std::mem::take(&mut self.rows);
        for (id, progress) in now {
            let row = match known.remove(&id) {
                Some((row, before)) => {
                    if before != progress {
                        tell_recording(state, events, row.clone()).await?;
                    }
                    row
                }
                None => match state.database.recording(&id).await? {
                    Some(row) if row.status.is_open() => {
                        tell_recording(state, events, row.clone()).await?;
                        row
                    }
                    _ => continue,
                },
            };
            self.rows.insert(id, (row, progress));
        }
        Ok(())
    }
}
