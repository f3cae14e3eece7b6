//! Test recording in an in-memory file, which is sent without copying.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::Result;
use rustix::fs::{MemfdFlags, memfd_create};

pub(crate) struct Footage(File);

impl Footage {
    pub(crate) fn new(recording: &[u8]) -> Result<Self> {
        let mut file = File::from(memfd_create("footage", MemfdFlags::CLOEXEC)?);
        file.write_all(recording)?;
        Ok(Self(file))
    }
}

impl AsFd for Footage {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
