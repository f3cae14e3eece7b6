//! Rows of the appliance's list, which groups the files of one session.

use sortie_api::Recording;

/// Row of the appliance's list.
#[derive(Clone, Debug, PartialEq)]
pub enum ListRow {
    /// Heading of several files of one session.
    Session {
        /// ID of the session.
        id: String,
        /// Finished files on this page.
        files: usize,
        /// Whether another file is still growing.
        is_growing: bool,
        /// Total duration of the finished files in seconds.
        duration_seconds: f64,
        /// Total size of the finished files.
        size_bytes: u64,
    },
    /// The file that is being recorded.
    Growing {
        /// File name, which identifies it.
        filename: String,
        /// Whether it is below a session heading.
        is_of_several: bool,
    },
    /// A recording whose file is finished.
    File {
        /// ID of the recording.
        id: String,
        /// Whether it is below a session heading.
        is_of_several: bool,
    },
}

impl ListRow {
    /// Key for `<For>`; changes when the row must be rendered again.
    pub fn key(&self) -> String {
        match self {
            Self::Session {
                id,
                files,
                is_growing,
                ..
            } => format!("{id} {files} {is_growing}"),
            Self::Growing {
                filename: id,
                is_of_several,
            }
            | Self::File { id, is_of_several } => format!("{id} {is_of_several}"),
        }
    }
}

/// Builds the list from `rows`, which are sorted by time, newest first. `growing` is the name and the session of the
/// growing file, which is newer than all rows.
pub fn list_rows(rows: &[Recording], growing: Option<(&str, Option<&str>)>) -> Vec<ListRow> {
    // The file may have been finished after the device reported it as growing.
    let growing = growing.filter(|(name, _)| rows.iter().all(|row| row.filename != *name));
    let (growing, session) = growing.unzip();
    let session = session.flatten();
    let mut lines = Vec::new();
    let row = |is_of_several| {
        growing.map(|filename| ListRow::Growing {
            filename: filename.to_owned(),
            is_of_several,
        })
    };
    let continues_newest =
        session.is_some() && rows.first().map(|row| row.session_id.as_str()) == session;
    if !continues_newest {
        lines.extend(row(false));
    }
    for (number, files) in rows
        .chunk_by(|one, other| one.session_id == other.session_id)
        .enumerate()
    {
        let is_growing = number == 0 && continues_newest;
        let is_of_several = files.len() > 1 || is_growing;
        if is_of_several {
            lines.push(ListRow::Session {
                id: files[0].session_id.clone(),
                files: files.len(),
                is_growing,
                duration_seconds: files.iter().map(|row| row.duration_seconds).sum(),
                size_bytes: files.iter().map(|row| row.size_bytes).sum(),
            });
        }
        if is_growing {
            lines.extend(row(true));
        }
        lines.extend(files.iter().map(|row| ListRow::File {
            id: row.id.clone(),
            is_of_several,
        }));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list_page::tests::row;

    /// Abbreviates rows: `2+` is a session heading with two finished files and a growing one.
    #[track_caller]
    fn check(rows: &[(&str, &str)], growing: Option<(&str, Option<&str>)>, expected: &[&str]) {
        let rows: Vec<_> = rows
            .iter()
            .map(|(id, session)| {
                let mut row = row(id, sortie_api::RecordingStatus::Ready);
                row.session_id = (*session).to_owned();
                row.size_bytes = 5;
                row.duration_seconds = 1.5;
                row
            })
            .collect();
        let lines = list_rows(&rows, growing);
        let words: Vec<_> = lines
            .iter()
            .map(|line| match line {
                ListRow::Session {
                    files,
                    is_growing,
                    duration_seconds,
                    size_bytes,
                    ..
                } => {
                    assert_eq!(*size_bytes, 5 * *files as u64);
                    assert!((duration_seconds - 1.5 * *files as f64).abs() < 1e-9);
                    format!("{files}{}", if *is_growing { "+" } else { "" })
                }
                ListRow::Growing {
                    filename: id,
                    is_of_several,
                }
                | ListRow::File { id, is_of_several } => {
                    format!("{}{id}", if *is_of_several { "- " } else { "" })
                }
            })
            .collect();
        assert_eq!(words, expected);
        let keys: std::collections::BTreeSet<_> = lines.iter().map(ListRow::key).collect();
        assert_eq!(keys.len(), lines.len());
    }

    #[test]
    fn session_with_several_files_has_a_heading() {
        check(&[], None, &[]);
        check(
            &[("c", "2"), ("b", "1"), ("a", "1")],
            None,
            &["c", "2", "- b", "- a"],
        );
    }

    #[test]
    fn growing_file_joins_its_session() {
        check(&[], Some(("now", Some("1"))), &["now"]);
        check(&[("a", "1")], Some(("now", None)), &["now", "a"]);
        check(
            &[("b", "2"), ("a", "1")],
            Some(("now", Some("2"))),
            &["1+", "- now", "- b", "a"],
        );
        check(&[("a", "1")], Some(("a.webm", Some("1"))), &["a"]);
        // Only the newest session can grow.
        check(
            &[("b", "2"), ("a", "1")],
            Some(("now", Some("1"))),
            &["now", "b", "a"],
        );
    }
}
