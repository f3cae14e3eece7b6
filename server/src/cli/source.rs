//! A file that is looked through: where its stream begins, and what an index of it says.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use sortie_media::{HEAD_ROOM, Indexer, Options, Patch};

use super::{Failure, printed};

/// How much is read at once. What a scan may skip is not read if it is at least as long. Jumping over less is
/// slower than reading on, on any disk whose contents are not in memory (measured: 5.2 s against 2 s for 1 GB).
const READ_SIZE: usize = 64 * 1024;
/// What is looked at to tell a stored file of ours from others: the head room and a first header.
const SNIFF_SIZE: usize = 4096 + 16;
/// Boxes that a sender's stream begins with.
const MP4_FIRST_BOXES: [&[u8; 4]; 9] = [
    b"ftyp", b"styp", b"moov", b"uuid", b"prft", b"emsg", b"sidx", b"free", b"skip",
];
const EBML_MAGIC: [u8; 4] = [0x1A, 0x45, 0xDF, 0xA3];

/// An open recording. It is read only.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) file: File,
    /// Bytes of the whole file.
    pub(super) length: u64,
    /// Whether the stream lies behind a head room, as this server stores recordings.
    pub(super) stored: bool,
    /// Whether that head room is still empty.
    pub(super) headless: bool,
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let cannot = || Failure::file("cannot read", path);
        // Looked at before it is opened: opening a pipe would wait for its writer.
        let metadata = std::fs::metadata(path).map_err(cannot())?;
        if !metadata.is_file() {
            let what = if metadata.is_dir() {
                "is a folder"
            } else {
                "is no ordinary file"
            };
            return Err(Failure::Usage(format!("{} {what}.", printed::name(path))));
        }
        let file = File::open(path).map_err(cannot())?;
        let length = file.metadata().map_err(cannot())?.len();
        let mut head = vec![0; SNIFF_SIZE];
        let mut read = 0;
        while read < head.len() {
            match file
                .read_at(&mut head[read..], read as u64)
                .map_err(cannot())?
            {
                0 => break,
                bytes => read += bytes,
            }
        }
        head.truncate(read);
        let (stored, headless) = layout(&head);
        Ok(Self {
            file,
            length,
            stored,
            headless,
        })
    }

    /// Where the stream begins in the file.
    pub(super) fn stream_start(&self) -> u64 {
        if self.stored { HEAD_ROOM } else { 0 }
    }

    /// Indexes what lies behind `start`, without reading what need not be read. Patches go to `patch`.
    pub(super) fn scan(
        &self,
        start: u64,
        message: &'static str,
        mut patch: impl FnMut(&Patch) -> io::Result<()>,
    ) -> io::Result<Indexer> {
        let length = self.length.saturating_sub(start);
        let mut indexer = Indexer::with(Options::default().stream_length(length));
        let progress = progress(length, message);
        let mut buffer = vec![0; READ_SIZE];
        while indexer.received() < length {
            let at = indexer.received();
            let skippable = indexer.skippable().min(length - at);
            if skippable >= READ_SIZE as u64 {
                indexer.skip(skippable);
            } else {
                let left = usize::try_from(length - at).unwrap_or(READ_SIZE);
                let read = self
                    .file
                    .read_at(&mut buffer[..left.min(READ_SIZE)], start + at)?;
                if read == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                indexer.push(&buffer[..read]);
            }
            while let Some(found) = indexer.poll_patch() {
                patch(&found)?;
            }
            progress.set_position(indexer.received());
        }
        progress.finish_and_clear();
        Ok(indexer)
    }
}

/// A bar on a terminal, and nothing elsewhere.
pub(super) fn progress(length: u64, message: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length).with_message(message);
    let template = "{msg} {wide_bar} {bytes} of {total_bytes}, {eta} left";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Whether a file that begins so has a head room of ours, and whether that is empty.
fn layout(head: &[u8]) -> (bool, bool) {
    let room = SNIFF_SIZE - 16;
    let Some((head, stream)) = head.split_at_checked(room) else {
        return (false, false);
    };
    if head.iter().all(|&byte| byte == 0) {
        return (true, true);
    }
    let ours = |mark: &[u8]| head.windows(mark.len()).any(|at| at == mark);
    if head.starts_with(&EBML_MAGIC) {
        let stored = stream.starts_with(&EBML_MAGIC) && ours(b"Sortie Recording");
        return (stored, false);
    }
    // An MP4: the second box of the head reaches over the first of the stream.
    let hides = ours(b"free") || ours(b"mdat");
    let begins = stream
        .get(4..8)
        .is_some_and(|kind| MP4_FIRST_BOXES.iter().any(|first| kind == first.as_slice()));
    let stored = head.get(4..8) == Some(b"ftyp") && hides && begins;
    (stored, false)
}

#[cfg(test)]
mod tests {
    use super::layout;

    fn file(head: &[u8], stream: &[u8]) -> Vec<u8> {
        let mut bytes = head.to_vec();
        bytes.resize(4096, 0);
        bytes.extend_from_slice(stream);
        bytes
    }

    #[test]
    fn our_own_layout_is_known() {
        let (webm, mp4) = (b"\x1A\x45\xDF\xA3\x80", b"\0\0\0\x18ftypisom");
        let head = b"\x1A\x45\xDF\xA3 Sortie Recording";
        assert_eq!(layout(&file(head, webm)), (true, false));
        assert_eq!(layout(&file(b"", webm)), (true, true));
        assert_eq!(layout(&file(b"", b"")), (true, true), "nothing arrived");
        let head = b"\0\0\0\x10ftypisom\0\0\0\0\0\0\x10\0free";
        assert_eq!(layout(&file(head, mp4)), (true, false));
        assert_eq!(layout(&file(head, b"whatever")), (false, false));
        assert_eq!(layout(&file(webm, webm)), (false, false));
        assert_eq!(layout(b"Hello"), (false, false));
        assert_eq!(layout(b""), (false, false));
    }
}
