//! Files that only their owner may read.

/// Takes all rights of group and others from the files that this process makes from now on: database, recordings and
/// secrets are for this user only, whatever the umask it was started with. For programs, at their very beginning: the
/// umask belongs to the whole process.
pub fn keep_files_private() {
    #[cfg(unix)]
    {
        use rustix::fs::Mode;
        rustix::process::umask(Mode::RWXG | Mode::RWXO);
    }
}
