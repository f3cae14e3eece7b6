//! Writer thread.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sortie_media::{EncodedFrame, Fragmenter, VideoTrack};

use super::growing::{FinishError, Finished, Growing, RecoveredFile, finish_leftover};
use super::queue::{Admission, Next, Queue, Verdict};
use super::volume::Volume;
use crate::clock::monotonic;

/// Buffers of a [`Writer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest fragment: a power cut costs at most one fragment and the write in progress.
    pub fragment: Duration,
    /// Bytes of encoded frames that may wait for the disk.
    pub queue_bytes: usize,
}

impl Default for Limits {
    /// Returns 500 ms, and 32 MiB: over a minute of a desktop.
    fn default() -> Self {
        Self {
            fragment: Duration::from_millis(500),
            queue_bytes: 32 << 20,
        }
    }
}

/// Bytes of the pre-roll that become durable together.
const BATCH: usize = 1 << 20;

/// Event of a [`Writer`].
#[derive(Debug)]
pub enum Event {
    /// A file with this name was created. `age` is the time since its first frame was captured.
    Begun {
        name: String,
        age: Duration,
    },
    Finished(Finished),
    /// The file ended without a durable frame and was removed.
    Empty(String),
    /// [`Handle::end`] is complete: the event of the file in progress precedes it.
    Ended,
    /// The file cannot be created or written. Its durable bytes are kept: they are finished now if possible (which an
    /// [`Event::Finished`] reports next), otherwise at the next start.
    Failed {
        name: String,
        error: io::Error,
    },
}

/// Progress of the file in progress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// `None` between files.
    pub name: Option<String>,
    /// Timestamp of its first frame in ns; `None` before that frame.
    pub first_ns: Option<i64>,
    /// Durable duration in ms.
    pub duration_ms: u64,
    pub size_bytes: u64,
    /// Bytes made durable since the writer's start, of all files; used by the watchdog.
    pub written_bytes: u64,
    /// Frames dropped since the writer's start because the disk was too slow.
    pub dropped_frames: u64,
    /// Bytes that wait for the disk.
    pub queued_bytes: usize,
}

enum Command {
    Begin {
        name: String,
        track: Box<VideoTrack>,
        /// Time of the first frame, by the monotonic clock.
        captured_at: Duration,
    },
    Frame {
        frame: EncodedFrame,
        /// Whether it is of the pre-roll: its fragment may wait for the next ones.
        is_past: bool,
    },
    /// End of the file in progress, and whether the caller waits for [`Event::Ended`].
    End {
        /// Decoding time in ns until which the last frame lasts.
        at_ns: Option<i64>,
        is_reported: bool,
    },
}

