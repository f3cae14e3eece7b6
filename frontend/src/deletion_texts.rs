//! Texts of the dialog that confirms a deletion.

use sortie_api::{Recording, Unforwarded};

use crate::{format, parts};

/// Texts of a confirmation dialog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialogTexts {
    /// Heading, a question.
    pub heading: String,
    /// Object of the action, in bold before `consequence`.
    pub subject: String,
    /// Consequence of the action.
    pub consequence: String,
    /// Label of the button.
    pub action: &'static str,
}

/// Returns the texts for these recordings: count, size, and whether some are still being recorded.
pub fn dialog_texts(recordings: &[Recording]) -> DialogTexts {
    let size = format::size(recordings.iter().map(parts::size_bytes).sum());
    let running = recordings.iter().filter(|row| parts::is_open(row)).count();
    let action = if running > 0 {
        "Stop and delete"
    } else {
        "Delete"
    };
    let mut texts = match recordings {
        [recording] if running > 0 => DialogTexts {
            heading: "Delete a running recording?".to_owned(),
            subject: recording.filename.clone(),
            consequence: format!(
                "is still being recorded. Deleting stops it and permanently deletes what has arrived ({size})."
            ),
            action,
        },
        [recording] => DialogTexts {
            heading: "Delete this recording?".to_owned(),
            subject: recording.filename.clone(),
            consequence: match parts::count(recording) {
                Some(parts) => format!("({size}, {parts}) will be permanently deleted."),
                None => format!("({size}) will be permanently deleted."),
            },
            action,
        },
        _ => {
            let running = match running {
                0 => String::new(),
                1 => " 1 of them is still being recorded and will be stopped.".to_owned(),
                _ => format!(" {running} of them are still being recorded and will be stopped."),
            };
            DialogTexts {
                heading: format!("Delete {} recordings?", recordings.len()),
                subject: format!("{} recordings ({size})", recordings.len()),
                consequence: format!("will be permanently deleted.{running}"),
                action,
            }
        }
    };
    let unforwarded = recordings.iter().filter(|row| row.forward_pending).count();
    match (unforwarded, recordings.len()) {
        (0, _) => {}
        (_, 1) => {
            texts.consequence +=
                " It has not been sent to the central server yet: this is the only copy."
        }
        (1, _) => {
            texts.consequence +=
                " 1 of them has not been sent to the central server yet: this is the only copy."
        }
        (count, _) => {
            texts.consequence += &format!(
                " {count} of them have not been sent to the central server yet: these are the only copies."
            );
        }
    }
    texts
}

/// Whether the request deletes recordings that are not on the central server yet. Only if the dialog has warned about
/// them.
pub fn unforwarded(recordings: &[Recording]) -> Unforwarded {
    if recordings.iter().any(|row| row.forward_pending) {
        Unforwarded::Delete
    } else {
        Unforwarded::Keep
    }
}

/// Returns the announcement that `deleted` of `total` recordings were deleted.
pub fn outcome(deleted: usize, total: usize) -> String {
    match (deleted, total) {
        (1, 1) => "Recording deleted".to_owned(),
        (deleted, total) if deleted == total => format!("{deleted} recordings deleted"),
        (deleted, total) => format!("Stopped: {deleted} of {total} recordings deleted"),
    }
}

#[cfg(test)]
mod tests {
    use sortie_api::RecordingStatus;

    use super::*;
    use crate::list_page::tests::row;

    fn recording(status: RecordingStatus, size_bytes: u64) -> Recording {
        Recording {
            size_bytes,
            ..row("a", status)
        }
    }

    #[test]
    fn dialog_names_count_and_size() {
        let ready = recording(RecordingStatus::Ready, 42_500);
        let texts = dialog_texts(&[ready.clone(), ready]);
        assert_eq!(texts.heading, "Delete 2 recordings?");
        assert_eq!(
            format!("{} {}", texts.subject, texts.consequence),
            "2 recordings (85 kB) will be permanently deleted."
        );
        assert_eq!(texts.action, "Delete");
    }

    #[test]
    fn dialog_warns_about_a_running_recording() {
        let ready = recording(RecordingStatus::Ready, 1_000);
        for status in [RecordingStatus::Recording, RecordingStatus::Uploading] {
            let running = recording(status, 1_000);
            let one = dialog_texts(std::slice::from_ref(&running));
            assert_eq!(one.heading, "Delete a running recording?");
            assert!(one.consequence.contains("Deleting stops it"), "{one:?}");
            let two = dialog_texts(&[ready.clone(), running]);
            assert!(
                two.consequence
                    .contains("1 of them is still being recorded")
            );
            assert_eq!(
                (one.action, two.action),
                ("Stop and delete", "Stop and delete")
            );
        }
        assert_eq!(dialog_texts(&[ready]).action, "Delete");
    }

    #[test]
    fn dialog_warns_about_the_only_copy_before_its_deletion() {
        let sent = recording(RecordingStatus::Ready, 1_000);
        let unsent = Recording {
            forward_pending: true,
            ..sent.clone()
        };
        let one = dialog_texts(std::slice::from_ref(&unsent));
        assert_eq!(
            one.consequence,
            "(1.0 kB) will be permanently deleted. It has not been sent to the central server yet: this is the only copy."
        );
        let two = [sent.clone(), unsent.clone()];
        assert!(
            dialog_texts(&two)
                .consequence
                .contains("1 of them has not been sent")
        );
        let three = [sent.clone(), unsent.clone(), unsent];
        assert!(
            dialog_texts(&three)
                .consequence
                .contains("2 of them have not been sent")
        );
        assert_eq!(unforwarded(&three), Unforwarded::Delete);
        assert!(
            !dialog_texts(std::slice::from_ref(&sent))
                .consequence
                .contains("central server")
        );
        assert_eq!(unforwarded(&[sent]), Unforwarded::Keep);
    }

    #[test]
    fn cancelled_deletion_reports_its_progress() {
        assert_eq!(outcome(1, 1), "Recording deleted");
        assert_eq!(outcome(50, 50), "50 recordings deleted");
        assert_eq!(outcome(12, 50), "Stopped: 12 of 50 recordings deleted");
        assert_eq!(outcome(0, 2), "Stopped: 0 of 2 recordings deleted");
    }
}
