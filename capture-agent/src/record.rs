//! Records into one file, without a server: for a first try, and for scripts.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::clock::monotonic;
use crate::encoder::{self, InitError, Trial};
use crate::pipeline::{IdleFrames, Media, Notice, Pipeline, Plan, StartError};
use crate::signal::Mode;
use crate::source::{Delivery, Source, SourceError};
use crate::writer::{self, Finished, Folder, Limits, Progress, RecoveredFile, Verdict, Writer};

/// Time limit of each encoder trial.
const TRIAL: Duration = Duration::from_secs(10);
/// Longest time without durable bytes before the recording fails.
const SILENCE: Duration = Duration::from_secs(10);
/// Time limit for the last frames after a stop.
const ENDING: Duration = Duration::from_secs(5);
/// Interval of progress reports.
const TICK: Duration = Duration::from_millis(250);

/// Parameters of a recording.
#[derive(Debug, Clone)]
pub struct Order {
    pub source: Source,
    /// Mode of a source that offers several.
    pub mode: Option<Mode>,
    /// `None` records until it is stopped.
    pub length: Option<Duration>,
    /// Frames that equal the one before.
    pub idle_frames: IdleFrames,
    /// File to create. Its name ends in `.mp4`.
    pub file: PathBuf,
}

/// Step of a recording.
#[derive(Debug)]
pub enum Step {
    /// An unfinished file of an earlier run, in the same folder.
    RecoveredFile(RecoveredFile),
    Begun {
        mode: Mode,
        /// GStreamer element; `None` if the source delivers H.264.
        encoder: Option<&'static str>,
    },
    Going {
        written: Progress,
        /// Frames dropped because the encoder was too slow.
        dropped: u64,
    },
    /// The format changed and another file begins; this one is finished.
    Next(Finished),
}

/// Result of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    pub file: Finished,
    /// Frames dropped because the encoder or the disk was too slow.
    pub dropped: u64,
    /// Reason of an early end.
    pub broken: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file name cannot be used.
    #[error("{}: {reason}", path.display())]
    Name { path: PathBuf, reason: &'static str },
    /// GStreamer cannot be initialised.
    #[error(transparent)]
    Init(#[from] InitError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("no H.264 encoder works here; `probe` says why")]
    NoEncoder(Vec<Trial>),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("{}: {error}", path.display())]
    Disk { path: PathBuf, error: io::Error },
    #[error("nothing was recorded: {0}")]
    Nothing(String),
}

enum Message {
    Notice(Notice),
    Writer(writer::Event),
    AskForKeyframe,
    Long,
}

/// Records until `stopped` is set, the length is reached, or the source ends.
///
/// # Errors
///
/// [`RecordError`] if there is no recording. A recording that was cut short is a [`Recorded`].
pub fn record(
    order: &Order,
    stopped: &AtomicBool,
    mut on_step: impl FnMut(Step),
) -> Result<Recorded, RecordError> {
    let (folder, name) = place(&order.file)?;
    let disk = |error| RecordError::Disk {
        path: folder.path().to_owned(),
        error,
    };
    for recovered in writer::recover_files(&folder).map_err(disk)? {
        on_step(Step::RecoveredFile(recovered));
    }
    encoder::init()?;
    let (capture, mode) = order.source.open(order.mode)?;
    let encoder = match capture.delivery() {
        Delivery::H264 => None,
        Delivery::Raw | Delivery::Jpeg => {
            let working = encoder::first_working(mode, TRIAL, &[]);
            Some(working.map_err(RecordError::NoEncoder)?)
        }
    };
    let (send, messages) = mpsc::channel();
    let from_writer = send.clone();
    let writer = Writer::start(folder.clone(), Limits::default(), move |event| {
        // The receiver is gone after the recording.
        let _ = from_writer.send(Message::Writer(event));
    })
    .map_err(disk)?;
    let plan = Plan {
        capture,
        mode,
        encoder,
        no_signal_after: None,
        stills: Vec::new(),
        idle_frames: order.idle_frames,
    };
    let from_bus = Mutex::new(send.clone());
    let pipeline = Pipeline::start(
        &plan,
        take(writer.handle().clone(), name, order.length, send),
        move |notice| {
            if let Ok(send) = from_bus.lock() {
                let _ = send.send(Message::Notice(notice));
            }
        },
    )?;
    on_step(Step::Begun {
        mode,
        encoder: encoder.map(|encoder| encoder.element),
    });
    let mut run = Run {
        pipeline,
        writer,
        messages,
        finished: None,
        broken: None,
    };
    run.wait_until_over(stopped, &mut on_step);
    run.close(&folder)
}

/// Splits a path into folder and file name.
fn place(file: &Path) -> Result<(Folder, String), RecordError> {
    let wrong = |reason| RecordError::Name {
        path: file.to_owned(),
        reason,
    };
    let name = file.file_name().and_then(|name| name.to_str());
    let name = name.filter(|name| name.ends_with(".mp4") && *name != ".mp4");
    let name = name.ok_or_else(|| wrong("the file's name must end in .mp4"))?;
    if file.exists() {
        return Err(wrong("there is such a file already"));
    }
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    Ok((Folder::new(folder), name.to_owned()))
}

