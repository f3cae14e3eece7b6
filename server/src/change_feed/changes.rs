//! Notices of audit rows: the current state of the resource that a row is about.

use std::collections::{HashMap, HashSet};

use sortie_api::{
    AuditResult, DeletedRecording, DeletedSession, Event, LiveSettings, Recording, Session,
};

use super::{Kind, Notice, Source};
use crate::db::{
    Action, AuditRow, Database, DatabaseError, GoneRecording, RecordingRow, UploadKind,
};

/// Audit rows whose resources are read by one query.
const CHUNK: usize = 200;

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

/// Selects the resources of a stream by user and session.
pub(crate) type Wanted<'a> = &'a (dyn Fn(&str, Option<&str>) -> bool + Sync);

/// Creates notices of audit rows.
pub(super) struct Notices<S> {
    pub(super) database: Database,
    pub(super) source: S,
}

/// Current states of the resources that audit rows are about, without those that are not wanted.
#[derive(Default)]
struct States {
    recordings: HashMap<String, Recording>,
    sessions: HashMap<String, Session>,
    auto_record: Option<bool>,
}

impl<S: Source> Notices<S> {
    /// Returns the notices of these rows, in order. Only the last one of a row has the row's number: a client that has
    /// received it has the others too. Resources that are not `wanted` are left out.
    pub(super) async fn of_rows(
        &self,
        rows: &[AuditRow],
        wanted: Wanted<'_>,
    ) -> Result<Vec<Notice>, DatabaseError> {
        let mut notices = Vec::new();
        for rows in rows.chunks(CHUNK) {
            let states = self.states(rows, wanted).await?;
            for row in rows {
                let first = notices.len();
                states.add_notices(row, wanted, &mut notices)?;
                if let Some(last) = notices[first..].last_mut() {
                    last.seq = Some(row.seq);
                }
            }
        }
        Ok(notices)
    }

    /// Reads the states with one query for each kind. Rows of other users are not presented.
    async fn states(&self, rows: &[AuditRow], wanted: Wanted<'_>) -> Result<States, DatabaseError> {
        let (mut recordings, mut sessions) = (HashSet::new(), HashSet::new());
        let mut states = States::default();
        for row in rows {
            match change_of(row)? {
                Some(Change::Recording) => drop(recordings.insert(row.subject.as_str())),
                Some(Change::Session) => drop(sessions.insert(row.subject.as_str())),
                Some(Change::Settings) if states.auto_record.is_none() => {
                    let settings = self.database.settings();
                    states.auto_record = Some(settings.auto_record().await?);
                }
                _ => {}
            }
        }
        let ids: Vec<_> = recordings.iter().copied().collect();
        let mut found = self.database.recordings().with_ids(&ids).await?;
        found.retain(|row| is_shown(row, wanted));
        // The first part has the list of parts, which has changed too.
        let first = found.iter().filter_map(|row| row.part_of.clone());
        let first: HashSet<_> = first
            .filter(|id| !recordings.contains(id.as_str()))
            .collect();
        let first: Vec<_> = first.iter().map(String::as_str).collect();
        let mut first = self.database.recordings().with_ids(&first).await?;
        first.retain(|row| is_shown(row, wanted));
        found.append(&mut first);
        if !found.is_empty() {
            let found = self.source.recordings(found).await?;
            let found = found.into_iter().map(|it| (it.id.clone(), it));
            states.recordings = found.collect();
        }
        let ids: Vec<_> = sessions.into_iter().collect();
        let mut found = self.database.sessions().with_ids(&ids).await?;
        found.retain(|row| wanted(&row.user_id, Some(&row.id)));
        if !found.is_empty() {
            let found = self.source.sessions(found).await?;
            states.sessions = found.into_iter().map(|it| (it.id.clone(), it)).collect();
        }
        Ok(states)
    }

    /// Returns the notice of a recording's state, unless it is not `wanted`.
    pub(super) async fn of_recording(
        &self,
        row: RecordingRow,
        wanted: Wanted<'_>,
    ) -> Result<Option<Notice>, DatabaseError> {
        if !is_shown(&row, wanted) {
            return Ok(None);
        }
        let recording = self.source.recordings(vec![row]).await?.pop();
        Ok(recording.and_then(notice_of_recording))
    }
}

fn is_shown(row: &RecordingRow, wanted: Wanted<'_>) -> bool {
    row.kind != UploadKind::Partial && wanted(&row.user_id, Some(&row.session_id))
}

fn notice_of_recording(recording: Recording) -> Option<Notice> {
    let (user_id, session_id) = (recording.user_id.clone(), recording.session_id.clone());
    let event = Event::Recording(Box::new(recording));
    Notice::event(Some(user_id), Some(session_id), &event)
}

impl States {
    /// Adds the notices of a row.
    fn add_notices(
        &self,
        row: &AuditRow,
        wanted: Wanted<'_>,
        notices: &mut Vec<Notice>,
    ) -> Result<(), DatabaseError> {
        let Some(change) = change_of(row)? else {
            return Ok(());
        };
        let subject = row.subject.clone();
        match change {
            Change::SignInEnded => notices.push(Notice::control(Some(subject), Kind::SignInEnded)),
            Change::TokenRevoked => {
                notices.push(Notice::control(None, Kind::TokenRevoked { id: subject }));
            }
            // The user's roles may have changed, or the user is disabled.
            Change::Access => notices.push(Notice::control(Some(subject), Kind::AccessChanged)),
            Change::RecordingDeleted => {
                // The row is deleted; the detail contains owner and session.
                let gone = GoneRecording::parse(&row.detail);
                if wanted(gone.user_id, gone.session_id) {
                    let event = Event::RecordingDeleted(DeletedRecording { id: subject });
                    let session_id = gone.session_id.map(str::to_owned);
                    let user_id = Some(gone.user_id.to_owned());
                    notices.extend(Notice::event(user_id, session_id, &event));
                }
            }
            Change::Recording => {
                if let Some(recording) = self.recordings.get(&subject) {
                    let first = recording.part_of.as_ref();
                    notices.extend(notice_of_recording(recording.clone()));
                    if let Some(first) = first.and_then(|id| self.recordings.get(id)) {
                        notices.extend(notice_of_recording(first.clone()));
                    }
                }
            }
            Change::SessionDeleted => {
                // The row is deleted; the detail contains the owner.
                if wanted(&row.detail, Some(&subject)) {
                    let event = Event::SessionDeleted(DeletedSession {
                        id: subject.clone(),
                    });
                    let user_id = Some(row.detail.clone());
                    notices.extend(Notice::event(user_id, Some(subject), &event));
                }
            }
            Change::Session => {
                if let Some(session) = self.sessions.get(&subject).cloned() {
                    let (user_id, id) = (session.user_id.clone(), session.id.clone());
                    let event = Event::Session(Box::new(session));
                    notices.extend(Notice::event(Some(user_id), Some(id), &event));
                }
            }
            Change::Settings => {
                if let Some(recording_auto_record) = self.auto_record {
                    let event = Event::Settings(LiveSettings {
                        recording_auto_record,
                    });
                    notices.extend(Notice::event(None, None, &event));
                }
            }
        }
        Ok(())
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
