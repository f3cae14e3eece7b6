//! How glibc's allocator deals with memory that is free again.

/// Has what is large and short-lived (19 MiB for each password that is checked) go back to the system at once, and
/// keeps threads from hoarding.
///
/// By itself glibc learns from the first such block that is freed to take the next ones from the heap, where they stay,
/// and gives every thread up to 8 heaps for each processor.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(
    unsafe_code,
    reason = "mallopt(3) takes two integers; there is no safe way to set them but the environment before the start"
)]
pub(crate) fn tame() {
    /// Larger blocks are mapped for themselves. Larger than anything that every request needs.
    const MAPPED_FROM: libc::c_int = 512 * 1024;
    /// So much may stay free at a heap's end.
    const KEPT: libc::c_int = 2 * 1024 * 1024;
    /// One that is at work, and one for those that would wait for it.
    const HEAPS: libc::c_int = 2;
    // SAFETY: called before there are other threads; the options and their ranges are glibc's own. A refusal changes
    // nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        libc::mallopt(libc::M_ARENA_MAX, HEAPS);
    }
}

/// Others' allocators are left alone.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn tame() {}
