//! Automatic and manual recording, file after file, across failures of signal, encoder and disk.
//!
//! [`Controller`] decides when to record, [`Splitter`] where a file ends. [`Recorder`] executes this in a thread: it
//! polls the source, starts and stops pipelines, and reports [`Event`]s. [`Snapshot`] is its current state.
//!
//! The recorder deletes no recording, and knows nothing of accounts and pages.

mod captures;
mod controller;
mod driver;
mod encoder_choice;
mod frame_sink;
mod hook;
mod live_picture;
mod name;
mod preroll;
mod preview;
mod recordings_folder;
mod sessions;
mod signal_probe;
mod signal_source;
mod source_adapter;
mod split;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

pub use controller::{Cause, Controller, Input, Output, Timeouts};
pub use name::file_name;
use sortie_server::LivePicture;
pub use split::{Cut, Limits, Splitter};

use crate::clock::monotonic;
use crate::pipeline::{IdleFrames, Notice};
use crate::problem::Problem;
use crate::signal::{Mode, Signal};
use crate::source::{Source, TestInput};
use crate::writer::{self, Finished, Progress, RecoveredFile};

/// Parameters of a [`Recorder`].
#[derive(Debug, Clone)]
pub struct Setup {
    pub source: Source,
    /// Mode of a source that offers several.
    pub mode: Option<Mode>,
    /// Time that a grabber's test pattern must last before it counts as no signal; `None` disables the check.
    pub no_signal_after: Option<Duration>,
    /// Frames that equal the one before.
    pub idle_frames: IdleFrames,
    /// Folder for recordings; created if missing.
    pub folder: PathBuf,
    /// Time before the start of a recording that it has in addition; 0 for none.
    pub preroll: Duration,
    /// Limits of a file.
    pub split: Limits,
    /// Command for `sh` that makes the folder writable, run before each recording.
    pub hook: Option<String>,
    /// Time limit of the hook.
    pub hook_limit: Duration,
    /// Bytes that stay free: with fewer, recording stops.
    pub reserve_bytes: u64,
    /// Initial state of auto-record.
    pub auto: bool,
}

/// Event of a [`Recorder`].
#[derive(Debug)]
pub enum Event {
    /// Unfinished file of an earlier run.
    Recovered(RecoveredFile),
    Begun {
        session: u64,
        cause: Cause,
        name: String,
        /// Time since its first frame was captured.
        age: Duration,
    },
    /// A file is finished and playable.
    Finished {
        session: u64,
        file: Finished,
        /// Whether a failure ended it.
        interrupted: bool,
    },
    /// Reason that prevents a recording, for the log.
    Problem(Problem),
}

/// State of a [`Recorder`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Name of the capture device, once found.
    pub device: Option<String>,
    pub signal: Signal,
    pub auto: bool,
    pub recording: bool,
    /// Present cause of the recording in progress.
    pub cause: Option<Cause>,
    /// Whether a recording is requested, in progress or not.
    pub wanted: bool,
    /// Reason that prevents a recording, or ended the last one.
    pub problem: Option<Problem>,
    /// GStreamer element; `None` if the source delivers H.264, and before the first recording.
    pub encoder: Option<&'static str>,
    /// Progress of the file in progress.
    pub written: Progress,
    /// Duration of the pre-roll with which a recording would begin now.
    pub preroll: Duration,
    /// Duration of the finished files of this session, in ms.
    pub session_ms: u64,
    /// Frames dropped since the start because the encoder or the disk was too slow.
    pub dropped: u64,
    /// Frames of `dropped` for which the disk was too slow.
    pub dropped_by_disk: u64,
    /// Frames from the source since the start, while there was a pipeline for recordings.
    pub frames: u64,
}

enum Message {
    Notice(u64, Notice),
    /// The pipeline with this ID receives another signal than it was started for.
    Changed(u64),
    Writer(writer::Event),
    AskForKeyframe,
    Start,
    Stop,
    Auto(bool),
    Backlog(bool),
    Quit,
}

/// There is no signal to record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is nothing to record: {0}")]
pub struct NoSignal(pub Signal);

/// Recorder thread. Dropping it finishes the recording in progress.
pub struct Recorder {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// Handle of a [`Recorder`]. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    send: mpsc::Sender<Message>,
    snapshot: Arc<Mutex<Snapshot>>,
    /// Time of the last iteration, in ms of [`monotonic`].
    moved_at: Arc<AtomicU64>,
    test: Option<TestInput>,
    picture: LivePicture,
}

