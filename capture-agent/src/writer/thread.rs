//! The thread that writes.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use sortie_media::{EncodedFrame, Fragmenter, VideoTrack};

use super::growing::{FinishError, Finished, Growing, Leftover, finish_leftover};
use super::queue::{Admission, Next, Queue, Verdict};
use super::volume::Volume;

/// How much a [`Writer`] may keep back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The longest fragment: what is lost in a power cut is at most this and what the disk is busy with.
    pub fragment: Duration,
    /// Bytes of encoded frames that may wait for the disk.
    pub queue_bytes: usize,
}

impl Default for Limits {
    /// 500 ms, and 32 MiB: over a minute of a desktop.
    fn default() -> Self {
        Self {
            fragment: Duration::from_millis(500),
            queue_bytes: 32 << 20,
        }
    }
}

/// What happened to a file.
#[derive(Debug)]
pub enum Event {
    /// It was made, under this name, and grows.
    Begun(String),
    /// It is an ordinary recording.
    Finished(Finished),
    /// Nothing of it was durable when it ended, so there is none.
    Empty(String),
    /// [`Handle::end`] is done: whatever was under way has its own event before this.
    Ended,
    /// It could not be made or written any further. What was durable is still there: finished if possible (which
    /// an [`Event::Finished`] says next), else at the next start.
    Failed {
        /// Its name.
        name: String,
        /// Why.
        error: io::Error,
    },
}

/// How far the file under way has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Its name, while one grows.
    pub name: Option<String>,
    /// Milliseconds of it that are durable.
    pub duration_ms: u64,
    /// Bytes of it that are durable.
    pub size_bytes: u64,
    /// Bytes made durable since the writer was started, of all files: what a watchdog watches.
    pub written_bytes: u64,
    /// Frames dropped since the writer was started, because the disk did not keep up.
    pub dropped_frames: u64,
    /// Bytes that wait for the disk.
    pub queued_bytes: usize,
}

enum Command {
    Begin(String, Box<VideoTrack>),
    Frame(EncodedFrame),
    End,
}

struct Shared {
    queue: Queue<Command>,
    progress: Mutex<Progress>,
    admission: Mutex<Admission>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that is kept under these locks is half done when a thread dies.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes recordings into a folder, on a thread of its own.
///
/// Dropping it waits until everything is written and the file under way is finished.
pub struct Writer {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// What frames are handed to. Cheap to clone; nothing happens any more once its [`Writer`] is dropped.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

impl Writer {
    /// Starts the thread. `on_event` is called on it.
    ///
    /// # Errors
    ///
    /// When there can be no more threads.
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

    /// What to hand frames to.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Handle {
    /// Ends the file under way, if any, and begins another with the next keyframe. Where the name is taken it
    /// gets a number.
    pub fn begin(&self, name: impl Into<String>, track: VideoTrack) {
        locked(&self.0.admission).reset();
        self.push(Command::Begin(name.into(), Box::new(track)), 0);
    }

    /// Hands a frame over, unless too much waits already. Never blocks.
    pub fn frame(&self, frame: EncodedFrame) -> Verdict {
        let size = frame.data.len() + size_of::<EncodedFrame>();
        let waiting = self.0.queue.bytes();
        let mut admission = locked(&self.0.admission);
        let verdict = admission.judge(size, frame.keyframe, waiting);
        drop(admission);
        if verdict == Verdict::Take {
            self.push(Command::Frame(frame), size);
        }
        verdict
    }

    /// Ends the file under way; what was handed over before is in it.
    pub fn end(&self) {
        self.push(Command::End, 0);
    }

    /// How far it has come.
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
            // It has said what it had to say by events.
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
    /// `None` after an error: what comes then has no place to go.
    growing: Option<Growing<V::File>>,
}

impl<V: Volume, E: FnMut(Event)> Work<V, E> {
    fn run(mut self) {
        loop {
            match self.shared.queue.pop(self.limits.fragment) {
                Next::Item(Command::Begin(name, track)) => {
                    self.end();
                    self.begin(name, &track);
                }
                Next::Item(Command::Frame(frame)) => {
                    if let Some(current) = &mut self.current {
                        let fragment = current.fragmenter.push(frame);
                        self.write(fragment);
                    }
                }
                Next::Item(Command::End) => {
                    self.end();
                    (self.on_event)(Event::Ended);
                }
                // The source stands still: what is there must not wait for it.
                Next::Nothing => {
                    if let Some(current) = &mut self.current {
                        let fragment = current.fragmenter.flush();
                        self.write(fragment);
                    }
                }
                Next::Closed => break,
            }
        }
        self.end();
    }

    fn begin(&mut self, name: String, track: &VideoTrack) {
        let fragmenter = Fragmenter::new(self.limits.fragment);
        let front = fragmenter.init_segment(track);
        let mut current = Current {
            fragmenter,
            name,
            growing: None,
        };
        match Growing::create_new(&self.volume, &current.name, &front) {
            Ok((name, growing)) => {
                let mut progress = self.shared.progress();
                progress.name = Some(name.clone());
                (progress.duration_ms, progress.size_bytes) = (0, growing.length());
                drop(progress);
                current.name.clone_from(&name);
                current.growing = Some(growing);
                (self.on_event)(Event::Begun(name));
            }
            Err(error) => (self.on_event)(Event::Failed {
                name: current.name.clone(),
                error,
            }),
        }
        self.current = Some(current);
    }

    fn write(&mut self, fragment: Option<Vec<u8>>) {
        let (Some(current), Some(fragment)) = (&mut self.current, fragment) else {
            return;
        };
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
                self.rescue(&name);
            }
        }
    }

    /// Finishes what was durable before an error, if the disk lets us.
    fn rescue(&mut self, name: &str) {
        self.shared.progress().name = None;
        // If not, it stays for the next start, which tells about it.
        if let Ok(Some(Leftover::Finished(finished))) = finish_leftover(&self.volume, name) {
            (self.on_event)(Event::Finished(finished));
        }
    }

    fn end(&mut self) {
        if let Some(current) = &mut self.current {
            let fragment = current.fragmenter.end();
            self.write(fragment);
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
                // Of a recording without a single frame nothing stays.
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
