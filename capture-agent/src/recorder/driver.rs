//! Thread that executes the controller's decisions.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use super::captures::Captures;
use super::controller::{Controller, Input, Output, Timeouts};
use super::encoder_choice::EncoderChoice;
use super::frame_sink::FrameSink;
use super::live_picture;
use super::preroll::{RING_BYTES, Ring};
use super::recordings_folder::RecordingsFolder;
use super::sessions::Sessions;
use super::signal_source::{ENCODED, SignalSource};
use super::split::Limits;
use super::{Event, Handle, Message, Setup, Snapshot};
use crate::clock::monotonic;
use crate::pictures::Storyboard;
use crate::pipeline::{
    IdleFrames, Notice, Pipeline, Plan, can_make_stills, start_preview, start_signal_probe,
};
use crate::problem::Problem;
use crate::signal::{FrameRate, Mode, Signal};
use crate::source::{Delivery, SourceError};
use crate::writer::{self, Writer};

/// Polling interval of source, disk and pipeline.
const TICK: Duration = Duration::from_millis(100);
/// Mode of the encoder trials before there is a signal.
const LARGEST: Mode = Mode::progressive(1920, 1080, FrameRate::from_hertz(60));

pub(super) struct Driver<E> {
    handle: Handle,
    on_event: E,
    controller: Controller,
    source: SignalSource,
    captures: Captures,
    encoders: EncoderChoice,
    sessions: Sessions,
    folder: RecordingsFolder,
    writer: Option<Writer>,
    /// `None` if its thread could not be created: recordings have no pictures.
    storyboard: Option<Arc<Storyboard>>,
    /// Whether this installation of GStreamer can make pictures.
    can_make_stills: bool,
    mode: Option<Mode>,
    no_signal_after: Option<Duration>,
    idle_frames: IdleFrames,
    preroll_length: Duration,
    preroll: Option<PreRoll>,
    /// Time of the next attempt after a failed pre-roll.
    preroll_at: Duration,
    /// Files that the writer was asked to end and has not ended yet.
    ending: u32,
    split: Limits,
    /// Durable bytes of the file in progress at the last poll.
    written_bytes: u64,
    problem: Option<Problem>,
}

/// Delay after a failure of the pre-roll.
const PREROLL_RETRY: Duration = Duration::from_secs(2);

/// Pipeline that encodes into a ring while nothing is recorded. A recording takes it over.
struct PreRoll {
    mode: Mode,
    pipeline: Pipeline,
    sink: FrameSink,
    started_at: Duration,
    /// Numbers of dropped frames over the time of the ring, with their times; the first one is at its beginning.
    dropped: VecDeque<(Duration, u64)>,
}

impl PreRoll {
    fn count_dropped(&mut self, now: Duration) {
        self.dropped.push_back((now, self.pipeline.dropped()));
        let begun_at = now.saturating_sub(self.sink.buffered());
        while self.dropped.get(1).is_some_and(|(at, _)| *at <= begun_at) {
            self.dropped.pop_front();
        }
    }

    /// Whether the pipeline has stalled: a source of still pictures delivers a frame each second, too.
    fn is_silent(&self, now: Duration) -> bool {
        let heard_at = self.sink.heard_at().unwrap_or(self.started_at);
        now.saturating_sub(heard_at.max(self.started_at)) >= Timeouts::default().silence
    }
}

/// Error of starting a pipeline.
struct StartFailure {
    problem: Problem,
    /// Whether another encoder may work.
    is_encoder: bool,
}

impl From<Problem> for StartFailure {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            is_encoder: false,
        }
    }
}

