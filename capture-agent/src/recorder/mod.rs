//! Records by itself or by hand, file after file, whatever happens to the signal, the encoder and the disk.
//!
//! [`Controller`] decides when; [`Splitter`] where a file ends. [`Recorder`] is the thread that carries it out: it
//! watches the source, starts and stops pipelines, and says what happened by [`Event`]s. What it is doing now is in
//! its [`Snapshot`].
//!
//! What it deliberately does not: delete anything, or know of accounts and pages.

mod controller;
mod driver;
mod hook;
mod name;
mod split;
mod take;
#[cfg(test)]
mod tests;
mod watch;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

pub use controller::{Cause, Controller, Input, Output, Patience};
pub use name::file_name;
pub use split::{Cut, Limits, Splitter};

use crate::clock::monotonic;
use crate::pipeline::Notice;
use crate::problem::Problem;
use crate::signal::{Mode, Signal};
use crate::source::{Source, TestInput};
use crate::writer::{self, Finished, Leftover, Progress};

/// What a [`Recorder`] works with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// From where.
    pub source: Source,
    /// In which mode, where the source leaves a choice.
    pub mode: Option<Mode>,
    /// For how long a grabber's own picture must stand before it is believed to have no signal; `None`: any picture is
    /// one.
    pub no_signal_after: Option<Duration>,
    /// Into which folder; made if it is not there.
    pub folder: PathBuf,
    /// When a file is long or large enough.
    pub split: Limits,
    /// A command for `sh` that makes the folder writable; run before each recording.
    pub hook: Option<String>,
    /// How long it may take.
    pub hook_limit: Duration,
    /// Bytes that are always left free: when there are fewer, recording stops.
    pub reserve_bytes: u64,
    /// Whether auto-record is on at the start.
    pub auto: bool,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// Found at the start, unfinished by an earlier run.
    Leftover(Leftover),
    /// A file was begun.
    Begun {
        /// The session it belongs to.
        session: u64,
        /// Who wanted it.
        cause: Cause,
        /// Its name.
        name: String,
    },
    /// A file is an ordinary recording now.
    Finished {
        /// The session it belongs to.
        session: u64,
        /// The file.
        file: Finished,
        /// Whether it ended by a failure.
        interrupted: bool,
    },
    /// Something keeps it from recording: an alarm.
    Problem(Problem),
}

/// What a [`Recorder`] is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What the device calls itself, once one has been found.
    pub device: Option<String>,
    /// What arrives.
    pub signal: Signal,
    /// Whether auto-record is on.
    pub auto: bool,
    /// Whether it records.
    pub recording: bool,
    /// Whether a recording is wanted, under way or not.
    pub wanted: bool,
    /// What keeps it from recording, or kept it last.
    pub problem: Option<Problem>,
    /// The encoder's element; `None` where H.264 arrives, and before the first recording.
    pub encoder: Option<&'static str>,
    /// How far the file under way has come.
    pub written: Progress,
    /// Milliseconds of this session's files before the one under way.
    pub session_ms: u64,
    /// Frames that are missing since the start, because the encoder or the disk was too slow.
    pub dropped: u64,
    /// Those of them that the disk was too slow for.
    pub dropped_by_disk: u64,
}

enum Message {
    Notice(u64, Notice),
    /// What arrives at this pipeline is something else now.
    Changed(u64),
    Writer(writer::Event),
    AskForKeyframe,
    Start,
    Stop,
    Auto(bool),
    Backlog(bool),
    Quit,
}

/// Why it did not begin to record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is nothing to record: {0}")]
pub struct NoSignal(pub Signal);

/// Records, on a thread of its own. Dropping it finishes what is under way.
pub struct Recorder {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// What a [`Recorder`] is told things by. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    send: mpsc::Sender<Message>,
    snapshot: Arc<Mutex<Snapshot>>,
    /// Milliseconds of [`monotonic`].
    moved_at: Arc<AtomicU64>,
    test: Option<TestInput>,
}

impl Recorder {
    /// Starts the thread, and calls `on_event` on it.
    ///
    /// # Errors
    ///
    /// When GStreamer cannot be started, or there can be no more threads.
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
            wanted: setup.auto,
            problem: None,
            encoder: None,
            written: Progress::default(),
            session_ms: 0,
            dropped: 0,
            dropped_by_disk: 0,
        }));
        let handle = Handle {
            send,
            snapshot,
            moved_at: Arc::new(AtomicU64::new(milliseconds(monotonic()))),
            test,
        };
        let driver = driver::Driver::new(setup, handle.clone(), on_event);
        let thread = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || driver.run(&receive))?;
        Ok(Self {
            handle,
            thread: Some(thread),
        })
    }

    /// What to tell it things by.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.handle.tell(Message::Quit);
        if let Some(thread) = self.thread.take() {
            // It has said what it had to say by events.
            let _ = thread.join();
        }
    }
}

impl Handle {
    /// What it is doing: at most a quarter of a second old.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// When its thread last went round, on the clock of [`monotonic`]: several times a second, unless a driver
    /// keeps it waiting.
    #[must_use]
    pub fn moved_at(&self) -> Duration {
        Duration::from_millis(self.moved_at.load(Ordering::Relaxed))
    }

    /// Begins to record; it goes on until [`stop`](Self::stop), over losses of the signal.
    ///
    /// # Errors
    ///
    /// [`NoSignal`] when there is none now.
    pub fn begin(&self) -> Result<(), NoSignal> {
        let signal = self.snapshot().signal;
        if !matches!(signal, Signal::Steady(_)) {
            return Err(NoSignal(signal));
        }
        self.tell(Message::Start);
        Ok(())
    }

    /// Stops, and does not begin again by itself while this signal lasts.
    pub fn stop(&self) {
        self.tell(Message::Stop);
    }

    /// Turns auto-record on or off.
    pub fn set_auto(&self, auto: bool) {
        self.tell(Message::Auto(auto));
    }

    /// Pauses recording while storage use is above the threshold and only recordings that are not forwarded yet could
    /// be deleted.
    pub fn set_backlog(&self, backlog: bool) {
        self.tell(Message::Backlog(backlog));
    }

    /// The cable of the test source; `None` for a real one.
    #[must_use]
    pub fn test_input(&self) -> Option<&TestInput> {
        self.test.as_ref()
    }

    fn tell(&self, message: Message) {
        // It has quit: there is nothing left to tell.
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

    /// An encoder that dies in mid-recording says so by its pipeline's notice, which is what comes here; all the rest is
    /// real.
    #[test]
    fn the_next_encoder_takes_over_with_another_file_of_the_same_session() {
        let long = Duration::from_secs(120);
        let dir = tempfile::tempdir().unwrap();
        let setup = Setup {
            source: Source::Test,
            mode: Some("320x240@30".parse().unwrap()),
            no_signal_after: None,
            folder: dir.path().to_owned(),
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
                Event::Leftover(leftover) => panic!("{leftover:?}"),
            }
        }
        assert_eq!(files[0].0, files[1].0, "one session");
        assert_ne!(files[0].1, files[1].1);
        assert_ne!(encoders[0], encoders[1]);
    }
}