struct Shared {
    queue: Queue<Command>,
    progress: Mutex<Progress>,
    admission: Mutex<Admission>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The values under these locks are always valid, so poisoning can be ignored.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes recordings into a folder, in a thread of its own.
///
/// Dropping it waits until everything is written and the file in progress is finished.
pub struct Writer {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// Handle for submitting frames. Cheap to clone; without effect once its [`Writer`] is dropped.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

impl Writer {
    /// Starts the thread, which calls `on_event`.
    ///
    /// # Errors
    ///
    /// The thread cannot be created.
    pub fn start(
        volume: impl Volume + 'static,
        limits: Limits,
        on_event: impl FnMut(Event) + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Queue::new(),
            progress: Mutex::default(),
            admission: Mutex::new(Admission::new(limits.queue_bytes)),
        });
        let work = Work {
            volume,
            limits,
            on_event,
            shared: Arc::clone(&shared),
            current: None,
        };
        let thread = thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || work.run())?;
        Ok(Self {
            handle: Handle(shared),
            thread: Some(thread),
        })
    }

    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Handle {
    /// Ends the file in progress, if any, and begins another with the next keyframe. If the name exists, a number is
    /// appended.
    pub fn begin(&self, name: impl Into<String>, track: VideoTrack) {
        self.begin_at(name, track, Duration::ZERO);
    }

    /// As [`begin`](Self::begin), for a file whose first frame was captured `age` ago.
    pub fn begin_at(&self, name: impl Into<String>, track: VideoTrack, age: Duration) {
        locked(&self.0.admission).reset();
        let begin = Command::Begin {
            name: name.into(),
            track: Box::new(track),
            captured_at: monotonic().saturating_sub(age),
        };
        self.push(begin, 0);
    }

    /// Ends the file in progress at `at_ns`, the decoding time of the keyframe that follows, and begins another with it.
    pub fn split(&self, name: impl Into<String>, track: VideoTrack, age: Duration, at_ns: i64) {
        let end = Command::End {
            at_ns: Some(at_ns),
            is_reported: false,
        };
        self.push(end, 0);
        self.begin_at(name, track, age);
    }

    /// Submits a frame unless too many bytes are queued. Never blocks.
    pub fn frame(&self, frame: EncodedFrame) -> Verdict {
        let size = frame.data.len() + size_of::<EncodedFrame>();
        let waiting = self.0.queue.bytes();
        let mut admission = locked(&self.0.admission);
        let verdict = admission.judge(size, frame.keyframe, waiting);
        drop(admission);
        if verdict == Verdict::Take {
            let is_past = false;
            self.push(Command::Frame { frame, is_past }, size);
        }
        verdict
    }

    /// Submits a frame of the pre-roll. It counts as waiting for nothing, because its memory is limited already.
    pub fn past_frame(&self, frame: EncodedFrame) {
        let is_past = true;
        self.push(Command::Frame { frame, is_past }, 0);
    }

    /// Ends the file in progress after the frames submitted so far.
    pub fn end(&self) {
        self.end_at(None);
    }

    /// Ends the file in progress after the frames submitted so far. The last one lasts until the decoding time `at_ns`,
    /// if it is given.
    pub fn end_at(&self, at_ns: Option<i64>) {
        let end = Command::End {
            at_ns,
            is_reported: true,
        };
        self.push(end, 0);
    }

    /// Returns name of the file in progress and timestamp of its first frame in ns.
    #[must_use]
    pub fn file_start(&self) -> Option<(String, i64)> {
        let progress = self.0.progress();
        Some((progress.name.clone()?, progress.first_ns?))
    }

    #[must_use]
    pub fn progress(&self) -> Progress {
        let mut progress = self.0.progress().clone();
        progress.dropped_frames = locked(&self.0.admission).dropped();
        progress.queued_bytes = self.0.queue.bytes();
        progress
    }

    fn push(&self, command: Command, size: usize) {
        self.0.queue.push(command, size);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.handle.0.queue.close();
        if let Some(thread) = self.thread.take() {
            // The thread has reported its end by events.
            let _ = thread.join();
        }
    }
}

struct Work<V: Volume, E> {
    volume: V,
    limits: Limits,
    on_event: E,
    shared: Arc<Shared>,
    current: Option<Current<V>>,
}

struct Current<V: Volume> {
    name: String,
    fragmenter: Fragmenter,
    /// Fragments of the pre-roll that are written together.
    waiting: Vec<u8>,
    /// `None` after an error: the following frames are discarded.
    growing: Option<Growing<V::File>>,
}

impl<V: Volume, E: FnMut(Event)> Work<V, E> {
    fn run(mut self) {
        loop {
            match self.shared.queue.pop(self.limits.fragment) {
                Next::Item(Command::Begin {
                    name,
                    track,
                    captured_at,
                }) => {
                    self.end(None);
                    self.begin(name, &track, captured_at);
                }
                Next::Item(Command::Frame { frame, is_past }) => {
                    if let Some(current) = &mut self.current {
                        if frame.keyframe {
                            let mut progress = self.shared.progress();
                            progress.first_ns.get_or_insert(frame.pts_ns);
                        }
                        let fragment = current.fragmenter.push(frame);
                        self.write(fragment, is_past);
                    }
                }
                Next::Item(Command::End { at_ns, is_reported }) => {
                    self.end(at_ns);
                    if is_reported {
                        (self.on_event)(Event::Ended);
                    }
                }
                // The source stalls, so the queued frames are written now.
                Next::Nothing => {
                    if let Some(current) = &mut self.current {
                        let fragment = current.fragmenter.flush();
                        self.write(fragment, false);
                    }
                }
                Next::Closed => break,
            }
        }
        self.end(None);
    }