impl<E: FnMut(Event) + Send + 'static> Driver<E> {
    pub(super) fn new(setup: &Setup, handle: Handle, on_event: E) -> Self {
        let mut controller = Controller::new(Timeouts::default());
        controller.handle_input(monotonic(), Input::Auto(setup.auto));
        Self {
            source: SignalSource::new(setup, handle.test_input().cloned()),
            handle,
            on_event,
            controller,
            captures: Captures::default(),
            encoders: EncoderChoice::default(),
            sessions: Sessions::new(),
            folder: RecordingsFolder::new(setup),
            writer: None,
            storyboard: None,
            can_make_stills: can_make_stills(),
            mode: setup.mode,
            no_signal_after: setup.no_signal_after,
            idle_frames: setup.idle_frames,
            preroll_length: setup.preroll,
            preroll: None,
            preroll_at: Duration::ZERO,
            ending: 0,
            split: setup.split,
            written_bytes: 0,
            problem: None,
        }
    }

    pub(super) fn run(mut self, messages: &mpsc::Receiver<Message>) {
        self.open();
        loop {
            match messages.recv_timeout(TICK) {
                Ok(Message::Quit) | Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Ok(message) => self.handle_message(message),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            self.poll();
            self.act();
            // Behind `act`: a recording that is about to start has the device first.
            self.update_preroll();
            self.update_preview();
            self.publish();
        }
        self.close(messages);
    }

    /// Prepares the folder, finishes the files of an earlier run, and starts the writer.
    fn open(&mut self) {
        self.folder.prepare();
        let on_event = &mut self.on_event;
        self.folder.recover(|file| on_event(Event::Recovered(file)));
        let send = Mutex::new(self.handle.clone());
        let on_writer_event = move |event| {
            if let Ok(handle) = send.lock() {
                handle.tell(Message::Writer(event));
            }
        };
        let limits = writer::Limits::default();
        match Writer::start(self.folder.folder(), limits, on_writer_event) {
            Ok(writer) => {
                let folder = self.folder.folder().path().to_owned();
                match Storyboard::start(folder, writer.handle().clone()) {
                    Ok(storyboard) => self.storyboard = Some(Arc::new(storyboard)),
                    Err(error) => tracing::error!("recordings have no pictures: {error}"),
                }
                self.writer = Some(writer);
            }
            Err(error) => self.folder.set_error(&error),
        }
        self.encoders.warm_up(self.mode.unwrap_or(LARGEST));
    }

    fn decide(&mut self, input: Input) {
        self.controller.handle_input(monotonic(), input);
    }

    fn handle_message(&mut self, message: Message) {
        match message {
            Message::Start => self.decide(Input::Start),
            Message::Stop => self.decide(Input::Stop),
            Message::Auto(auto) => self.decide(Input::Auto(auto)),
            Message::Backlog(backlog) => self.decide(Input::Backlog(backlog)),
            Message::AskForKeyframe => {
                let preroll = self.preroll.as_ref().map(|it| &it.pipeline);
                if let Some(pipeline) = self.captures.pipeline().or(preroll) {
                    pipeline.request_keyframe();
                }
            }
            Message::Notice(id, notice) if self.captures.is_latest(id) => {
                if !self.fail_preroll(&notice) && !self.source.fail_idle(&notice) {
                    self.handle_notice(notice);
                }
            }
            Message::Changed(id) if self.captures.is_latest(id) => self.source_changed(),
            Message::Notice(..) | Message::Changed(_) | Message::Quit => {}
            Message::Writer(event) => self.handle_writer_event(event),
        }
    }

    fn handle_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Ended => self.end_pipeline(),
            Notice::Broken { reason, at_source } => self.fail(reason, !at_source),
        }
    }

    fn source_changed(&mut self) {
        self.stop_preroll();
        self.source.source_changed();
        self.decide(Input::Changed);
    }

    /// Reports a failure of the recording; `is_encoder` if another encoder may work.
    fn fail(&mut self, reason: Problem, is_encoder: bool) {
        let encoder = is_encoder && self.encoders.is_in_use();
        self.decide(Input::Broken { reason, encoder });
    }

    fn handle_writer_event(&mut self, event: writer::Event) {
        match event {
            writer::Event::Begun { name, age } => {
                (self.on_event)(self.sessions.file_begun(name, age));
            }
            writer::Event::Finished(file) => (self.on_event)(self.sessions.file_finished(file)),
            writer::Event::Empty(name) => self.sessions.file_empty(&name),
            writer::Event::Failed { name, error } => {
                self.folder.set_unfinished();
                self.fail(Problem::disk(name, &error), false);
            }
            writer::Event::Ended => {
                self.ending = self.ending.saturating_sub(1);
                if self.captures.complete() {
                    self.decide(Input::Stopped);
                }
            }
        }
    }

    fn poll(&mut self) {
        let now = monotonic();
        let controller = &mut self.controller;
        let preroll = self.preroll.as_ref().map(|it| it.pipeline.running());
        let running = self.captures.running().or(preroll);
        self.source.poll(now, running, |signal| {
            controller.handle_input(monotonic(), Input::Signal(signal));
        });
        self.check_preroll();
        let progress = self.progress();
        if progress.written_bytes > self.written_bytes {
            self.written_bytes = progress.written_bytes;
            self.decide(Input::Written);
        }
        if let Some(check) = self.folder.check(now, progress.name) {
            self.decide(Input::Room(check.has_room));
            if let Some(name) = check.deleted {
                let words = format!("{name} was deleted while it was recorded");
                self.fail(Problem::other(words), false);
            }
        }
        if self.captures.is_overdue(now) {
            self.end_pipeline();
        }
        self.controller.handle_timeout(now);
        self.update_probe(now);
    }

    fn update_probe(&mut self, now: Duration) {
        let is_recording = self.is_encoding();
        let samples = self.no_signal_after.is_some();
        let (captures, handle) = (&mut self.captures, &self.handle);
        self.source
            .update_probe(now, is_recording, |capture, mode| {
                let on_notice = on_notice(captures.next_id(), handle);
                start_signal_probe(&capture, mode, samples, on_notice)
                    .map_err(|error| error.problem())
            });
    }

    fn update_preview(&mut self) {
        let now = monotonic();
        if self.can_make_stills && self.handle.picture().take_request() {
            self.source.request_preview(now);
        }
        let is_recording = self.is_encoding();
        let no_signal_after = self.no_signal_after;
        let (captures, handle) = (&mut self.captures, &self.handle);
        self.source
            .update_preview(now, is_recording, |capture, mode| {
                let on_notice = on_notice(captures.next_id(), handle);
                let still = live_picture::still(handle.picture());
                let no_signal_after = no_signal_after.filter(|_| capture.is_grabber());
                start_preview(capture, mode, no_signal_after, &still, on_notice)
                    .map_err(|error| error.problem())
            });
    }

    /// Whether a pipeline encodes, or its file is being finished.
    fn is_encoding(&self) -> bool {
        self.captures.is_active() || self.preroll.is_some()
    }

    /// Ends the pre-roll, and its ring, when the signal changes or is lost, or the pipeline stalls.
    fn check_preroll(&mut self) {
        let signal = self.controller.signal();
        let is_right =
            |it: &PreRoll| matches!(signal, Signal::Steady(mode) if mode.is_same_as(&it.mode));
        if !self.preroll.as_ref().is_none_or(is_right) {
            self.stop_preroll();
        }
        let now = monotonic();
        if let Some(preroll) = &mut self.preroll {
            preroll.count_dropped(now);
        }
        if self.preroll.as_ref().is_some_and(|it| it.is_silent(now)) {
            tracing::warn!("the pre-roll was lost: no frames have arrived");
            self.preroll = None;
            self.preroll_at = now + PREROLL_RETRY;
        }
    }

    fn stop_preroll(&mut self) {
        if self.preroll.take().is_some() {
            self.preroll_at = monotonic() + Timeouts::default().retry;
        }
    }

    /// Handles a notice of the running pre-roll; `false` if none runs.
    fn fail_preroll(&mut self, notice: &Notice) -> bool {
        if self.preroll.take().is_none() {
            return false;
        }
        self.preroll_at = monotonic() + PREROLL_RETRY;
        if let Notice::Broken { reason, at_source } = notice {
            tracing::warn!("the pre-roll was lost: {reason}");
            if !at_source && self.encoders.is_in_use() {
                self.encoders.reject();
            }
        }
        true
    }

    /// Runs the pre-roll while there is a signal and nothing is recorded.
    fn update_preroll(&mut self) {
        let now = monotonic();
        // While the disk stalls, the writer's queue has the frames of an earlier recording and its pre-roll.
        let is_due = !self.is_encoding() && self.ending == 0 && now >= self.preroll_at;
        let (true, false, Signal::Steady(mode)) = (
            is_due,
            self.preroll_length.is_zero(),
            self.controller.signal(),
        ) else {
            return;
        };
        let ring = Ring::new(self.preroll_length, RING_BYTES);
        self.source.prepare_start();
        match self.build(mode, Some(ring)) {
            Ok(Some((mode, pipeline, sink))) => {
                self.preroll = Some(PreRoll {
                    mode,
                    pipeline,
                    sink,
                    started_at: monotonic(),
                    dropped: VecDeque::new(),
                });
                self.source.started(mode);
            }
            Ok(None) => self.preroll_at = now + PREROLL_RETRY,
            Err(failure) => {
                tracing::warn!("no pre-roll: {}", failure.problem);
                self.preroll_at = monotonic() + PREROLL_RETRY;
                if failure.is_encoder && self.encoders.is_in_use() {
                    self.encoders.reject();
                }
            }
        }
    }

    /// Reason why there is no live picture.
    fn missing_picture(&self) -> Option<String> {
        let signal = self.controller.signal();
        let is_recording = self.is_encoding();
        if !matches!(signal, Signal::Steady(_)) {
            Some(format!("there is {signal}."))
        } else if !self.can_make_stills {
            let words = "GStreamer's jpegenc is not installed (Debian: gstreamer1.0-plugins-good).";
            Some(words.to_owned())
        } else if is_recording && !self.encoders.is_in_use() {
            Some(format!("{ENCODED}."))
        } else {
            let problem = self.source.preview_problem().filter(|_| !is_recording);
            problem.map(|problem| format!("{}.", problem.words))
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
                    self.sessions.start(cause, new_session);
                    if let Err(failure) = self.start(mode) {
                        self.fail(failure.problem, failure.is_encoder);
                    }
                }
                Output::Stop => self.stop(),
                Output::Abandon => self.abandon(),
                Output::PassOver => self.encoders.reject(),
            }
        }
    }

    fn progress(&self) -> writer::Progress {
        let writer = self.writer.as_ref();
        writer
            .map(|writer| writer.handle().progress())
            .unwrap_or_default()
    }

    /// Updates the snapshot, and reports a new problem.
    fn publish(&mut self) {
        let written = self.progress();
        let problem = self.controller.problem();
        let problem = problem.or_else(|| self.source.problem().cloned());
        let problem = problem.or_else(|| self.folder.problem().cloned());
        if problem != self.problem {
            self.problem.clone_from(&problem);
            if let Some(problem) = &problem {
                (self.on_event)(Event::Problem(problem.clone()));
            }
        }
        let preroll = self.preroll.as_ref().map(|it| it.sink.buffered());
        let missing = self.missing_picture();
        self.handle.picture().set_unavailable(missing.as_deref());
        self.handle.show(Snapshot {
            device: self.source.device().map(ToOwned::to_owned),
            signal: self.controller.signal(),
            auto: self.controller.auto(),
            recording: self.controller.is_recording(),
            cause: self.controller.cause(),
            wanted: self.controller.is_wanted(),
            problem,
            encoder: self.encoders.element(),
            preroll: preroll.unwrap_or_default(),
            session_ms: self.sessions.finished_ms(),
            dropped: self.captures.dropped() + written.dropped_frames,
            dropped_by_disk: written.dropped_frames,
            frames: self.captures.frames(),
            written,
        });
    }

    fn start(&mut self, mode: Mode) -> Result<(), StartFailure> {
        let preroll = self.preroll.take();
        let now = monotonic();
        let preroll = preroll.filter(|it| it.mode.is_same_as(&mode) && !it.is_silent(now));
        if let Some(preroll) = &preroll {
            // The hook may take a while.
            preroll.sink.hold();
        } else {
            self.source.prepare_start();
        }
        self.folder.prepare();
        let on_event = &mut self.on_event;
        self.folder
            .recover_unfinished(|file| on_event(Event::Recovered(file)));
        if let Some(preroll) = preroll {
            preroll.sink.record();
            let dropped = preroll.dropped.front().map_or(0, |(_, dropped)| *dropped);
            self.captures.start(preroll.pipeline, dropped);
            return Ok(());
        }
        if let Some((mode, pipeline, _)) = self.build(mode, None)? {
            self.captures.start(pipeline, 0);
            self.source.started(mode);
        }
        Ok(())
    }

    /// Starts a pipeline that records, or fills a ring. `None` if the signal has changed.
    fn build(
        &mut self,
        mode: Mode,
        ring: Option<Ring>,
    ) -> Result<Option<(Mode, Pipeline, FrameSink)>, StartFailure> {
        let Some(writer) = &self.writer else {
            return Err(Problem::other("the writer thread could not be started").into());
        };
        let (capture, mode) = match self.source.open() {
            Ok((capture, opened)) if opened.is_same_as(&mode) => (capture, opened),
            // The signal has changed since the decision.
            Ok(_) | Err(SourceError::NoSignal(_)) => {
                self.source_changed();
                return Ok(None);
            }
            Err(error) => return Err(Problem::from(&error).into()),
        };
        let id = self.captures.next_id();
        let sink = FrameSink::new(
            writer.handle().clone(),
            self.handle.clone(),
            self.split,
            id,
            capture.delivery() == Delivery::H264,
            ring,
        );
        let encoder = match capture.delivery() {
            Delivery::H264 => {
                self.encoders.pass_through();
                None
            }
            Delivery::Raw | Delivery::Jpeg => Some(self.encoders.select(mode)?),
        };
        let plan = Plan {
            no_signal_after: self.no_signal_after.filter(|_| capture.is_grabber()),
            capture,
            mode,
            encoder,
            idle_frames: self.idle_frames,
            stills: self
                .storyboard
                .iter()
                .map(Storyboard::still)
                .chain([live_picture::still(self.handle.picture())])
                .collect(),
        };
        let on_notice = on_notice(id, &self.handle);
        let pipeline = Pipeline::start(&plan, sink.clone().into_callback(), on_notice);
        let pipeline = pipeline.map_err(|error| StartFailure {
            problem: error.problem(),
            is_encoder: !error.is_source_failure(),
        })?;
        Ok(Some((mode, pipeline, sink)))
    }

    fn stop(&mut self) {
        if !self.captures.drain() {
            self.decide(Input::Stopped);
        }
    }

    /// Finishes the file of a pipeline that has ended.
    fn end_pipeline(&mut self) {
        if !self.captures.is_active() {
            return;
        }
        if self.captures.end_pipeline() {
            self.end_file();
        }
        if !self.captures.is_draining() {
            self.fail(Problem::other("the source has ended"), false);
        }
    }

    /// Drops the pipeline and finishes its file as it is.
    fn abandon(&mut self) {
        self.sessions.abandon();
        self.captures.abandon();
        self.end_file();
    }

    fn end_file(&mut self) {
        if let Some(writer) = &self.writer {
            writer.handle().end();
            self.ending += 1;
        }
    }

    /// Finishes the recording in progress.
    fn close(&mut self, messages: &mpsc::Receiver<Message>) {
        let picture = self.handle.picture();
        picture.set_unavailable(Some("the recorder is stopping."));
        self.preroll = None;
        self.stop();
        while self.captures.pipeline().is_some() {
            if let Ok(message @ (Message::Writer(_) | Message::Notice(..))) =
                messages.recv_timeout(TICK)
            {
                self.handle_message(message);
            }
            if self.captures.is_overdue(monotonic()) {
                self.end_pipeline();
            }
        }
        // Dropping it waits until everything is written.
        self.writer = None;
        while let Ok(message) = messages.try_recv() {
            if let Message::Writer(event) = message {
                self.handle_writer_event(event);
            }
        }
    }
}

/// Callback that sends a pipeline's notices to the driver with the pipeline's ID.
fn on_notice(id: u64, handle: &Handle) -> impl Fn(Notice) + Send + Sync + 'static {
    let handle = Mutex::new(handle.clone());
    move |notice| {
        if let Ok(handle) = handle.lock() {
            handle.tell(Message::Notice(id, notice));
        }
    }
}
