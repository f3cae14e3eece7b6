//! The thread that carries out what the controller decides.

mod folder;
mod lookout;
mod run;

use std::collections::HashMap;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use super::controller::{Cause, Controller, Input, Output, Patience};
use super::watch::{Seen, Watch};
use super::{Event, Handle, Message, Setup, Snapshot};
use crate::clock::monotonic;
use crate::encoder::{self, Candidate};
use crate::pipeline::{Notice, Pipeline};
use crate::problem::Problem;
use crate::signal::{self, Mode, Monitor};
use crate::writer::{self, Folder, Writer};
use lookout::Lookout;
use run::{Run, TRIAL};

/// How often everything is looked at.
const TICK: Duration = Duration::from_millis(100);
/// How often the disk is.
const LOOK_AT_DISK: Duration = Duration::from_secs(2);
/// What encoders are tried with before there is a signal.
const LARGEST: Mode = Mode::progressive(1920, 1080, signal::FrameRate::from_hertz(60));

pub(super) struct Driver<E> {
    setup: Setup,
    handle: Handle,
    on_event: E,
    controller: Controller,
    monitor: Monitor,
    watch: Watch,
    writer: Option<Writer>,
    run: Option<Run>,
    lookout: Lookout,
    /// Counts pipelines, so that a late word of an earlier one is known for what it is.
    runs: u64,
    encoder: Option<Candidate>,
    passed_over: Vec<&'static str>,
    /// Whether the pipeline has an encoder: what arrives as H.264 needs none.
    encoding: bool,
    session: u64,
    cause: Cause,
    /// Of the files that are not finished.
    sessions: HashMap<String, u64>,
    session_ms: u64,
    written: u64,
    /// Whether the file that is finished next was cut short by a failure.
    abandoned: bool,
    /// Frames dropped by pipelines that are gone.
    dropped: u64,
    disk_at: Duration,
    /// Whether there may be a file that could not be finished.
    left: bool,
    /// What is wrong with the folder, found before there was anything to write.
    folder_problem: Option<Problem>,
    /// The file under way, when it was found missing from the folder.
    missing: Option<String>,
    problem: Option<Problem>,
}

