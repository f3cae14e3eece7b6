//! File descriptors of the process.

use std::sync::OnceLock;

/// Raises the soft limit of open files to the hard limit; returns the effective limit, `None` if unlimited or unknown.
///
/// The usual soft limit of 1,024 is for programs that use `select`; this one does not.
fn raise() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(
                "the limit of open files stays at {:?}: {error}",
                limit.current
            );
            limit.current
        }
    }
}

/// Limit of open files of this process; `usize::MAX` if unlimited or unknown.
pub(crate) fn limit() -> usize {
    static LIMIT: OnceLock<usize> = OnceLock::new();
    *LIMIT.get_or_init(|| {
        let limit = raise();
        limit.map_or(usize::MAX, |limit| {
            usize::try_from(limit).unwrap_or(usize::MAX)
        })
    })
}
