//! Carries out what the state machine wants.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use gloo_events::EventListener as DomListener;
use web_sys::{Blob, MediaStream};

use super::super::capture::{Capture, CaptureEvent};
use super::super::event_dispatcher::{EventDispatcher, EventListener};
use super::super::source::{OpenSource, SourceEvent};
use super::super::{document, is_hidden, now_ms, window};
use super::parts::{Job, perform};
use super::upload::Remote;
use super::watch::Watch;
use crate::clock::RecordedClock;
use crate::limit::Limit;
use crate::machine::{Action, Input, Machine};
use crate::parts::Parts;
use crate::spool::Fact;
use crate::{Done, Event, Options, Progress, RecorderError, State, StopReason, Waiting, Warning};

pub(super) struct Core {
    pub(super) this: Weak<Self>,
    pub(super) options: Options,
    /// Owner of the copy on this device, from the options or told later.
    pub(super) owner: RefCell<Option<String>>,
    hub: Rc<EventDispatcher>,
    machine: RefCell<Machine>,
    clock: RefCell<RecordedClock>,
    limit: RefCell<Limit>,
    pub(super) parts: RefCell<Parts>,
    pub(super) waiting: Cell<Option<Waiting>>,
    pub(super) remote: Remote,
    pub(super) source: RefCell<Option<OpenSource>>,
    capture: RefCell<Option<Capture>>,
    /// Encoders of the parts before, until they have given out their last byte.
    former: RefCell<Vec<(usize, Capture)>>,
    mime_type: RefCell<Option<String>>,
    pub(super) watch: Watch,
    page: RefCell<Vec<DomListener>>,
    audio_ended: Cell<bool>,
    /// Since the last tick.
    reported: Cell<bool>,
}

impl Core {
    pub(super) fn new(options: Options) -> Rc<Self> {
        Rc::new_cyclic(|this: &Weak<Self>| Self {
            this: this.clone(),
            owner: RefCell::new(options.owner.clone()),
            hub: Rc::default(),
            machine: RefCell::default(),
            clock: RefCell::default(),
            limit: RefCell::new(Limit::new(&options)),
            parts: RefCell::default(),
            waiting: Cell::default(),
            remote: Remote::new(&options),
            source: RefCell::default(),
            capture: RefCell::default(),
            former: RefCell::default(),
            mime_type: RefCell::default(),
            watch: Watch::new(&options),
            page: RefCell::default(),
            audio_ended: Cell::default(),
            reported: Cell::default(),
            options,
        })
    }

    pub(super) fn listen(&self, listener: impl Fn(Event) + 'static) -> EventListener {
        self.hub.listen(listener)
    }

    pub(super) fn start(&self, source: OpenSource) -> Result<(), RecorderError> {
        if self.state() != State::Idle {
            return Err(RecorderError::WrongState(self.state()));
        }
        let this = self.this.clone();
        source.listen(move |event| {
            if let Some(core) = this.upgrade() {
                core.source_event(event);
            }
        });
        for warning in source.warnings() {
            self.tell(Event::Warning(warning.clone()));
        }
        let ended = source.ended();
        self.source.replace(Some(source));
        self.input(Input::Start)?;
        if let Some(reason) = ended {
            self.news(Input::Stop(reason));
        }
        Ok(())
    }

    pub(super) fn set_owner(&self, owner: &str) {
        if self.owner.borrow().is_none() {
            self.owner.replace(Some(owner.to_owned()));
            for part in self.remote.queue.borrow().iter() {
                part.spool.know(Fact::Owner, owner);
            }
        }
    }

    /// A call from outside.
    pub(super) fn input(&self, input: Input) -> Result<(), RecorderError> {
        self.machine.borrow_mut().handle(input)?;
        while let Some(action) = self.next_action() {
            self.carry_out(action);
        }
        Ok(())
    }

    /// Something that happened; what comes too late is ignored.
    pub(super) fn news(&self, input: Input) {
        let _too_late = self.input(input);
    }

    fn next_action(&self) -> Option<Action> {
        self.machine.borrow_mut().poll()
    }