/// Callback that passes frames from the pipeline to the writer.
fn take(
    writer: writer::Handle,
    name: String,
    length: Option<Duration>,
    send: mpsc::Sender<Message>,
) -> impl FnMut(Media) + Send {
    let length = length.map(|length| i64::try_from(length.as_nanos()).unwrap_or(i64::MAX));
    let mut first = None;
    let mut over = false;
    move |media| match media {
        Media::Track(track) => writer.begin(name.clone(), track),
        Media::Frame(frame) if !over => {
            let began = *first.get_or_insert(frame.pts_ns);
            if length.is_some_and(|length| frame.pts_ns - began >= length) {
                over = true;
                writer.end_at(length.map(|length| began.saturating_add(length)));
                let _ = send.send(Message::Long);
            } else if writer.frame(frame) == Verdict::DropAndAsk {
                let _ = send.send(Message::AskForKeyframe);
            }
        }
        Media::Frame(_) => {}
    }
}

struct Run {
    pipeline: Pipeline,
    writer: Writer,
    messages: mpsc::Receiver<Message>,
    finished: Option<Finished>,
    broken: Option<String>,
}

impl Run {
    fn wait_until_over(&mut self, stopped: &AtomicBool, on_step: &mut impl FnMut(Step)) {
        let mut written = (0, monotonic());
        while !stopped.load(Ordering::Relaxed) {
            match self.messages.recv_timeout(TICK) {
                Ok(Message::AskForKeyframe) => self.pipeline.request_keyframe(),
                Ok(Message::Long | Message::Notice(Notice::Ended)) => return,
                Ok(Message::Notice(Notice::Broken { reason, .. })) => {
                    self.broken = Some(reason.words);
                    return;
                }
                Ok(Message::Writer(event)) => {
                    // The file's last events may precede the message that the length is reached.
                    if let writer::Event::Begun { .. } = event
                        && let Some(before) = self.finished.take()
                    {
                        on_step(Step::Next(before));
                    }
                    if self.handle_writer_event(event) {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let progress = self.writer.handle().progress();
            if progress.written_bytes > written.0 {
                written = (progress.written_bytes, monotonic());
            } else if monotonic().saturating_sub(written.1) > SILENCE {
                let seconds = SILENCE.as_secs();
                self.broken = Some(format!("no picture was written for {seconds} s"));
                return;
            }
            on_step(Step::Going {
                written: progress,
                dropped: self.pipeline.dropped(),
            });
        }
    }

    /// Handles an event of the writer; returns whether it is the last.
    fn handle_writer_event(&mut self, event: writer::Event) -> bool {
        match event {
            writer::Event::Begun { .. } | writer::Event::Empty(_) | writer::Event::Ended => false,
            writer::Event::Finished(finished) => {
                self.finished = Some(finished);
                false
            }
            writer::Event::Failed { name, error } => {
                self.broken = Some(format!("{name}: {error}"));
                true
            }
        }
    }

    fn close(mut self, folder: &Folder) -> Result<Recorded, RecordError> {
        self.pipeline.end();
        let until = monotonic() + ENDING;
        let mut over = self.broken.is_some();
        while !over && self.finished.is_none() {
            match self
                .messages
                .recv_timeout(until.saturating_sub(monotonic()))
            {
                Ok(Message::Notice(_)) | Err(_) => over = true,
                Ok(Message::Writer(event)) => over = self.handle_writer_event(event),
                Ok(Message::AskForKeyframe | Message::Long) => {}
            }
        }
        let dropped = self.pipeline.dropped() + self.writer.handle().progress().dropped_frames;
        // The order matters: the pipeline ends first, then the writer finishes.
        drop(self.pipeline);
        drop(self.writer);
        for message in self.messages.try_iter() {
            if let Message::Writer(writer::Event::Finished(finished)) = message {
                self.finished = Some(finished);
            } else if let Message::Writer(writer::Event::Failed { name, error }) = message {
                let path = folder.path().join(name);
                return Err(RecordError::Disk { path, error });
            }
        }
        match (self.finished, self.broken) {
            (Some(file), broken) => Ok(Recorded {
                file,
                dropped,
                broken,
            }),
            (None, Some(reason)) => Err(RecordError::Nothing(reason)),
            (None, None) => Err(RecordError::Nothing("no picture came".to_owned())),
        }
    }
}

/// Stops at the first Ctrl-C or SIGTERM; the second ends the process immediately, which costs no more than a power cut.
///
/// # Errors
///
/// The signal handler cannot be installed.
pub fn stop_on_signal(stopped: Arc<AtomicBool>) -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        )
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                let mut next = async || {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                };
                next().await;
                stopped.store(true, Ordering::Relaxed);
                next().await;
                std::process::exit(KILLED);
            });
        })?;
    Ok(())
}

/// Shell exit code of a process ended by Ctrl-C.
const KILLED: i32 = 130;
