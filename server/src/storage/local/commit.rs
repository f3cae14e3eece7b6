//! Group commit: what many recordings wait for is written and made durable together.
//!
//! `fdatasync` of a file that has grown writes its pages, waits for them, and then for the file system's journal.
//! One after the other that is two or three waits for each chunk. Here a thread takes all that waits, writes it,
//! has the kernel begin to move it to the disk, and only then makes one file after the other durable: the first
//! one's wait for the journal is the others' as well. Measured with 500 files and chunks of 64 KiB: 40 % less
//! processor time for each chunk and less than half the context switches, as `docs/benchmarks.md` tells.
//!
//! Nothing waits for company: a chunk that comes alone goes alone.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

/// Threads that commit at once, however little waits: one can write while others wait for the disk.
const THREADS: usize = 4;
/// And when groups of files wait, as they do for a disk that is slow to flush: it can do so for many at once.
const MORE_THREADS: usize = 16;
/// Files in one group, at most; the others' turn must come.
const GROUP: usize = 16;

/// What is to be written into one file, in order, each with its position.
#[derive(Debug, Default)]
pub(super) struct Writes {
    pieces: Vec<(u64, Bytes)>,
    size: usize,
}

impl Writes {
    pub(super) fn push(&mut self, position: u64, bytes: Bytes) {
        self.size += bytes.len();
        self.pieces.push((position, bytes));
    }

    /// How many bytes they are.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Writes all of it into a file that ends at `length` now. Blocking.
    ///
    /// # Errors
    /// Any. What a full disk let in half-way is cut off again: the length is the offset.
    pub(super) fn write(&self, file: &File, length: u64) -> io::Result<()> {
        let mut rest = self.pieces.as_slice();
        while let Some(&(position, _)) = rest.first() {
            let run = run(rest);
            if let Err(error) = write_all_vectored(file, &rest[..run], position) {
                file.set_len(length)?;
                return Err(error);
            }
            rest = &rest[run..];
        }
        Ok(())
    }

    /// Has the kernel begin to write to the disk what [`Writes::write`] has given it. A hint: what goes wrong
    /// shows at `fdatasync`.
    pub(super) fn begin_writeback(&self, file: &File) {
        let begin = self.pieces.iter().map(|&(position, _)| position).min();
        let ends = self
            .pieces
            .iter()
            .map(|(position, bytes)| position + bytes.len() as u64);
        if let (Some(begin), Some(end)) = (begin, ends.max()) {
            begin_writeback(file, begin, end - begin);
        }
    }
}

/// How many of the first pieces follow each other without a gap; as many as one call takes.
fn run(pieces: &[(u64, Bytes)]) -> usize {
    /// Every system that we run on takes 1024.
    const AT_ONCE: usize = 64;
    let mut end = None;
    pieces
        .iter()
        .take(AT_ONCE)
        .take_while(|(position, bytes)| {
            let follows = end.is_none_or(|end| end == *position);
            end = Some(position + bytes.len() as u64);
            follows
        })
        .count()
}

fn write_all_vectored(file: &File, pieces: &[(u64, Bytes)], mut position: u64) -> io::Result<()> {
    let mut slices: Vec<_> = pieces
        .iter()
        .map(|(_, bytes)| IoSlice::new(bytes))
        .collect();
    let mut left = slices.as_mut_slice();
    // Empty ones in front would look like the end of the disk.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match rustix::io::pwritev(file, left, position) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                position += written as u64;
                IoSlice::advance_slices(&mut left, written);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "no safe crate has sync_file_range(2); it takes a file descriptor and three integers"
)]
fn begin_writeback(file: &File, position: u64, length: u64) {
    use std::os::fd::AsRawFd as _;
    let (Ok(position), Ok(length)) = (position.try_into(), length.try_into()) else {
        return;
    };
    // SAFETY: the descriptor is open as long as `file` is borrowed; no memory is passed.
    unsafe {
        libc::sync_file_range(
            file.as_raw_fd(),
            position,
            length,
            libc::SYNC_FILE_RANGE_WRITE,
        );
    }
}

#[cfg(not(target_os = "linux"))]
fn begin_writeback(_: &File, _: u64, _: u64) {}

/// Why something did not become durable.
#[derive(Debug)]
pub(super) enum Failure {
    /// The file is as it was before.
    NotWritten(io::Error),
    /// The file has been cut off behind what was durable before.
    NotDurable(io::Error),
}

/// What is to become durable.
struct Job {
    file: Arc<File>,
    writes: Writes,
    /// The file's length without the writes.
    length: u64,
    /// How much of it is known to survive a power cut.
    durable: u64,
    done: oneshot::Sender<Result<(), Failure>>,
}

/// Commits for all files of a folder.
#[derive(Debug, Default)]
pub(super) struct Committer(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    /// The oldest first.
    waiting: VecDeque<Job>,
    /// Threads at work.
    threads: usize,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("waiting", &self.waiting.len())
            .field("threads", &self.threads)
            .finish()
    }
}

