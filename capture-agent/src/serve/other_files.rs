//! Files in the folder for recordings that are no recordings.

use std::collections::HashSet;
use std::fs::{DirEntry, FileType, Metadata};
use std::path::Path;

use sortie_api::{OtherFile, OtherFileKind, OtherFiles};
use sortie_server::open_regular;

use crate::pictures::PICTURES;
use crate::writer::{self, DAMAGED, GROWING};

/// Number of files that are named.
const NAMED: usize = 100;
/// Name prefix of the files with which the server checks its storage.
const CHECK: &str = ".sortie-check";
/// Extensions of videos, in lower case.
const VIDEOS: [&str; 10] = [
    "mp4", "m4v", "mov", "webm", "mkv", "avi", "ts", "mts", "mpg", "flv",
];

/// Lists the files of a folder that are neither `known` recordings nor files of the recorder, by name.
pub(super) fn list(folder: &Path, known: &HashSet<String>) -> OtherFiles {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::error!("the folder for recordings cannot be read: {error}");
            return OtherFiles::default();
        }
    };
    let mut other = OtherFiles::default();
    for entry in entries.flatten() {
        let Some(file) = describe(folder, &entry, known) else {
            continue;
        };
        other.total.count += 1;
        other.total.bytes += file.bytes;
        let place = other.files.partition_point(|it| it.name <= file.name);
        if place < NAMED {
            other.files.truncate(NAMED - 1);
            other.files.insert(place, file);
        }
    }
    other
}

/// Describes a file; `None` if it is a recording, a file of the recorder, or has vanished.
fn describe(folder: &Path, entry: &DirEntry, known: &HashSet<String>) -> Option<OtherFile> {
    let name = entry.file_name();
    let shown = name.to_string_lossy().into_owned();
    let is_text = name.to_str().is_some();
    if is_text && (known.contains(&shown) || is_of_server(&shown)) {
        return None;
    }
    let metadata = entry.metadata().ok()?;
    let (kind, reason) = match special(metadata.file_type()) {
        Some(what) => (
            OtherFileKind::NotAFile,
            format!("It is {what}. Only ordinary files in the folder itself are listed."),
        ),
        None if !is_text => (
            OtherFileKind::Ignored,
            "Its name is not UTF-8 text. Rename it to list it.".to_owned(),
        ),
        None if is_of_recorder(folder, &shown) => return None,
        None => judge(&shown, &metadata),
    };
    let bytes = match kind {
        OtherFileKind::NotAFile => 0,
        _ => metadata.len(),
    };
    Some(OtherFile {
        name: shown,
        bytes,
        kind,
        reason,
    })
}

fn special(file_type: FileType) -> Option<&'static str> {
    if file_type.is_file() {
        None
    } else if file_type.is_dir() {
        Some("a folder")
    } else if file_type.is_symlink() {
        Some("a symbolic link")
    } else {
        Some("a FIFO, socket or device")
    }
}

/// Whether the embedded server makes files of this name: of recordings that a browser uploads.
fn is_of_server(name: &str) -> bool {
    name.starts_with(CHECK)
        || name.split_once('.').is_some_and(|(id, extension)| {
            id.len() == 36
                && uuid::Uuid::try_parse(id).is_ok()
                && matches!(
                    extension,
                    "webm" | "mkv" | "mp4" | "bin" | "piece" | "part" | "bin.tmp"
                )
        })
}

/// Whether a regular file is an unfinished recording, or pictures of a recording.
fn is_of_recorder(folder: &Path, name: &str) -> bool {
    let recording = |suffix: &str| {
        let of = name.strip_suffix(suffix);
        of.is_some_and(writer::is_recording_name)
    };
    if recording(GROWING) {
        let file = open_regular(&folder.join(name));
        return file.is_ok_and(|file| writer::is_ours(&file).unwrap_or(false));
    }
    recording(PICTURES) || recording(DAMAGED)
}

fn judge(name: &str, metadata: &Metadata) -> (OtherFileKind, String) {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    let lower = extension.map(str::to_ascii_lowercase);
    let is_video = lower
        .as_deref()
        .is_some_and(|lower| VIDEOS.contains(&lower));
    if name.starts_with("._") {
        let reason = "It is metadata of macOS, not a video.";
        return (OtherFileKind::Foreign, reason.to_owned());
    }
    if name.starts_with('.') {
        let reason =
            "Its name begins with a dot: a hidden file of another program, or an unfinished copy.";
        return (OtherFileKind::Foreign, reason.to_owned());
    }
    match (lower.as_deref(), extension) {
        (Some("mp4"), Some("mp4")) if metadata.len() == 0 => (
            OtherFileKind::Pending,
            "It is empty. It is listed when it has content.".to_owned(),
        ),
        (Some("mp4"), Some("mp4")) => (
            OtherFileKind::Pending,
            "It may still be copied. It is listed when it has not changed for ten seconds; if it cannot be played, as \
             failed after ten minutes."
                .to_owned(),
        ),
        (Some("mp4"), Some(extension)) => (
            OtherFileKind::Ignored,
            format!("Its name ends in .{extension}. Rename it so that it ends in .mp4 to list it."),
        ),
        (Some(_), Some(extension)) if is_video => (
            OtherFileKind::Ignored,
            format!(
                "Only MP4 files are listed, and its name ends in .{extension}. Convert it, for example with ffmpeg, or \
                 upload it to a sortie-server."
            ),
        ),
        _ => (
            OtherFileKind::Foreign,
            "It is a file of another program.".to_owned(),
        ),
    }
}
