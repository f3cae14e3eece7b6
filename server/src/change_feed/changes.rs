//! Notices of audit rows: the current state of the resource that a row is about.

use std::collections::HashSet;

use sortie_api::{AuditResult, DeletedRecording, DeletedSession, Event, LiveSettings};

use super::{Kind, Notice, Source};
use crate::db::{Action, AuditRow, Database, DatabaseError, RecordingRow, UploadKind};

/// Change that an audit row stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Change {
    Recording,
    RecordingDeleted,
    Session,
    SessionDeleted,
    Settings,
    SignInEnded,
    TokenRevoked,
    Access,
}

/// Returns the change of a row; `None` if it changes nothing that event streams show.
pub(super) fn change_of(row: &AuditRow) -> Result<Option<Change>, DatabaseError> {
    // The reuse of a refresh token is denied, but has ended the sign-in.
    if row.result()? != AuditResult::Ok && row.action != Action::TokenReuse.name() {
        return Ok(None);
    }
    Ok(Some(match row.action.as_str() {
        action if action == Action::SignInEnd.name() || action == Action::TokenReuse.name() => {
            Change::SignInEnded
        }
        action if action == Action::TokenRevoke.name() => Change::TokenRevoked,
        "recording.view" | "recording.download" => return Ok(None),
        "recording.gone" => Change::RecordingDeleted,
        // About a session.
        "recording.missing" | "recording.resumed" => Change::Session,
        action if action.starts_with("recording.") => Change::Recording,
        "session.delete" => Change::SessionDeleted,
        action if action.starts_with("session.") => Change::Session,
        "settings.change" => Change::Settings,
        action if action.starts_with("user.") => Change::Access,
        _ => return Ok(None),
    }))
}

/// Returns the rows whose events a resumed stream needs, oldest first: of several changes of one resource only the
/// last, as its event has the current state.
pub(super) fn last_changes(rows: Vec<AuditRow>) -> Result<Vec<AuditRow>, DatabaseError> {
    let mut seen = HashSet::new();
    let mut last = Vec::new();
    for row in rows.into_iter().rev() {
        let Some(change) = change_of(&row)? else {
            continue;
        };
        // A resource has no change after its deletion.
        let group = match change {
            Change::Recording | Change::RecordingDeleted => Change::Recording,
            Change::Session | Change::SessionDeleted => Change::Session,
            Change::Settings => Change::Settings,
            // The new stream was opened with valid credentials.
            Change::SignInEnded | Change::TokenRevoked | Change::Access => continue,
        };
        if seen.insert((group, row.subject.clone())) {
            last.push(row);
        }
    }
    last.reverse();
    Ok(last)
}

/// Creates notices of audit rows.
pub(super) struct Notices<S> {
    pub(super) database: Database,
    pub(super) source: S,
}

impl<S: Source> Notices<S> {
    /// Returns the notices of a row. Only the last one has the row's number: a client that has received it has the
    /// others too. Recordings of users that are not `wanted` are left out.
    pub(super) async fn of_row(
        &self,
        row: &AuditRow,
        wanted: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Vec<Notice>, DatabaseError> {
        let Some(change) = change_of(row)? else {
            return Ok(Vec::new());
        };
        let subject = row.subject.clone();
        let mut notices = Vec::new();
        match change {
            Change::SignInEnded => notices.push(Notice::control(Some(subject), Kind::SignInEnded)),
            Change::TokenRevoked => {
                notices.push(Notice::control(None, Kind::TokenRevoked { id: subject }));
            }
            // The user's roles may have changed, or the user is disabled.
            Change::Access => notices.push(Notice::control(Some(subject), Kind::AccessChanged)),
            Change::RecordingDeleted => {
                // The row is deleted; the detail contains the owner.
                let event = Event::RecordingDeleted(DeletedRecording { id: subject });
                notices.extend(Notice::event(Some(row.detail.clone()), None, &event));
            }
            Change::Recording => {
                if let Some(recording) = self.database.recordings().get(&subject).await? {
                    let part_of = recording.part_of.clone();
                    notices.extend(self.of_recording(recording, wanted).await?);
                    // The first part has the list of parts, which has changed too.
                    if let Some(first) = part_of
                        && let Some(first) = self.database.recordings().get(&first).await?
                    {
                        notices.extend(self.of_recording(first, wanted).await?);
                    }
                }
            }
            Change::SessionDeleted => {
                let event = Event::SessionDeleted(DeletedSession {
                    id: subject.clone(),
                });
                let notice = Notice::event(Some(row.detail.clone()), Some(subject), &event);
                notices.extend(notice);
            }
            Change::Session => {
                if let Some(session) = self.database.sessions().get(&subject).await? {
                    let session = self.source.session(session).await?;
                    let (user_id, id) = (session.user_id.clone(), session.id.clone());
                    let event = Event::Session(Box::new(session));
                    notices.extend(Notice::event(Some(user_id), Some(id), &event));
                }
            }
            Change::Settings => {
                let recording_auto_record = self.database.settings().auto_record().await?;
                let event = Event::Settings(LiveSettings {
                    recording_auto_record,
                });
                notices.extend(Notice::event(None, None, &event));
            }
        }
        if let Some(last) = notices.last_mut() {
            last.seq = Some(row.seq);
        }
        Ok(notices)
    }

    /// Returns the notice of a recording's state, unless its owner is not `wanted`.
    pub(super) async fn of_recording(
        &self,
        row: RecordingRow,
        wanted: &(dyn Fn(&str) -> bool + Sync),
    ) -> Result<Option<Notice>, DatabaseError> {
        if row.kind == UploadKind::Partial || !wanted(&row.user_id) {
            return Ok(None);
        }
        let Some(recording) = self.source.recordings(vec![row]).await?.pop() else {
            return Ok(None);
        };
        let (user_id, session_id) = (recording.user_id.clone(), recording.session_id.clone());
        let event = Event::Recording(Box::new(recording));
        Ok(Notice::event(Some(user_id), Some(session_id), &event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(seq: i64, action: Action, subject: &str) -> AuditRow {
        AuditRow::sample(seq, action, subject, "")
    }

    #[test]
    fn only_the_last_change_of_a_resource_is_replayed() {
        let rows = vec![
            row(1, Action::Start, "a"),
            row(2, Action::SessionCreate, "a"),
            row(3, Action::Ready, "a"),
            row(4, Action::View, "a"),
            row(5, Action::Start, "b"),
            row(6, Action::Gone, "b"),
            row(7, Action::UserChange, "ann"),
        ];
        let last = last_changes(rows).unwrap();
        let numbers: Vec<_> = last.iter().map(|row| row.seq).collect();
        assert_eq!(numbers, [2, 3, 6]);
    }
}