    fn begin(&mut self, name: String, track: &VideoTrack, captured_at: Duration) {
        let fragmenter = Fragmenter::new(self.limits.fragment);
        let front = fragmenter.init_segment(track);
        let mut current = Current {
            fragmenter,
            name,
            waiting: Vec::new(),
            growing: None,
        };
        match Growing::create_new(&self.volume, &current.name, &front) {
            Ok((name, growing)) => {
                let mut progress = self.shared.progress();
                (progress.name, progress.first_ns) = (Some(name.clone()), None);
                (progress.duration_ms, progress.size_bytes) = (0, growing.length());
                drop(progress);
                current.name.clone_from(&name);
                current.growing = Some(growing);
                let age = monotonic().saturating_sub(captured_at);
                (self.on_event)(Event::Begun { name, age });
            }
            Err(error) => (self.on_event)(Event::Failed {
                name: current.name.clone(),
                error,
            }),
        }
        self.current = Some(current);
    }

    /// Writes a fragment. One that `may_wait` is written with the next ones.
    fn write(&mut self, fragment: Option<Vec<u8>>, may_wait: bool) {
        let Some(current) = &mut self.current else {
            return;
        };
        let mut fragment = fragment.unwrap_or_default();
        if may_wait || !current.waiting.is_empty() {
            current.waiting.append(&mut fragment);
            if may_wait && current.waiting.len() < BATCH {
                return;
            }
            fragment = std::mem::take(&mut current.waiting);
        }
        if fragment.is_empty() {
            return;
        }
        let Some(growing) = &mut current.growing else {
            return;
        };
        let before = growing.length();
        match growing.append(&fragment) {
            Ok(()) => {
                let mut progress = self.shared.progress();
                progress.duration_ms = growing.duration_ms();
                progress.size_bytes = growing.length();
                progress.written_bytes += growing.length() - before;
            }
            Err(error) => {
                current.growing = None;
                let name = current.name.clone();
                (self.on_event)(Event::Failed {
                    name: name.clone(),
                    error,
                });
                self.finish_after_error(&name);
            }
        }
    }

    /// Finishes the durable bytes after an error, if possible.
    fn finish_after_error(&mut self, name: &str) {
        self.shared.progress().name = None;
        // Otherwise the next start finishes and reports it.
        if let Ok(Some(RecoveredFile::Finished(finished))) = finish_leftover(&self.volume, name) {
            (self.on_event)(Event::Finished(finished));
        }
    }

    fn end(&mut self, at_ns: Option<i64>) {
        if let Some(current) = &mut self.current {
            let fragment = match at_ns {
                Some(at_ns) => current.fragmenter.end_at(at_ns),
                None => current.fragmenter.end(),
            };
            self.write(fragment, false);
        }
        let Some(current) = self.current.take() else {
            return;
        };
        self.shared.progress().name = None;
        let Some(growing) = current.growing else {
            return;
        };
        let event = match growing.finish(&self.volume, &current.name) {
            Ok(finished) => Event::Finished(finished),
            Err(FinishError::Io(error)) => Event::Failed {
                name: current.name,
                error,
            },
            Err(FinishError::Unplayable(_)) => {
                // A recording without a frame is removed.
                let _ = finish_leftover(&self.volume, &current.name);
                Event::Empty(current.name)
            }
        };
        (self.on_event)(event);
    }
}

impl Shared {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        locked(&self.progress)
    }
}
