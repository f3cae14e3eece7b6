//! The list of an appliance: recordings, the files of one session together.

use sortie_api::Recording;

/// One line of the list.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// What follows are the files of one session.
    Session {
        /// Its id.
        id: String,
        /// How many of its finished files are on this page.
        files: usize,
        /// Whether one more is under way.
        is_growing: bool,
        /// How long the finished ones are together, in seconds.
        duration_seconds: f64,
        /// How large they are together.
        size_bytes: u64,
    },
    /// The file under way.
    Growing {
        /// Its name.
        filename: String,
        /// Whether it stands below its session's line.
        is_of_several: bool,
    },
    /// A recording.
    File {
        /// Its id.
        id: String,
        /// Whether it stands below its session's line.
        is_of_several: bool,
    },
}

impl Line {
    /// What tells it from the others, and from what it was.
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

/// The lines for `rows`, which are in order of time. `growing` is the name of the file under way, which is newer than
/// all of them, and its session.
pub fn lines(rows: &[Recording], growing: Option<(&str, Option<&str>)>) -> Vec<Line> {
    // It may have been finished since it was heard of.
    let growing = growing.filter(|(name, _)| rows.iter().all(|row| row.filename != *name));
    let (growing, session) = growing.unzip();
    let session = session.flatten();
    let mut lines = Vec::new();
    let row = |is_of_several| {
        growing.map(|filename| Line::Growing {
            filename: filename.to_owned(),
            is_of_several,
        })
    };
    let goes_on = session.is_some() && rows.first().map(|row| row.session_id.as_str()) == session;
    if !goes_on {
        lines.extend(row(false));
    }
    for (number, files) in rows
        .chunk_by(|one, other| one.session_id == other.session_id)
        .enumerate()
    {
        let is_growing = number == 0 && goes_on;
        let is_of_several = files.len() > 1 || is_growing;
        if is_of_several {
            lines.push(Line::Session {
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
        lines.extend(files.iter().map(|row| Line::File {
            id: row.id.clone(),
            is_of_several,
        }));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listing::tests::row;

    /// Lines in a word each: `2+` is a session's line with two files and one under way.
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
        let lines = lines(&rows, growing);
        let words: Vec<_> = lines
            .iter()
            .map(|line| match line {
                Line::Session {
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
                Line::Growing {
                    filename: id,
                    is_of_several,
                }
                | Line::File { id, is_of_several } => {
                    format!("{}{id}", if *is_of_several { "- " } else { "" })
                }
            })
            .collect();
        assert_eq!(words, expected);
        let keys: std::collections::BTreeSet<_> = lines.iter().map(Line::key).collect();
        assert_eq!(keys.len(), lines.len());
    }

    #[test]
    fn only_several_files_of_one_session_get_a_line_of_their_own() {
        check(&[], None, &[]);
        check(
            &[("c", "2"), ("b", "1"), ("a", "1")],
            None,
            &["c", "2", "- b", "- a"],
        );
    }

    #[test]
    fn the_one_under_way_stands_with_the_others_of_its_session() {
        check(&[], Some(("now", Some("1"))), &["now"]);
        check(&[("a", "1")], Some(("now", None)), &["now", "a"]);
        check(
            &[("b", "2"), ("a", "1")],
            Some(("now", Some("2"))),
            &["1+", "- now", "- b", "a"],
        );
        check(&[("a", "1")], Some(("a.webm", Some("1"))), &["a"]);
        // An older session is not meant.
        check(
            &[("b", "2"), ("a", "1")],
            Some(("now", Some("1"))),
            &["now", "b", "a"],
        );
    }
}
