//! Objects of a storage, as garbage collection lists them.

/// Extension of an unfinished copy of raw data.
pub(super) const COPY: &str = "bin.tmp";
/// Extension of a snapshot of the index of a growing object.
pub(super) const SNAPSHOT: &str = "index";
/// Extension of an unfinished snapshot.
const UNFINISHED_SNAPSHOT: &str = "index.tmp";
/// Extension of a growing object and of its staging folder.
const GROWING: &str = "part";
/// Name prefix of the files that a storage check writes and removes.
pub(super) const CHECK: &str = ".sortie-check";
/// Extensions of finished objects.
const FINISHED: [&str; 5] = ["webm", "mkv", "mp4", "bin", "piece"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Path, as stored in rows. For a multipart upload, the path of its future object.
    pub(crate) path: String,
    /// Kind, derived from the name.
    pub(crate) kind: ObjectKind,
    /// Size; 0 if the storage does not report it.
    pub(crate) size_bytes: u64,
    /// Time of the last change, Unix time in ms.
    pub(crate) modified_ms: i64,
}

/// Kind of a file in a bucket or folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ObjectKind {
    /// The finished object of this recording.
    Finished(String),
    /// The growing object of this recording: a file or a staging folder.
    Growing(String),
    /// A multipart upload that is neither completed nor aborted.
    #[cfg_attr(
        not(feature = "s3"),
        expect(dead_code, reason = "a local folder has no multipart uploads")
    )]
    Upload {
        /// Id of the recording; `None` if a storage check started the upload.
        id: Option<String>,
        /// Upload id, assigned by the store.
        upload: String,
        /// Whether a part of the recording is staged here. Without it no server can complete the upload.
        staged: bool,
    },
    /// A file that is needed while its recording grows, or was left by a crash; of this recording, if known.
    Temporary(Option<String>),
    /// A foreign file, whose name follows none of the naming schemes.
    Foreign,
}

impl ObjectKind {
    /// Derives the kind from a name without its folder or prefix.
    pub(super) fn of_name(name: &str) -> Self {
        if name.starts_with(CHECK) {
            return Self::Temporary(None);
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
            COPY | SNAPSHOT | UNFINISHED_SNAPSHOT => Self::Temporary(Some(id)),
            ending if FINISHED.contains(&ending) => Self::Finished(id),
            _ => Self::Foreign,
        }
    }

    /// Id of the recording.
    pub(crate) fn recording(&self) -> Option<&str> {
        match self {
            Self::Finished(id) | Self::Growing(id) => Some(id),
            Self::Temporary(id) | Self::Upload { id, .. } => id.as_deref(),
            Self::Foreign => None,
        }
    }
}

/// Whether a text is a recording id: a lower-case UUID with hyphens.
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
    fn kind_follows_from_the_name() {
        let id = || ID.to_owned();
        for (name, expected) in [
            (format!("{ID}.webm"), ObjectKind::Finished(id())),
            (format!("{ID}.piece"), ObjectKind::Finished(id())),
            (format!("{ID}.part"), ObjectKind::Growing(id())),
            (format!("{ID}.bin.tmp"), ObjectKind::Temporary(Some(id()))),
            (format!("{ID}.index"), ObjectKind::Temporary(Some(id()))),
            (format!("{ID}.index.tmp"), ObjectKind::Temporary(Some(id()))),
            (".sortie-check".to_owned(), ObjectKind::Temporary(None)),
            (format!(".sortie-check-{ID}"), ObjectKind::Temporary(None)),
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