    fn carry_out(&self, action: Action) {
        match action {
            Action::Prepare => Remote::prepare(&self.this),
            Action::StartCapture => {
                // Not when it tells that it has started: a busy page hears of that seconds later.
                let asked_ms = now_ms();
                match self.start_capture(0) {
                    Ok(()) => {
                        self.clock.borrow_mut().run(asked_ms);
                        // An encoder without pictures does not even tell that it has started.
                        self.begin_watch();
                    }
                    Err(error) => self.news(Input::CannotStart(error)),
                }
            }
            Action::BeginUpload => {
                Remote::begin(self);
                self.watch_page();
                self.watch.heard();
            }
            Action::PauseCapture => {
                self.clock.borrow_mut().halt(now_ms());
                self.with_capture(Capture::pause);
            }
            Action::ResumeCapture => {
                self.with_capture(Capture::resume);
                self.clock.borrow_mut().run(now_ms());
            }
            Action::SplitCapture => perform(self, Job::Split),
            Action::StopCapture => {
                self.watch_canvas();
                self.clock.borrow_mut().halt(now_ms());
                self.with_capture(Capture::stop);
            }
            Action::AnnounceStop => Remote::announce_stop(&self.this),
            Action::ReleaseSource => {
                self.clock.borrow_mut().halt(now_ms());
                self.release();
            }
            Action::EndUpload => self.remote.end(self),
            Action::Discard => self.remote.discard(),
            Action::Entered(state) => {
                self.tell(Event::State(state));
                if !matches!(state, State::Idle | State::Starting | State::Failed) {
                    self.report();
                }
            }
            Action::Stopped(reason) => self.tell(Event::Stopped(reason)),
            Action::Succeeded => self.succeed(),
            Action::Failed(error) => {
                self.rest();
                // Offered by `recover` from now on.
                self.remote.let_go();
                self.tell(Event::Failed(error));
            }
        }
    }

    /// Starts an encoder that fills part `number`.
    pub(super) fn start_capture(&self, number: usize) -> Result<(), RecorderError> {
        let this = self.this.clone();
        let source = self.source.borrow();
        let source = source.as_ref().ok_or(RecorderError::NoTracks)?;
        let capture = Capture::start(
            &source.stream(),
            source.has_audio(),
            &self.options,
            move |event| {
                if let Some(core) = this.upgrade() {
                    core.capture_event(number, event);
                }
            },
        )?;
        self.capture.replace(Some(capture));
        Ok(())
    }

    /// Ends the encoder; its last bytes belong to the part that it has filled.
    pub(super) fn retire_capture(&self) {
        if let Some(capture) = self.capture.take() {
            capture.stop();
            let number = self.remote.number();
            self.former.borrow_mut().push((number, capture));
        }
    }

    fn capture_event(&self, number: usize, event: CaptureEvent) {
        if number < self.remote.number() {
            match event {
                CaptureEvent::Chunk(blob) => self.chunk(number, blob),
                CaptureEvent::Stopped => {
                    self.former.borrow_mut().retain(|it| it.0 != number);
                    self.remote.captured(number);
                }
                CaptureEvent::Started | CaptureEvent::Fault(_) => {}
            }
            return;
        }
        match event {
            CaptureEvent::Started => {
                let mime_type = self.capture.borrow().as_ref().map(Capture::mime_type);
                self.mime_type.replace(mime_type);
                self.news(Input::CaptureStarted);
            }
            CaptureEvent::Chunk(blob) => self.chunk(number, blob),
            CaptureEvent::Stopped => {
                let reason = self.source.borrow().as_ref().map(OpenSource::end_reason);
                let reason = reason.unwrap_or(StopReason::TrackEnded);
                let is_empty = self.parts.borrow().size_bytes() == 0;
                self.remote.captured(number);
                self.news(if is_empty {
                    Input::CapturedNothing(reason)
                } else {
                    Input::CaptureStopped(reason)
                });
            }
            CaptureEvent::Fault(detail) if self.state() == State::Starting => {
                self.news(Input::CannotStart(RecorderError::Encoder(detail)));
            }
            CaptureEvent::Fault(detail) => {
                self.tell(Event::Warning(Warning::Encoder(detail)));
                self.news(Input::Stop(StopReason::EncoderFailed));
            }
        }
    }

    fn source_event(&self, event: SourceEvent) {
        match event {
            SourceEvent::Ended(reason) => self.news(Input::Stop(reason)),
            SourceEvent::AudioEnded if self.state().is_capturing() => {
                self.audio_ended.set(true);
                self.tell(Event::Warning(Warning::AudioEnded));
            }
            SourceEvent::AudioEnded => {}
        }
    }

    fn chunk(&self, number: usize, blob: Blob) {
        if self.watch.chunk(blob.size() == 0.0) {
            self.clock.borrow_mut().heard(now_ms());
        }
        let recorded_ms = self.recorded_ms();
        let size = self.remote.push(number, blob, recorded_ms);
        self.parts.borrow_mut().recorded(number, size, recorded_ms);
        self.limit.borrow_mut().saw_chunk(size);
        self.report();
        self.check_limits();
    }

    pub(super) fn check_limits(&self) {
        let (size, pending, latest) = {
            let parts = self.parts.borrow();
            (
                parts.size_bytes(),
                parts.pending_bytes(),
                parts.latest_bytes(),
            )
        };
        if self.limit.borrow_mut().is_backlog_news(pending) {
            self.tell(Event::Warning(Warning::Backlog {
                pending_bytes: pending,
            }));
        }
        // A recording that has fallen silent ends by itself, too.
        let elapsed_ms = self.clock.borrow().elapsed_ms(now_ms());
        if !self.state().is_capturing() {
            return;
        }
        let (is_reached, is_full) = {
            let limit = self.limit.borrow();
            (
                limit.is_reached(elapsed_ms, size, latest),
                limit.is_part_full(latest),
            )
        };
        if is_reached {
            self.news(Input::Stop(StopReason::LimitReached));
        } else if is_full && self.remote.jobs.borrow().is_empty() {
            self.tell(Event::Warning(Warning::Continued));
            self.news(Input::Split);
        }
    }

