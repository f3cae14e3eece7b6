//! Options of glibc's allocator.

/// Returns large short-lived blocks (19 MiB for each password check) to the system immediately, and limits the heaps of
/// threads.
///
/// By default glibc learns from the first such block that is freed to allocate the next ones in the heap, where they
/// stay, and gives the threads up to 8 heaps per processor.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(
    unsafe_code,
    reason = "mallopt(3) takes two integers; there is no safe way to set them but the environment before the start"
)]
pub(crate) fn configure() {
    /// Larger blocks are mapped individually. Larger than the memory that an ordinary request needs.
    const MAPPED_FROM: libc::c_int = 512 * 1024;
    /// Free memory kept at the end of a heap.
    const KEPT: libc::c_int = 2 * 1024 * 1024;
    /// One heap in use, and one for threads that would otherwise wait for it.
    const HEAPS: libc::c_int = 2;
    // SAFETY: called before there are other threads; the options and their ranges are glibc's own. A refusal changes
    // nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        libc::mallopt(libc::M_ARENA_MAX, HEAPS);
    }
}

/// Other allocators need no options.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn configure() {}
