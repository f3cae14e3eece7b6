//! Files readable by their owner only.

/// Sets a umask that removes all permissions of group and others from files created from now on: database, recordings
/// and secrets. Programs call it first, because the umask belongs to the whole process.
pub fn keep_files_private() {
    #[cfg(unix)]
    {
        use rustix::fs::Mode;
        rustix::process::umask(Mode::RWXG | Mode::RWXO);
    }
}
