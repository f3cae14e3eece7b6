//! Client of ustreamer's shared memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};

use super::layout::{Abi, Header, Layout, Unreadable, VERSIONED};

/// Longest header of all layouts.
const LONGEST_HEADER: usize = 256;

/// Shared memory with the latest frame. It is read as a file, without mapping it.
pub(super) struct Sink {
    file: File,
    length: u64,
    abi: Abi,
    /// Last frame that was read.
    last: Option<u64>,
}

/// Frame with its data.
pub(super) struct Frame {
    pub(super) header: Header,
    pub(super) data: Vec<u8>,
}

/// Result of a look at the memory.
pub(super) enum Look {
    New(Frame),
    /// No frame since the last look, or ustreamer is writing one.
    Nothing,
}

impl Sink {
    /// Opens the memory; without an error if ustreamer has not written to it yet.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = File::options();
        options.read(true).write(true);
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = options
            .custom_flags(flags.bits().cast_signed())
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no shared memory"));
        }
        let abi = Abi::native();
        let abi = abi.ok_or_else(|| io::Error::other("this processor is not supported"))?;
        Ok(Self {
            file,
            length: metadata.len(),
            abi,
            last: None,
        })
    }

    /// Reads the latest frame if it is new, and keeps ustreamer writing frames. `wants_key` requests a keyframe, which
    /// ustreamer supports since its version 5.26.
    pub(super) fn look(&mut self, now: Duration, wants_key: bool) -> io::Result<Look> {
        match flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(Look::Nothing),
            Err(error) => return Err(error.into()),
        }
        let look = self.look_locked(now, wants_key);
        flock(&self.file, FlockOperation::Unlock)?;
        look
    }

    fn look_locked(&mut self, now: Duration, wants_key: bool) -> io::Result<Look> {
        let mut bytes = [0; LONGEST_HEADER];
        let read = self.file.read_at(&mut bytes, 0)?;
        let bytes = bytes.get(..read).unwrap_or_default();
        let layout = match Layout::of(
            bytes.get(..VERSIONED).unwrap_or_default(),
            self.length,
            self.abi,
        ) {
            Ok(layout) => layout,
            Err(Unreadable::Empty) => return Ok(Look::Nothing),
            Err(Unreadable::Version(version)) => {
                return Err(io::Error::other(format!(
                    "version {version} of ustreamer's shared memory is not supported"
                )));
            }
        };
        let time = layout.time(now.as_secs_f64());
        self.file.write_all_at(&time, layout.last_client as u64)?;
        let header = layout.read(bytes);
        let header =
            header.ok_or_else(|| io::Error::other("ustreamer's shared memory is damaged"))?;
        let is_new_key = header.key && self.last != Some(header.id);
        if let Some(at) = layout.wants_key.filter(|_| wants_key && !is_new_key) {
            self.file.write_all_at(&[1], at as u64)?;
        }
        if self.last == Some(header.id) {
            return Ok(Look::Nothing);
        }
        let mut data = vec![0; header.used];
        self.file.read_exact_at(&mut data, layout.header as u64)?;
        self.last = Some(header.id);
        Ok(Look::New(Frame { header, data }))
    }
}
