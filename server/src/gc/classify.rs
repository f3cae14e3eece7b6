//! Classification of stored objects. Pure.

use sortie_api::RecordingStatus;
use sortie_media::HEAD_ROOM;

use super::SweepKind;
use crate::db::RecordingRow;
use crate::storage::{ObjectKind, Stored};

/// Verdict about an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Keep,
    /// The object's name is not one of the server's.
    Foreign,
    /// The object belongs to no recording, but is so young that its row may follow.
    Young,
    Remove {
        kind: SweepKind,
        /// Whether it certainly holds no data of a recording.
        worthless: bool,
        /// Belongs to a recording if the recording's object is where its row says.
        unless_needed: bool,
    },
}

/// Classifies a listed object by the row of the recording in its name.
pub(super) fn judge(
    stored: &Stored,
    row: Option<&RecordingRow>,
    now_ms: i64,
    min_age_ms: i64,
) -> Verdict {
    let complete = row.is_some_and(|row| {
        matches!(
            row.status,
            RecordingStatus::Ready | RecordingStatus::Failed | RecordingStatus::Trashed
        )
    });
    let orphan = |kind, worthless| Verdict::Remove {
        kind,
        worthless,
        unless_needed: false,
    };
    let verdict = match (&stored.kind, row) {
        (ObjectKind::Foreign, _) => return Verdict::Foreign,
        (ObjectKind::Finished(_), None) => orphan(SweepKind::Object, false),
        (ObjectKind::Growing(_), None) => {
            orphan(SweepKind::Growing, stored.size_bytes <= HEAD_ROOM)
        }
        // A crash prevented the removal of its growing object. The growing object of a failed recording is kept.
        (ObjectKind::Growing(_), Some(row)) if row.status == RecordingStatus::Ready => {
            Verdict::Remove {
                kind: SweepKind::Growing,
                worthless: false,
                unless_needed: true,
            }
        }
        (ObjectKind::Upload { .. }, Some(_)) if complete => orphan(SweepKind::Upload, true),
        (ObjectKind::Upload { staged, .. }, None) => orphan(SweepKind::Upload, !staged),
        (ObjectKind::Temporary(_), row) if complete || row.is_none() => {
            orphan(SweepKind::Temporary, true)
        }
        _ => return Verdict::Keep,
    };
    if now_ms.saturating_sub(stored.modified_ms) < min_age_ms {
        return Verdict::Young;
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::testing::growing;

    const MINUTE_MS: i64 = 60_000;

    /// Classifies an object at the age limit, just below it, and without an age.
    #[track_caller]
    fn check(
        kind: ObjectKind,
        size_bytes: u64,
        status: Option<RecordingStatus>,
        expected: Verdict,
    ) {
        let row = status.map(|status| RecordingRow {
            status,
            ..growing("id")
        });
        let stored = Stored {
            path: String::new(),
            kind,
            size_bytes,
            modified_ms: 1000,
        };
        let now_ms = 1000 + 60 * MINUTE_MS;
        assert_eq!(
            judge(&stored, row.as_ref(), now_ms, 60 * MINUTE_MS),
            expected
        );
        let young = match expected {
            Verdict::Remove { .. } => Verdict::Young,
            other => other,
        };
        assert_eq!(
            judge(&stored, row.as_ref(), now_ms - 1, 60 * MINUTE_MS),
            young
        );
    }

    fn remove(kind: SweepKind, worthless: bool) -> Verdict {
        Verdict::Remove {
            kind,
            worthless,
            unless_needed: false,
        }
    }

    #[test]
    fn object_without_row_is_an_orphan() {
        let id = || "id".to_owned();
        check(
            ObjectKind::Finished(id()),
            10,
            None,
            remove(SweepKind::Object, false),
        );
        check(
            ObjectKind::Growing(id()),
            HEAD_ROOM + 1,
            None,
            remove(SweepKind::Growing, false),
        );
        check(
            ObjectKind::Growing(id()),
            HEAD_ROOM,
            None,
            remove(SweepKind::Growing, true),
        );
        check(
            ObjectKind::Temporary(Some(id())),
            10,
            None,
            remove(SweepKind::Temporary, true),
        );
        check(
            ObjectKind::Temporary(None),
            10,
            None,
            remove(SweepKind::Temporary, true),
        );
        for staged in [true, false] {
            let upload = ObjectKind::Upload {
                id: Some(id()),
                upload: "u".to_owned(),
                staged,
            };
            check(upload, 0, None, remove(SweepKind::Upload, !staged));
        }
        check(ObjectKind::Foreign, 10, None, Verdict::Foreign);
    }

    #[test]
    fn growing_object_is_kept() {
        let id = || Some("id".to_owned());
        let upload = || ObjectKind::Upload {
            id: id(),
            upload: "u".to_owned(),
            staged: true,
        };
        for status in [
            RecordingStatus::Recording,
            RecordingStatus::Uploading,
            RecordingStatus::Processing,
        ] {
            for kind in [
                ObjectKind::Growing("id".to_owned()),
                ObjectKind::Finished("id".to_owned()),
                ObjectKind::Temporary(id()),
                upload(),
            ] {
                check(kind, 10, Some(status), Verdict::Keep);
            }
        }
    }

    #[test]
    fn complete_recording_keeps_only_its_finished_object() {
        let id = || "id".to_owned();
        for status in [RecordingStatus::Ready, RecordingStatus::Failed] {
            check(ObjectKind::Finished(id()), 10, Some(status), Verdict::Keep);
            let upload = ObjectKind::Upload {
                id: Some(id()),
                upload: "u".to_owned(),
                staged: true,
            };
            check(upload, 0, Some(status), remove(SweepKind::Upload, true));
            let leftover = ObjectKind::Temporary(Some(id()));
            check(
                leftover,
                0,
                Some(status),
                remove(SweepKind::Temporary, true),
            );
        }
        let growing = || ObjectKind::Growing(id());
        check(
            growing(),
            10_000,
            Some(RecordingStatus::Failed),
            Verdict::Keep,
        );
        let unless_needed = Verdict::Remove {
            kind: SweepKind::Growing,
            worthless: false,
            unless_needed: true,
        };
        check(
            growing(),
            10_000,
            Some(RecordingStatus::Ready),
            unless_needed,
        );
    }
}