impl<E: FnMut(Event) + Send + 'static> Driver<E> {
    pub(super) fn new(setup: Setup, handle: Handle, on_event: E) -> Self {
        let mut controller = Controller::new(Patience::default());
        controller.handle_input(monotonic(), Input::Auto(setup.auto));
        let config = signal::Config {
            // With the debounce, half a second from a signal to its pipeline, whether the driver tells of it or not.
            query_interval: Duration::from_millis(200),
            check_interval: Duration::from_secs(1),
            ..signal::Config::default()
        };
        Self {
            watch: Watch::new(&setup.source, setup.mode, handle.test_input().cloned()),
            setup,
            handle,
            on_event,
            controller,
            monitor: Monitor::new(config),
            writer: None,
            run: None,
            lookout: Lookout::default(),
            runs: 0,
            encoder: None,
            passed_over: Vec::new(),
            encoding: false,
            session: 0,
            cause: Cause::Signal,
            sessions: HashMap::new(),
            session_ms: 0,
            written: 0,
            abandoned: false,
            dropped: 0,
            disk_at: Duration::ZERO,
            left: false,
            folder_problem: None,
            missing: None,
            problem: None,
        }
    }

    pub(super) fn run(mut self, messages: &mpsc::Receiver<Message>) {
        self.open();
        loop {
            match messages.recv_timeout(TICK) {
                Ok(Message::Quit) | Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Ok(message) => self.hear(message),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            self.look();
            self.act();
            self.show();
        }
        self.close(messages);
    }

    /// Makes the folder ready and finishes what an earlier run left there.
    fn open(&mut self) {
        self.prepare_folder();
        self.finish_leftovers();
        let folder = Folder::new(&self.setup.folder);
        let send = Mutex::new(self.handle.clone());
        let writer = Writer::start(folder, writer::Limits::default(), move |event| {
            if let Ok(handle) = send.lock() {
                handle.tell(Message::Writer(event));
            }
        });
        match writer {
            Ok(writer) => self.writer = Some(writer),
            Err(error) => self.disk_problem(&error),
        }
        // Now, because it takes a second or more; what does not work in this mode is passed over later.
        let mode = self.setup.mode.unwrap_or(LARGEST);
        self.encoder = encoder::first_working(mode, TRIAL, &[]).ok();
    }

    fn tell(&mut self, input: Input) {
        self.controller.handle_input(monotonic(), input);
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Start => self.tell(Input::Start),
            Message::Stop => self.tell(Input::Stop),
            Message::Auto(auto) => self.tell(Input::Auto(auto)),
            Message::Backlog(backlog) => self.tell(Input::Backlog(backlog)),
            Message::AskForKeyframe => {
                if let Some(pipeline) = self.run.as_ref().and_then(|run| run.pipeline.as_ref()) {
                    pipeline.request_keyframe();
                }
            }
            Message::Notice(run, notice) if run == self.runs => {
                if !self.lookout.give_up(monotonic()) {
                    self.notice(notice);
                }
            }
            Message::Changed(run) if run == self.runs => self.source_changed(),
            Message::Notice(..) | Message::Changed(_) | Message::Quit => {}
            Message::Writer(event) => self.writer_event(event),
        }
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Ended => self.end_run(),
            Notice::Broken { reason, at_source } => self.broken(reason, !at_source),
        }
    }

    /// What arrives is no longer what the pipeline was started for.
    fn source_changed(&mut self) {
        self.monitor
            .handle_input(monotonic(), signal::Input::SourceChange);
        self.tell(Input::Changed);
    }

    fn broken(&mut self, reason: Problem, encoder: bool) {
        let encoder = encoder && self.encoding;
        self.tell(Input::Broken { reason, encoder });
    }

    fn writer_event(&mut self, event: writer::Event) {
        match event {
            writer::Event::Begun(name) => {
                self.abandoned = false;
                self.sessions.insert(name.clone(), self.session);
                let (session, cause) = (self.session, self.cause);
                (self.on_event)(Event::Begun {
                    session,
                    cause,
                    name,
                });
            }
            writer::Event::Finished(file) => {
                let session = self.sessions.remove(&file.name).unwrap_or(self.session);
                if session == self.session {
                    self.session_ms += file.duration_ms;
                }
                let interrupted = std::mem::take(&mut self.abandoned);
                (self.on_event)(Event::Finished {
                    session,
                    file,
                    interrupted,
                });
            }
            writer::Event::Empty(name) => drop(self.sessions.remove(&name)),
            writer::Event::Failed { name, error } => {
                self.left = true;
                self.broken(Problem::disk(name, &error), false);
            }
            writer::Event::Ended => {
                if self.run.as_ref().is_some_and(|run| run.pipeline.is_none()) {
                    self.run = None;
                    self.tell(Input::Stopped);
                }
            }
        }
    }

    fn look(&mut self) {
        let now = monotonic();
        let seen = self.seen();
        if let Some(input) = self.watch.look(now, seen, self.monitor.signal()) {
            self.monitor.handle_input(now, input);
        }
        self.monitor.handle_timeout(now);
        while let Some(output) = self.monitor.poll_output() {
            match output {
                signal::Output::Query => {
                    if let Some(input) = self.watch.query() {
                        self.monitor.handle_input(monotonic(), input);
                    }
                }
                signal::Output::Changed { to, .. } => self.tell(Input::Signal(to)),
            }
        }
        let written = self.progress().written_bytes;
        if written > self.written {
            self.written = written;
            self.tell(Input::Written);
        }
        if now >= self.disk_at {
            self.disk_at = now + LOOK_AT_DISK;
            self.look_at_disk();
        }
        if self
            .run
            .as_ref()
            .and_then(|run| run.ending)
            .is_some_and(|at| now >= at)
        {
            self.end_run();
        }
        self.controller.handle_timeout(now);
        self.look_out(now);
    }

    /// What has come from the source, if anybody captures from it.
    fn seen(&self) -> Option<Seen> {
        let pipeline = self.run.as_ref().and_then(|run| run.pipeline.as_ref());
        let running = pipeline
            .map(Pipeline::running)
            .or_else(|| self.lookout.running())?;
        Some(Seen {
            frames: running.frames(),
            picture: running.picture(),
        })
    }

    fn act(&mut self) {
        while let Some(output) = self.controller.poll_output() {
            match output {
                Output::Start {
                    mode,
                    cause,
                    new_session,
                } => {
                    if new_session {
                        self.session += 1;
                        self.session_ms = 0;
                    }
                    self.cause = cause;
                    if let Err((reason, encoder)) = self.start(mode) {
                        self.broken(reason, encoder);
                    }
                }
                Output::Stop => self.stop(),
                Output::Abandon => self.abandon(),
                Output::PassOver => {
                    self.passed_over
                        .extend(self.encoder.take().map(|encoder| encoder.element));
                }
            }
        }
    }

    fn progress(&self) -> writer::Progress {
        self.writer
            .as_ref()
            .map(|writer| writer.handle().progress())
            .unwrap_or_default()
    }

    fn show(&mut self) {
        let pipeline = self.run.as_ref().and_then(|run| run.pipeline.as_ref());
        let written = self.progress();
        let problem = self.controller.problem();
        let problem = problem.or_else(|| self.watch.problem().cloned());
        let problem = problem.or_else(|| self.lookout.problem().cloned());
        let problem = problem.or_else(|| self.folder_problem.clone());
        if problem != self.problem {
            self.problem.clone_from(&problem);
            if let Some(problem) = &problem {
                (self.on_event)(Event::Problem(problem.clone()));
            }
        }
        self.handle.show(Snapshot {
            device: self.watch.device().map(ToOwned::to_owned),
            signal: self.controller.signal(),
            auto: self.controller.auto(),
            recording: self.controller.is_recording(),
            wanted: self.controller.is_wanted(),
            problem,
            encoder: self
                .encoder
                .filter(|_| self.encoding)
                .map(|encoder| encoder.element),
            session_ms: self.session_ms,
            dropped: self.dropped + written.dropped_frames + pipeline.map_or(0, Pipeline::dropped),
            dropped_by_disk: written.dropped_frames,
            written,
        });
    }

    /// Ends what is under way, and waits for it.
    fn close(&mut self, messages: &mpsc::Receiver<Message>) {
        self.stop();
        while self.run.as_ref().is_some_and(|run| run.pipeline.is_some()) {
            if let Ok(message @ (Message::Writer(_) | Message::Notice(..))) =
                messages.recv_timeout(TICK)
            {
                self.hear(message);
            }
            let ending = self.run.as_ref().and_then(|run| run.ending);
            if ending.is_some_and(|at| monotonic() >= at) {
                self.end_run();
            }
        }
        // Waits until all is written.
        self.writer = None;
        while let Ok(message) = messages.try_recv() {
            if let Message::Writer(event) = message {
                self.writer_event(event);
            }
        }
    }
}
