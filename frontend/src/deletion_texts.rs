//! Texts of the dialog that confirms a deletion.

use sortie_api::{Recording, RecordingCount, RecordingStatus, Unforwarded};

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
    /// Question after the first one, before the only copy of a recording is deleted.
    pub second: Option<SecondQuestion>,
}

/// Texts of the second question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondQuestion {
    /// Heading of the dialog.
    pub heading: &'static str,
    /// Object of the action, in bold before `consequence`.
    pub subject: String,
    /// Consequence of the action.
    pub consequence: &'static str,
    /// Label of the button.
    pub action: &'static str,
}

impl SecondQuestion {
    /// Asks about `subject`, which is one recording or several.
    fn new(subject: String, is_one: bool) -> Self {
        Self {
            heading: "Not yet on the central server",
            subject,
            consequence: match is_one {
                true => "is not on the central server yet. This deletes the only copy.",
                false => "are not on the central server yet. This deletes the only copies.",
            },
            action: "Delete anyway",
        }
    }
}

/// Recordings that a request deletes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    count: usize,
    size_bytes: u64,
    running: usize,
    protected: usize,
    unforwarded: usize,
    /// Whether more recordings match than one request deletes.
    has_more: bool,
}

impl Summary {
    /// Summarises the rows of a page.
    pub fn of(recordings: &[Recording]) -> Self {
        let count = |is: fn(&Recording) -> bool| recordings.iter().filter(|row| is(row)).count();
        Self {
            count: recordings.len(),
            size_bytes: recordings.iter().map(parts::size_bytes).sum(),
            running: count(parts::is_open),
            protected: count(|row| row.protected),
            unforwarded: count(|row| row.forward_pending),
            has_more: false,
        }
    }

    /// Summarises the recordings that the server has counted.
    pub fn counted(count: &RecordingCount) -> Self {
        let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let totals = count.totals.unwrap_or_default();
        Self {
            count: number(count.count),
            size_bytes: totals.size_bytes,
            running: number(totals.open),
            protected: number(totals.protected),
            unforwarded: number(totals.forward_pending),
            has_more: !count.complete,
        }
    }

    /// Number of recordings.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Returns the texts for several recordings: count, size, and what is special about some of them. With a trash, they can
    /// be restored for `trash_days`.
    pub fn dialog_texts(&self, trash_days: u32) -> DialogTexts {
        let count = format::count(self.count as u64);
        let size = format::size(self.size_bytes);
        let mut consequence = match trash_days {
            0 => "will be permanently deleted.".to_owned(),
            days => format!(
                "will be moved to the trash, where they stay for {}.",
                day_count(days)
            ),
        };
        let mut add = |number: usize, one: &str, several: &str| match number {
            0 => {}
            1 => consequence += &format!(" 1 of them {one}"),
            _ => consequence += &format!(" {} of them {several}", format::count(number as u64)),
        };
        let (one, several) = match trash_days {
            0 => (
                "is still being recorded and will be stopped.",
                "are still being recorded and will be stopped.",
            ),
            _ => (
                "is still being recorded and will be stopped and permanently deleted.",
                "are still being recorded and will be stopped and permanently deleted.",
            ),
        };
        add(self.running, one, several);
        add(
            self.protected,
            "is protected from automatic deletion.",
            "are protected from automatic deletion.",
        );
        add(
            self.unforwarded,
            "has not been sent to the central server yet: this is the only copy.",
            "have not been sent to the central server yet: these are the only copies.",
        );
        if self.has_more {
            consequence += " More recordings match: delete again for the rest.";
        }
        DialogTexts {
            heading: match trash_days {
                0 => format!("Delete {count} recordings?"),
                _ => format!("Move {count} recordings to the trash?"),
            },
            subject: format!("{count} recordings ({size})"),
            consequence,
            action: action(self.running > 0, trash_days),
            second: (self.unforwarded > 0).then(|| {
                let unforwarded = format::count(self.unforwarded as u64);
                let subject = format!("{unforwarded} of {count} recordings");
                SecondQuestion::new(subject, self.unforwarded == 1)
            }),
        }
    }

    /// Whether the request deletes recordings that are not on the central server yet. Only if the dialog has warned
    /// about them.
    pub fn unforwarded(&self) -> Unforwarded {
        if self.unforwarded > 0 {
            Unforwarded::Delete
        } else {
            Unforwarded::Keep
        }
    }
}

