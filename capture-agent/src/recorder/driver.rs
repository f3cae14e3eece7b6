//! The thread that carries out what the controller decides.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use sortie_api::RecorderProblem;

use super::controller::{Cause, Controller, Input, Output, Patience};
use super::take::{Taker, take};
use super::watch::{Seen, Watch};
use super::{Event, Handle, Message, Setup, Snapshot, hook};
use crate::clock::monotonic;
use crate::encoder::{self, Candidate};
use crate::pipeline::{Notice, Pipeline, Plan, Running, look_out};
use crate::problem::Problem;
use crate::signal::{self, Mode, Monitor, Signal};
use crate::source::{Capture, Delivery, SourceError};
use crate::writer::{self, Folder, Leftover, Writer};

/// How often everything is looked at.
const TICK: Duration = Duration::from_millis(100);
/// How often the disk is.
const LOOK_AT_DISK: Duration = Duration::from_secs(2);
/// How long each encoder is given when they are tried.
const TRIAL: Duration = Duration::from_secs(10);
/// What encoders are tried with before there is a signal.
const LARGEST: Mode = Mode::progressive(1920, 1080, signal::FrameRate::from_hertz(60));
/// How long the last frames may take to come out.
const ENDING: Duration = Duration::from_secs(5);
/// How often another lookout is tried, when it gives no frames: some grabbers need their stream started anew.
const LOOK_OUT_ANEW: Duration = Duration::from_secs(10);

pub(super) struct Driver<E> {
    setup: Setup,
    handle: Handle,
    on_event: E,
    controller: Controller,
    monitor: Monitor,
    watch: Watch,
    writer: Option<Writer>,
    run: Option<Run>,
    /// Looks at a grabber that has no signal.
    lookout: Option<Running>,
    /// When it is next looked whether that gives frames, and how many it had given by the last time.
    lookout_at: (Duration, u64),
    /// Why there is none.
    lookout_problem: Option<Problem>,
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

struct Run {
    pipeline: Option<Pipeline>,
    /// When it must have come to its end, once it is to.
    ending: Option<Duration>,
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
            lookout: None,
            lookout_at: (Duration::ZERO, 0),
            lookout_problem: None,
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

    /// Nothing may be under way that it could take for left.
    fn finish_leftovers(&mut self) {
        self.left = false;
        match writer::finish_leftovers(&Folder::new(&self.setup.folder)) {
            Ok(leftovers) => {
                for leftover in leftovers {
                    self.left |= matches!(leftover, Leftover::Stays(..));
                    (self.on_event)(Event::Leftover(leftover));
                }
            }
            Err(error) => self.disk_problem(&error),
        }
    }

    fn disk_problem(&mut self, error: &io::Error) {
        self.folder_problem = Some(Problem::disk(self.setup.folder.display(), error));
    }

    /// Runs the hook, and makes the folder if it is not there.
    fn prepare_folder(&mut self) {
        let hook = self.setup.hook.as_ref();
        let failed = hook.and_then(|hook| hook::run(hook, self.setup.hook_limit).err());
        self.folder_problem = failed.map(Problem::other);
        if let Err(error) = std::fs::create_dir_all(&self.setup.folder) {
            self.disk_problem(&error);
        }
    }

    fn tell(&mut self, input: Input) {
        self.controller.handle_input(monotonic(), input);
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Start => self.tell(Input::Start),
            Message::Stop => self.tell(Input::Stop),
            Message::Auto(auto) => self.tell(Input::Auto(auto)),
            Message::AskForKeyframe => {
                if let Some(pipeline) = self.run.as_ref().and_then(|run| run.pipeline.as_ref()) {
                    pipeline.request_keyframe();
                }
            }
            Message::Notice(run, notice) if run == self.runs => match self.lookout.take() {
                Some(_) => self.lookout_at.0 = monotonic() + LOOK_OUT_ANEW,
                None => self.notice(notice),
            },
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

    /// The pipeline has come to its end: the file is next.
    fn end_run(&mut self) {
        let Some(run) = &mut self.run else { return };
        if let Some(pipeline) = run.pipeline.take() {
            self.dropped += pipeline.dropped();
            drop(pipeline);
            if let Some(writer) = &self.writer {
                writer.handle().end();
            }
        }
        // A device that ends by itself.
        if run.ending.is_none() {
            self.broken(Problem::other("the source has ended"), false);
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
        let running = pipeline.map(Pipeline::running).or(self.lookout.as_ref())?;
        Some(Seen {
            frames: running.frames(),
            picture: running.picture(),
        })
    }

    /// Keeps looking at a grabber that has no signal: nothing else shows that it is back.
    fn look_out(&mut self, now: Duration) {
        let has_none = self.monitor.signal() == Signal::NoSignal;
        if self.run.is_some() || !has_none || !self.watch.is_grabber() {
            self.lookout = None;
            self.lookout_at.0 = now;
            self.lookout_problem = None;
            return;
        }
        let (at, before) = self.lookout_at;
        if now < at {
            return;
        }
        self.lookout_at.0 = now + LOOK_OUT_ANEW;
        let frames = self.lookout.as_ref().map(Running::frames);
        if frames.is_none_or(|frames| frames == before) {
            self.lookout = None;
            let started = self.start_lookout();
            self.lookout_problem = started.err();
        }
        self.lookout_at.1 = self.lookout.as_ref().map_or(0, Running::frames);
    }

    fn start_lookout(&mut self) -> Result<(), Problem> {
        let opened = match self.handle.test_input() {
            Some(input) => Ok((Capture::Test(input.clone()), input.mode())),
            None => self.watch.source().open(self.setup.mode),
        };
        let (capture, mode) = opened.map_err(|error| Problem::from(&error))?;
        self.runs += 1;
        let (run, handle) = (self.runs, Mutex::new(self.handle.clone()));
        let looks = self.setup.no_signal_after.is_some();
        let lookout = look_out(&capture, mode, looks, move |notice| {
            if let Ok(handle) = handle.lock() {
                handle.tell(Message::Notice(run, notice));
            }
        });
        self.lookout = Some(lookout.map_err(|error| error.problem())?);
        Ok(())
    }

    fn look_at_disk(&mut self) {
        match rustix::fs::statvfs(&self.setup.folder) {
            Ok(disk) => {
                let free = disk.f_bavail.saturating_mul(disk.f_frsize);
                self.tell(Input::Room(free >= self.setup.reserve_bytes));
            }
            // Writing says what is wrong with it.
            Err(_) => self.tell(Input::Room(true)),
        }
        self.look_for_file();
    }

    /// A file that somebody has deleted can be written on, and nobody will ever see it: an alarm, and another file.
    fn look_for_file(&mut self) {
        let name = self.progress().name.filter(|name| {
            let path = self.setup.folder.join(format!("{name}{}", writer::GROWING));
            matches!(path.try_exists(), Ok(false))
        });
        // Once may be the moment in which it was finished.
        let again = name.is_some() && name == self.missing;
        self.missing = name;
        if let Some(name) = self.missing.take_if(|_| again) {
            let words = format!("{name} was deleted while it was recorded");
            self.broken(Problem::other(words), false);
        }
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
                Output::Abandon => {
                    self.abandoned = true;
                    if let Some(pipeline) = self.run.take().and_then(|run| run.pipeline) {
                        self.dropped += pipeline.dropped();
                        drop(pipeline);
                    }
                    if let Some(writer) = &self.writer {
                        writer.handle().end();
                    }
                }
                Output::PassOver => {
                    self.passed_over
                        .extend(self.encoder.take().map(|encoder| encoder.element));
                }
            }
        }
    }