impl Recorder {
    /// Starts the thread, which calls `on_event`.
    ///
    /// # Errors
    ///
    /// GStreamer cannot be initialised, or the thread cannot be created.
    pub fn start(setup: Setup, on_event: impl FnMut(Event) + Send + 'static) -> io::Result<Self> {
        crate::encoder::init().map_err(io::Error::other)?;
        let mode = setup.mode.unwrap_or(crate::source::TEST_MODE);
        let test = setup.source.test_input(mode);
        let (send, receive) = mpsc::channel();
        let snapshot = Arc::new(Mutex::new(Snapshot {
            device: None,
            signal: Signal::NoDevice,
            auto: setup.auto,
            recording: false,
            cause: None,
            wanted: setup.auto,
            problem: None,
            encoder: None,
            written: Progress::default(),
            preroll: Duration::ZERO,
            session_ms: 0,
            dropped: 0,
            dropped_by_disk: 0,
            frames: 0,
        }));
        let handle = Handle {
            send,
            snapshot,
            moved_at: Arc::new(AtomicU64::new(milliseconds(monotonic()))),
            test,
            picture: LivePicture::default(),
        };
        let driver = driver::Driver::new(&setup, handle.clone(), on_event);
        let thread = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || driver.run(&receive))?;
        Ok(Self {
            handle,
            thread: Some(thread),
        })
    }

    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.handle.tell(Message::Quit);
        if let Some(thread) = self.thread.take() {
            // The thread has already reported its end by events.
            let _ = thread.join();
        }
    }
}

impl Handle {
    /// Returns the current state, at most a quarter of a second old.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the time of the thread's last iteration, on the clock of [`monotonic`]. Iterations take a fraction of a
    /// second unless a driver blocks.
    #[must_use]
    pub fn moved_at(&self) -> Duration {
        Duration::from_millis(self.moved_at.load(Ordering::Relaxed))
    }

    /// Starts a recording, which lasts until [`stop`](Self::stop), across losses of the signal.
    ///
    /// # Errors
    ///
    /// [`NoSignal`] if there is none now.
    pub fn begin(&self) -> Result<(), NoSignal> {
        let signal = self.snapshot().signal;
        if !matches!(signal, Signal::Steady(_)) {
            return Err(NoSignal(signal));
        }
        self.tell(Message::Start);
        Ok(())
    }

    /// Stops recording. Auto-record does not restart it while this signal lasts.
    pub fn stop(&self) {
        self.tell(Message::Stop);
    }

    pub fn set_auto(&self, auto: bool) {
        self.tell(Message::Auto(auto));
    }

    /// Pauses recording while storage use is above the threshold and only recordings that are not forwarded yet could
    /// be deleted.
    pub fn set_backlog(&self, backlog: bool) {
        self.tell(Message::Backlog(backlog));
    }

    /// Returns the signal of the test source; `None` for a real source.
    #[must_use]
    pub fn test_input(&self) -> Option<&TestInput> {
        self.test.as_ref()
    }

    /// Returns the live picture of the input.
    #[must_use]
    pub fn picture(&self) -> &LivePicture {
        &self.picture
    }

    fn tell(&self, message: Message) {
        // Fails only if the thread has ended.
        let _ = self.send.send(message);
    }

    fn show(&self, snapshot: Snapshot) {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
        self.moved_at
            .store(milliseconds(monotonic()), Ordering::Relaxed);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod encoder_failure {
    use super::*;

    /// Simulates only the notice of an encoder that fails during a recording.
    #[test]
    fn encoder_failure_continues_session_with_next_encoder() {
        let long = Duration::from_secs(120);
        let dir = tempfile::tempdir().unwrap();
        let setup = Setup {
            source: Source::Test,
            mode: Some("320x240@30".parse().unwrap()),
            no_signal_after: None,
            idle_frames: IdleFrames::Drop,
            folder: dir.path().to_owned(),
            preroll: Duration::ZERO,
            split: Limits::default(),
            hook: None,
            hook_limit: long,
            reserve_bytes: 0,
            auto: true,
        };
        let (send, events) = mpsc::channel();
        let recorder = Recorder::start(setup, move |event| drop(send.send(event))).unwrap();
        let mut files = Vec::new();
        let mut encoders = Vec::new();
        while files.len() < 2 {
            match events.recv_timeout(long).unwrap() {
                Event::Begun { session, name, .. } => {
                    while recorder.handle().snapshot().written.duration_ms < 500 {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    files.push((session, name));
                    encoders.extend(recorder.handle().snapshot().encoder);
                    let reason = Problem::other("the encoder has burnt out");
                    let notice = Notice::Broken {
                        reason,
                        at_source: false,
                    };
                    recorder.handle().tell(Message::Notice(1, notice));
                }
                Event::Problem(problem) => assert_eq!(problem.words, "the encoder has burnt out"),
                Event::Finished { interrupted, .. } => assert!(interrupted),
                Event::Recovered(recovered) => panic!("{recovered:?}"),
            }
        }
        assert_eq!(files[0].0, files[1].0, "one session");
        assert_ne!(files[0].1, files[1].1);
        assert_ne!(encoders[0], encoders[1]);
    }
}