fn action(is_running: bool, trash_days: u32) -> &'static str {
    match (is_running, trash_days) {
        (true, _) => "Stop and delete",
        (false, 0) => "Delete",
        (false, _) => "Move to the trash",
    }
}

fn day_count(days: u32) -> String {
    match days {
        1 => "a day".to_owned(),
        days => format!("{days} days"),
    }
}

/// Whether a deletion moves the recording to the trash, if there is one: growing ones and those in the trash are deleted at
/// once.
pub fn goes_to_trash(recording: &Recording) -> bool {
    let is_complete = |status| matches!(status, RecordingStatus::Ready | RecordingStatus::Failed);
    is_complete(recording.status)
        && !recording.deleting
        && recording.part_of.is_none()
        && recording.parts.iter().all(|part| is_complete(part.status))
}

/// Returns the texts for one recording that the page calls `name`. With a trash, it can be restored for `trash_days`.
pub fn dialog_texts_of_one(recording: &Recording, name: String, trash_days: u32) -> DialogTexts {
    let trash_days = match goes_to_trash(recording) {
        true => trash_days,
        false => 0,
    };
    let size = format::size(parts::size_bytes(recording));
    let is_running = parts::is_open(recording);
    let mut consequence = if is_running {
        format!(
            "is still being recorded. Deleting stops it and permanently deletes what has arrived ({size})."
        )
    } else {
        let size = match parts::count(recording) {
            Some(parts) => format!("({size}, {parts})"),
            None => format!("({size})"),
        };
        match trash_days {
            0 => format!("{size} will be permanently deleted."),
            days => format!(
                "{size} will be moved to the trash, where it stays for {}.",
                day_count(days)
            ),
        }
    };
    if recording.forward_pending {
        consequence += " It has not been sent to the central server yet: this is the only copy.";
    }
    DialogTexts {
        heading: if is_running {
            "Delete a running recording?".to_owned()
        } else if trash_days > 0 {
            "Move this recording to the trash?".to_owned()
        } else {
            "Delete this recording?".to_owned()
        },
        second: recording
            .forward_pending
            .then(|| SecondQuestion::new(name.clone(), true)),
        subject: name,
        consequence,
        action: action(is_running, trash_days),
    }
}

/// Returns the message that recordings were moved to the trash.
pub fn moved_to_trash(count: usize) -> String {
    match count {
        1 => "Recording moved to the trash".to_owned(),
        count => format!("{count} recordings moved to the trash"),
    }
}