impl Committer {
    /// Writes, and makes the file durable with all that was written before. `length` is where the file ends without
    /// the writes, `durable` how much of that survives a power cut.
    pub(super) async fn commit(
        self: &Arc<Self>,
        file: Arc<File>,
        writes: Writes,
        length: u64,
        durable: u64,
    ) -> Result<(), Failure> {
        let (done, committed) = oneshot::channel();
        let job = Job {
            file,
            writes,
            length,
            durable,
            done,
        };
        if self.enqueue(job) {
            let committer = Arc::clone(self);
            tokio::task::spawn_blocking(move || committer.work());
        }
        committed.await.unwrap_or_else(|_| {
            let error = io::Error::other("nobody knows whether it became durable");
            Err(Failure::NotDurable(error))
        })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another thread is to come.
    fn enqueue(&self, job: Job) -> bool {
        let mut queue = self.queue();
        queue.waiting.push_back(job);
        let wanted =
            queue.threads < THREADS || queue.threads < MORE_THREADS && queue.waiting.len() >= GROUP;
        if wanted {
            queue.threads += 1;
        }
        wanted
    }

    /// Commits until nothing waits.
    fn work(&self) {
        loop {
            let mut queue = self.queue();
            if queue.waiting.is_empty() {
                queue.threads -= 1;
                return;
            }
            let size = queue.waiting.len().min(GROUP);
            let group: Vec<_> = queue.waiting.drain(..size).collect();
            drop(queue);
            // The thread must be counted out, whatever happens; whoever waits learns of it by the dropped sender.
            let _ = catch_unwind(AssertUnwindSafe(|| commit_together(group)));
        }
    }
}

/// See the [module](self).
fn commit_together(group: Vec<Job>) {
    let alone = group.len() == 1;
    let mut written = Vec::with_capacity(group.len());
    for mut job in group {
        match job.writes.write(&job.file, job.length) {
            Ok(()) => {
                if !alone {
                    job.writes.begin_writeback(&job.file);
                }
                // Others may need the memory before this is durable.
                job.writes = Writes::default();
                written.push(job);
            }
            Err(error) => drop(job.done.send(Err(Failure::NotWritten(error)))),
        }
    }
    for job in written {
        let synced = job.file.sync_data().map_err(|error| {
            // After a failed fdatasync the kernel may call the lost pages clean: what was not durable before must
            // not be believed any more.
            let _ = job.file.set_len(job.durable);
            Failure::NotDurable(error)
        });
        // Whoever asked may have gone with the runtime.
        drop(job.done.send(synced));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    fn file() -> File {
        tempfile::tempfile().expect("a temporary file")
    }

    fn contents(file: &File) -> Vec<u8> {
        use std::io::Seek as _;
        let mut file = file;
        let mut contents = Vec::new();
        file.rewind().expect("the beginning");
        file.read_to_end(&mut contents).expect("what was written");
        contents
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_pieces_are_written_where_they_belong_and_in_order(
            pieces in prop::collection::vec((0_u64..300, prop::collection::vec(any::<u8>(), 0..40)), 0..60),
            appended in prop::collection::vec(0_usize..40, 0..40),
        ) {
            let (file, mut writes, mut expected) = (file(), Writes::default(), Vec::new());
            let mut put = |position: u64, bytes: Vec<u8>| {
                let at = usize::try_from(position).expect("small");
                if !bytes.is_empty() {
                    expected.resize(expected.len().max(at + bytes.len()), 0);
                    expected[at..at + bytes.len()].copy_from_slice(&bytes);
                }
                writes.push(position, bytes.into());
            };
            // As a stream comes, then patches anywhere.
            let mut end = 0;
            for length in appended {
                put(end, vec![u8::try_from(length).expect("small") | 0x80; length]);
                end += length as u64;
            }
            pieces.into_iter().for_each(|(position, bytes)| put(position, bytes));
            writes.write(&file, 0).expect("room");
            prop_assert_eq!(contents(&file), expected);
        }
    }

    #[test]
    fn what_fails_half_way_is_cut_off() {
        let mut writes = Writes::default();
        writes.push(3, Bytes::from_static(b"def"));
        // No file is that long.
        writes.push(u64::MAX >> 1, Bytes::from_static(b"x"));
        let file = file();
        file.set_len(3).expect("room");
        assert!(writes.write(&file, 3).is_err());
        assert_eq!(contents(&file), [0; 3]);
    }

    #[tokio::test]
    async fn many_files_become_durable_and_threads_are_counted_out() {
        let committer = Arc::new(Committer::default());
        let files: Vec<_> = (0..100_u8).map(|_| Arc::new(file())).collect();
        for round in 0..3_u64 {
            let commits = files.iter().enumerate().map(|(number, file)| {
                let mut writes = Writes::default();
                let byte = u8::try_from(number).expect("small");
                writes.push(round * 10, vec![byte; 10].into());
                committer.commit(Arc::clone(file), writes, round * 10, round * 10)
            });
            for committed in futures_util::future::join_all(commits).await {
                assert!(committed.is_ok());
            }
        }
        for (number, file) in files.iter().enumerate() {
            assert_eq!(
                contents(file),
                vec![u8::try_from(number).expect("small"); 30]
            );
        }
        while committer.queue().threads > 0 {
            tokio::task::yield_now().await;
        }
        assert!(committer.queue().waiting.is_empty());
    }

    #[tokio::test]
    async fn one_that_fails_does_not_take_others_along() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, b"abc").expect("a file");
        let read_only = Arc::new(File::open(&path).expect("the file"));
        let (committer, good) = (Arc::new(Committer::default()), Arc::new(file()));
        let writes = || {
            let mut writes = Writes::default();
            writes.push(0, Bytes::from_static(b"xyz"));
            writes
        };
        let (failed, succeeded) = tokio::join!(
            committer.commit(read_only, writes(), 3, 3),
            committer.commit(Arc::clone(&good), writes(), 0, 0),
        );
        assert!(failed.is_err());
        assert!(succeeded.is_ok());
        assert_eq!(contents(&good), b"xyz");
        assert_eq!(std::fs::read(&path).expect("the file"), b"abc");
    }
}
