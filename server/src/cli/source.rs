//! Input file of a command: where its stream begins, and its index.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use sortie_media::stored::{self, Layout, SNIFF_SIZE};
use sortie_media::{Indexer, Patch};

use super::{Failure, terminal};

/// An open recording, read-only.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) file: File,
    /// Size of the file in bytes.
    pub(super) length: u64,
    /// Offset of the stream.
    pub(super) layout: Layout,
}

impl Source {
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let cannot = || Failure::file("cannot read", path);
        // Checked before opening: opening a pipe would wait for its writer.
        let metadata = std::fs::metadata(path).map_err(cannot())?;
        if !metadata.is_file() {
            let what = if metadata.is_dir() {
                "is a folder"
            } else {
                "is no ordinary file"
            };
            return Err(Failure::Usage(format!("{} {what}.", terminal::name(path))));
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
        let layout = match Layout::sniff(&head) {
            // A file of the capture agent without a stream after a power cut, or more likely another program's MP4.
            Layout::HeadOnly => Layout::Plain,
            layout => layout,
        };
        Ok(Self {
            file,
            length,
            layout,
        })
    }

    /// Indexes the file from `start`, reading only what the index needs. Passes patches to `patch`.
    pub(super) fn scan(
        &self,
        start: u64,
        message: &'static str,
        patch: impl FnMut(&Patch) -> io::Result<()>,
    ) -> io::Result<Indexer> {
        let length = self.length.saturating_sub(start);
        let progress = progress(length, message);
        let read_at = |offset, buffer: &mut [u8]| {
            progress.set_position(offset);
            self.file.read_at(buffer, start + offset)
        };
        let indexer = stored::scan(length, read_at, patch)?;
        progress.finish_and_clear();
        Ok(indexer)
    }
}

/// Progress bar on a terminal, otherwise hidden.
pub(super) fn progress(length: u64, message: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(length).with_message(message);
    let template = "{msg} {wide_bar} {bytes} of {total_bytes}, {eta} left";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
