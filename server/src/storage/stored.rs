//! What lies in a storage, as the sweep finds it.

/// The ending of a copy that is being made of bytes that are no recording.
pub(super) const COPY: &str = "bin.tmp";
/// The ending of a growing object, and of the staging folder that stands for one.
const GROWING: &str = "part";
/// What a check of the storage writes and removes again.
pub(super) const CHECK: &str = ".sortie-check";
/// The endings of finished objects.
const FINISHED: [&str; 5] = ["webm", "mkv", "mp4", "bin", "piece"];

/// One thing in a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Its path, as rows have it; of a multipart upload, that of the object it would have become.
    pub(crate) path: String,
    /// What it is.
    pub(crate) kind: ObjectKind,
    /// How large, as far as the storage says.
    pub(crate) size_bytes: u64,
    /// When it was last changed, in milliseconds since 1970.
    pub(crate) modified_ms: i64,
}

/// What a stored thing is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ObjectKind {
    /// The finished object of this recording.
    Finished(String),
    /// The growing object of this recording: a file, or what is staged of it.
    Growing(String),
    /// A multipart upload that is neither complete nor given up.
    #[cfg_attr(
        not(feature = "s3"),
        expect(dead_code, reason = "a folder has no uploads")
    )]
    Upload {
        /// The recording, unless a check of the storage began it.
        id: Option<String>,
        /// The store's name for it.
        upload: String,
        /// Whether something of the recording is staged here; without that nobody can complete it.
        staged: bool,
    },
    /// What a crash left of something that is made anew each time; of this recording, if of any.
    Leftover(Option<String>),
    /// Not made by us, as far as its name tells.
    Foreign,
}

impl ObjectKind {
    /// What has this name, without the folder or prefix that it is in.
    pub(super) fn of_name(name: &str) -> Self {
        if name.starts_with(CHECK) {
            return Self::Leftover(None);
        }
        let Some((id, ending)) = name.split_once('.') else {
            return Self::Foreign;
        };
        if !is_id(id) {
            return Self::Foreign;
        }
        let id = id.to_owned();
        match ending {
            GROWING => Self::Growing(id),
            COPY => Self::Leftover(Some(id)),
            ending if FINISHED.contains(&ending) => Self::Finished(id),
            _ => Self::Foreign,
        }
    }

    /// The recording it belongs to.
    pub(crate) fn recording(&self) -> Option<&str> {
        match self {
            Self::Finished(id) | Self::Growing(id) => Some(id),
            Self::Leftover(id) | Self::Upload { id, .. } => id.as_deref(),
            Self::Foreign => None,
        }
    }
}

/// Whether it is written as we write ids: a UUID in lower case with hyphens.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 36
        && uuid::Uuid::try_parse(text).is_ok()
        && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "019aa5b2-0000-7000-8000-00000000000a";

    #[test]
    fn names_tell_what_is_ours() {
        let id = || ID.to_owned();
        for (name, expected) in [
            (format!("{ID}.webm"), ObjectKind::Finished(id())),
            (format!("{ID}.piece"), ObjectKind::Finished(id())),
            (format!("{ID}.part"), ObjectKind::Growing(id())),
            (format!("{ID}.bin.tmp"), ObjectKind::Leftover(Some(id()))),
            (".sortie-check".to_owned(), ObjectKind::Leftover(None)),
            (format!(".sortie-check-{ID}"), ObjectKind::Leftover(None)),
            (ID.to_owned(), ObjectKind::Foreign),
            (format!("{ID}.webm.bak"), ObjectKind::Foreign),
            (format!("{ID}.txt"), ObjectKind::Foreign),
            (format!("{}.webm", ID.to_uppercase()), ObjectKind::Foreign),
            (format!("{{{ID}}}.webm"), ObjectKind::Foreign),
            ("holiday.webm".to_owned(), ObjectKind::Foreign),
            ("lost+found".to_owned(), ObjectKind::Foreign),
            (String::new(), ObjectKind::Foreign),
        ] {
            assert_eq!(ObjectKind::of_name(&name), expected, "{name}");
        }
    }
}