/// Returns the announcement that recordings were restored from the trash.
pub fn restored(count: usize) -> String {
    match count {
        1 => "Recording restored".to_owned(),
        count => format!("{count} recordings restored"),
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
    use sortie_api::RecordingTotals;

    use super::*;
    use crate::list_page::tests::row;

    fn recording(status: RecordingStatus, size_bytes: u64) -> Recording {
        Recording {
            size_bytes,
            ..row("a", status)
        }
    }

    fn several(recordings: &[Recording]) -> DialogTexts {
        Summary::of(recordings).dialog_texts(0)
    }

    fn one(recording: &Recording) -> DialogTexts {
        dialog_texts_of_one(recording, "Exam".to_owned(), 0)
    }

    #[test]
    fn dialog_names_count_and_size() {
        let ready = recording(RecordingStatus::Ready, 42_500);
        let texts = several(&[ready.clone(), ready.clone()]);
        assert_eq!(texts.heading, "Delete 2 recordings?");
        assert_eq!(
            format!("{} {}", texts.subject, texts.consequence),
            "2 recordings (85 kB) will be permanently deleted."
        );
        assert_eq!(texts.action, "Delete");
        let texts = one(&ready);
        assert_eq!(
            format!("{} {}", texts.subject, texts.consequence),
            "Exam (42 kB) will be permanently deleted."
        );
    }

    #[test]
    fn dialog_names_what_the_server_has_counted() {
        let count = RecordingCount {
            count: 10_000,
            complete: false,
            totals: Some(RecordingTotals {
                size_bytes: 13_000_000_000,
                protected: 2,
                open: 1,
                forward_pending: 0,
            }),
        };
        let summary = Summary::counted(&count);
        let texts = summary.dialog_texts(0);
        assert_eq!(texts.heading, "Delete 10,000 recordings?");
        assert_eq!(texts.subject, "10,000 recordings (13 GB)");
        assert_eq!(
            texts.consequence,
            "will be permanently deleted. 1 of them is still being recorded and will be stopped. 2 of them are protected \
             from automatic deletion. More recordings match: delete again for the rest."
        );
        let texts = summary.dialog_texts(30);
        assert!(
            texts
                .consequence
                .starts_with("will be moved to the trash, where they stay for 30 days. "),
            "{}",
            texts.consequence
        );
        assert_eq!(summary.unforwarded(), Unforwarded::Keep);
    }

    #[test]
    fn dialog_warns_about_a_running_recording() {
        let ready = recording(RecordingStatus::Ready, 1_000);
        for status in [RecordingStatus::Recording, RecordingStatus::Uploading] {
            let running = recording(status, 1_000);
            let texts = one(&running);
            assert_eq!(texts.heading, "Delete a running recording?");
            assert!(texts.consequence.contains("Deleting stops it"), "{texts:?}");
            let two = several(&[ready.clone(), running]);
            assert!(
                two.consequence
                    .contains("1 of them is still being recorded")
            );
            assert_eq!(
                (texts.action, two.action),
                ("Stop and delete", "Stop and delete")
            );
        }
        assert_eq!(one(&ready).action, "Delete");
    }

    #[test]
    fn dialog_warns_about_the_only_copy_before_its_deletion() {
        let sent = recording(RecordingStatus::Ready, 1_000);
        let unsent = Recording {
            forward_pending: true,
            ..sent.clone()
        };
        assert_eq!(
            one(&unsent).consequence,
            "(1.0 kB) will be permanently deleted. It has not been sent to the central server yet: this is the only copy."
        );
        let two = [sent.clone(), unsent.clone()];
        assert!(
            several(&two)
                .consequence
                .contains("1 of them has not been sent")
        );
        let three = [sent.clone(), unsent.clone(), unsent];
        assert!(
            several(&three)
                .consequence
                .contains("2 of them have not been sent")
        );
        assert_eq!(Summary::of(&three).unforwarded(), Unforwarded::Delete);
        // The page asks a second time.
        let second = several(&three).second.unwrap();
        assert_eq!(second.subject, "2 of 3 recordings");
        assert_eq!(second.action, "Delete anyway");
        let second = one(&three[1]).second.unwrap();
        assert_eq!(
            format!("{} {}", second.subject, second.consequence),
            "Exam is not on the central server yet. This deletes the only copy."
        );
        assert_eq!(several(&[sent.clone(), sent.clone()]).second, None);
        assert_eq!(one(&sent).second, None);
        assert!(!one(&sent).consequence.contains("central server"));
        assert_eq!(Summary::of(&[sent]).unforwarded(), Unforwarded::Keep);
    }

    #[test]
    fn cancelled_deletion_reports_its_progress() {
        assert_eq!(outcome(1, 1), "Recording deleted");
        assert_eq!(outcome(50, 50), "50 recordings deleted");
        assert_eq!(outcome(12, 50), "Stopped: 12 of 50 recordings deleted");
        assert_eq!(outcome(0, 2), "Stopped: 0 of 2 recordings deleted");
    }

    #[test]
    fn trash_is_named_with_its_days_and_what_it_does_not_take() {
        let ready = recording(RecordingStatus::Ready, 42_500);
        let texts = dialog_texts_of_one(&ready, "Exam".to_owned(), 30);
        assert_eq!(texts.heading, "Move this recording to the trash?");
        assert_eq!(
            texts.consequence,
            "(42 kB) will be moved to the trash, where it stays for 30 days."
        );
        assert_eq!(texts.action, "Move to the trash");
        for status in [RecordingStatus::Recording, RecordingStatus::Trashed] {
            let row = recording(status, 42_500);
            assert_eq!(dialog_texts_of_one(&row, "Exam".to_owned(), 30), one(&row));
        }
        let rows = [ready, recording(RecordingStatus::Recording, 1_000)];
        assert_eq!(
            Summary::of(&rows).dialog_texts(1).consequence,
            "will be moved to the trash, where they stay for a day. 1 of them is still being recorded and will be stopped \
             and permanently deleted."
        );
    }
}