    /// Starts a pipeline; if that fails, why, and whether another encoder may do better.
    fn start(&mut self, mode: Mode) -> Result<(), (Problem, bool)> {
        // There is one device for both.
        self.lookout = None;
        self.monitor
            .handle_input(monotonic(), signal::Input::Starting);
        self.prepare_folder();
        if self.left {
            self.finish_leftovers();
        }
        let Some(writer) = &self.writer else {
            return Err((Problem::other("there is no thread to write on"), false));
        };
        let opened = match self.handle.test_input() {
            Some(input) => Ok((Capture::Test(input.clone()), mode)),
            None => self.watch.source().open(self.setup.mode),
        };
        let (capture, mode) = match opened {
            Ok((capture, opened)) if opened.is_same_as(&mode) => (capture, opened),
            // What was settled is over already.
            Ok(_) | Err(SourceError::NoSignal(_)) => {
                self.source_changed();
                return Ok(());
            }
            Err(error) => return Err((Problem::from(&error), false)),
        };
        self.runs += 1;
        let run = self.runs;
        let take = take(Taker {
            writer: writer.handle().clone(),
            handle: self.handle.clone(),
            limits: self.setup.split,
            run,
            passed_through: capture.delivery() == Delivery::H264,
        });
        let encoder = match capture.delivery() {
            Delivery::H264 => None,
            Delivery::Raw | Delivery::Jpeg => Some(self.find_encoder(mode)?),
        };
        if encoder.is_some() {
            self.encoder = encoder;
        }
        self.encoding = encoder.is_some();
        let plan = Plan {
            no_signal_after: self.setup.no_signal_after.filter(|_| capture.is_grabber()),
            capture,
            mode,
            encoder,
        };
        let handle = Mutex::new(self.handle.clone());
        let pipeline = Pipeline::start(&plan, take, move |notice| {
            if let Ok(handle) = handle.lock() {
                handle.tell(Message::Notice(run, notice));
            }
        });
        let pipeline = pipeline.map_err(|error| (error.problem(), !error.is_at_source()))?;
        self.run = Some(Run {
            pipeline: Some(pipeline),
            ending: None,
        });
        // From now on its frames are waited for.
        let picture = signal::Picture::Content;
        let begun = signal::Input::Frame { mode, picture };
        self.monitor.handle_input(monotonic(), begun);
        Ok(())
    }

    /// The encoder that worked last, or the first that works.
    fn find_encoder(&mut self, mode: Mode) -> Result<Candidate, (Problem, bool)> {
        if let Some(encoder) = self.encoder {
            return Ok(encoder);
        }
        encoder::first_working(mode, TRIAL, &self.passed_over).map_err(|_| {
            // From the beginning next time: what failed may work again.
            self.passed_over.clear();
            let words = "no H.264 encoder works here";
            (Problem::new(RecorderProblem::NoEncoder, words), false)
        })
    }

    fn stop(&mut self) {
        match &mut self.run {
            Some(run) => {
                run.ending = Some(monotonic() + ENDING);
                if let Some(pipeline) = &run.pipeline {
                    pipeline.end();
                }
            }
            None => self.tell(Input::Stopped),
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
        let problem = problem.or_else(|| self.watch.problem());
        let problem = problem.or(self.lookout_problem.as_ref());
        let problem = problem.or(self.folder_problem.as_ref());
        let problem = problem.cloned();
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