    /// The encoder gives nothing any more: no time is recorded, and what it has left is asked for.
    pub(super) fn silent(&self, warning: Warning) {
        self.tell(Event::Warning(warning));
        // Chromium's encoder waits for sound that has ended, and gives the pictures when it is stopped.
        if !self.audio_ended.get() {
            self.clock.borrow_mut().silent(self.options.timeslice_ms);
        }
        self.with_capture(Capture::request_data);
    }

    /// The server takes no more than this.
    pub(super) fn server_takes(&self, max_size_bytes: u64) {
        self.limit.borrow_mut().server_takes(max_size_bytes);
    }

    fn succeed(&self) {
        self.rest();
        let recorded_ms = self.recorded_ms();
        self.parts.borrow_mut().complete(recorded_ms);
        self.waiting.set(None);
        self.report();
        self.tell(Event::Done(Done {
            recording_id: self.recording_id(),
            upload_url: self.remote.url().unwrap_or_default(),
            parts: self.remote.parts(),
            recorded_ms,
            size_bytes: self.parts.borrow().size_bytes(),
            mime_type: self.mime_type().unwrap_or_default(),
        }));
    }

    /// A page that is put away may never run again: what the encoder has should be on its way by then.
    fn watch_page(&self) {
        let this = self.this.clone();
        let hidden = move |event: &web_sys::Event| {
            let leaving = event.type_() == "pagehide";
            let hidden = is_hidden();
            let Some(core) = this.upgrade() else { return };
            if leaving {
                core.remote.page_goes();
            } else {
                core.remote.page_leaves(hidden);
            }
            if leaving || hidden {
                core.with_capture(Capture::request_data);
            }
        };
        self.page.replace(vec![
            DomListener::new(&document(), "visibilitychange", hidden.clone()),
            DomListener::new(&window(), "pagehide", hidden),
        ]);
    }

    /// Does something with the encoder, if there is one. It answers later, never from within.
    pub(super) fn with_capture(&self, call: impl FnOnce(&Capture)) {
        if let Some(capture) = self.capture.borrow().as_ref() {
            call(capture);
        }
    }

    fn release(&self) {
        self.watch.sleep();
        self.capture.take();
        self.source.take();
    }

    /// Whether the recording should survive a crash of the page.
    pub(super) fn is_durable_wanted(&self) -> bool {
        self.options.durable
    }

    /// Nothing is left to be watched.
    fn rest(&self) {
        self.former.take();
        self.watch.end();
        self.page.take();
    }

    pub(super) fn tell(&self, event: Event) {
        self.hub.tell(event);
    }

    /// Tells the listeners how far it is.
    pub(super) fn report(&self) {
        self.reported.set(true);
        self.tell(Event::Progress(self.progress()));
    }

    /// Tells them that time passes, if nothing else has.
    pub(super) fn report_time(&self) {
        if !self.reported.replace(false) {
            self.tell(Event::Progress(self.progress()));
        }
    }

    /// The handle was dropped.
    pub(super) fn let_go(&self) {
        self.release();
        self.rest();
        self.remote.cancel();
    }

    pub(super) fn state(&self) -> State {
        self.machine.borrow().state()
    }

    pub(super) fn progress(&self) -> Progress {
        let parts = self.parts.borrow();
        Progress {
            recorded_ms: self.recorded_ms(),
            size_bytes: parts.size_bytes(),
            safe_ms: parts.safe_ms(),
            safe_bytes: parts.safe_bytes(),
            pending_bytes: parts.pending_bytes(),
            store: self.remote.store(),
            waiting: self.waiting.get(),
        }
    }

    fn recorded_ms(&self) -> u64 {
        self.clock.borrow().recorded_ms(now_ms())
    }

    pub(super) fn stream(&self) -> Option<MediaStream> {
        self.source.borrow().as_ref().map(OpenSource::stream)
    }

    pub(super) fn mime_type(&self) -> Option<String> {
        self.mime_type.borrow().clone()
    }

    pub(super) fn recording_id(&self) -> Option<String> {
        self.remote.recording_id()
    }

    pub(super) fn has_unsent(&self) -> bool {
        match self.state() {
            State::Idle | State::Starting | State::Done => false,
            State::Recording | State::Paused | State::Stopping | State::Uploading => true,
            State::Failed => self.remote.has_unsent(),
        }
    }

    pub(super) fn unsent(&self) -> Option<Blob> {
        self.remote.unsent(&self.mime_type().unwrap_or_default())
    }
}
