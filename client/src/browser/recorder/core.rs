//! Carries out the commands of the recorder's state machine.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use gloo_events::EventListener as DomListener;
use gloo_timers::callback::Interval;
use sortie_tus::client::Notice;
use web_sys::{Blob, MediaStream};

use super::super::capture::CaptureEvent;
use super::super::checksum::Checksums;
use super::super::credentials::Credentials;
use super::super::event_dispatcher::{EventDispatcher, EventListener};
use super::super::server::{Server, markers_path, stop_announcement};
use super::super::source::{OpenSource, SourceEvent};
use super::super::wake_lock::WakeLock;
use super::super::worker::{Ticking, Worker, WorkerEvent};
use super::super::{document, is_hidden, json, now_ms, quota, spawn, window};
use super::encoder::Encoder;
use super::part::Part;
use super::pictures::Pictures;
use super::rest;
use crate::container::file_extension;
use crate::numbers::whole;
use crate::recorder::{
    BeginRequest, BegunUpload, Call, Command, EncoderId, NewMark, Now, RecorderMachine, Sending,
    TICK_MS, creation, upload_config,
};
use crate::spool::Fact;
use crate::wire::new_marker;
use crate::{Event, MarkKind, Options, Progress, RecorderError, SpoolStorage, Target, Warning};

pub(super) struct Core {
    this: Weak<Self>,
    options: Options,
    /// Owner of the copy on this device, from the options or set later.
    owner: RefCell<Option<String>>,
    dispatcher: Rc<EventDispatcher>,
    machine: RefCell<RecorderMachine>,
    /// Whether commands are being executed; inputs received meanwhile only add to them.
    is_running: Cell<bool>,
    pub(super) credentials: Rc<Credentials>,
    source: RefCell<Option<OpenSource>>,
    encoders: RefCell<Vec<Encoder>>,
    /// Parts of which the server does not hold all bytes; the last one is being recorded.
    parts: RefCell<Vec<Rc<Part>>>,
    ticks: RefCell<Option<Ticks>>,
    wake_lock: RefCell<Option<WakeLock>>,
    pictures: Rc<Pictures>,
    page: RefCell<Vec<DomListener>>,
}

#[expect(dead_code, reason = "held to be dropped")]
enum Ticks {
    Worker(Ticking),
    Page(Interval),
}

impl Core {
    pub(super) fn new(options: Options) -> Rc<Self> {
        Rc::new_cyclic(|this: &Weak<Self>| Self {
            this: this.clone(),
            owner: RefCell::new(options.owner.clone()),
            dispatcher: Rc::default(),
            machine: RefCell::new(RecorderMachine::new(&options)),
            is_running: Cell::default(),
            credentials: Credentials::new(options.authorization.clone(), &options.target),
            source: RefCell::default(),
            encoders: RefCell::default(),
            parts: RefCell::default(),
            ticks: RefCell::default(),
            wake_lock: RefCell::default(),
            pictures: Rc::default(),
            page: RefCell::default(),
            options,
        })
    }

    pub(super) fn listen(&self, listener: impl Fn(Event) + 'static) -> EventListener {
        self.dispatcher.listen(listener)
    }

    pub(super) fn start(&self, source: OpenSource) -> Result<(), RecorderError> {
        let (warnings, reason, ended) = (
            source.warnings().to_vec(),
            source.end_reason(),
            source.ended(),
        );
        let source = Some(source);
        // A recorder that was started keeps its source.
        if self.source.borrow().is_some() {
            return self.apply(|machine, now| machine.handle_start(now, &warnings, reason, ended));
        }
        if let Some(source) = &source {
            let this = self.this.clone();
            source.listen(move |event| {
                if let Some(core) = this.upgrade() {
                    match event {
                        SourceEvent::Ended(reason) => {
                            let _late = core.call(Call::Stop(reason));
                        }
                        SourceEvent::AudioEnded => {
                            core.apply(|machine, _| machine.handle_audio_ended());
                        }
                        #[cfg(feature = "compose")]
                        SourceEvent::Warning(warning) => {
                            core.apply(|machine, _| machine.handle_warning(warning));
                        }
                    }
                }
            });
        }
        self.source.replace(source);
        let started =
            self.apply(|machine, now| machine.handle_start(now, &warnings, reason, ended));
        if started.is_err() {
            self.source.take();
        }
        started
    }

    pub(super) fn set_owner(&self, owner: &str) {
        if self.owner.borrow().is_none() {
            self.owner.replace(Some(owner.to_owned()));
            for part in self.parts.borrow().iter() {
                part.spool.know(Fact::Owner, owner);
            }
        }
    }

    pub(super) fn mark(&self, text: &str, kind: MarkKind) -> Result<u64, RecorderError> {
        self.apply(|machine, now| machine.handle_mark(now, kind, text.to_owned()))
    }

    pub(super) fn call(&self, call: Call) -> Result<(), RecorderError> {
        self.apply(|machine, now| machine.handle_call(now, call))
    }

    /// Passes an input to the machine and executes the resulting commands.
    pub(super) fn apply<T>(&self, input: impl FnOnce(&mut RecorderMachine, Now) -> T) -> T {
        let now = self.handle_time();
        let outcome = input(&mut self.machine.borrow_mut(), now);
        self.run();
        outcome
    }

    fn handle_time(&self) -> Now {
        let now = now();
        let storage = self.storage();
        self.machine.borrow_mut().handle_time(now, storage);
        now
    }

    pub(super) fn read<T>(&self, read: impl FnOnce(&RecorderMachine) -> T) -> T {
        read(&self.machine.borrow())
    }

    fn run(&self) {
        if self.is_running.replace(true) {
            return;
        }
        loop {
            // Each poll ends its borrow before the command is carried out.
            if let Some(command) = { self.machine.borrow_mut().poll_command() } {
                self.carry_out(command);
            } else if let Some(event) = { self.machine.borrow_mut().poll_event() } {
                self.dispatcher.dispatch(self.explained(event));
            } else {
                break;
            }
        }
        self.is_running.set(false);
    }

    /// Adds the server's explanation to a failure.
    fn explained(&self, event: Event) -> Event {
        match event {
            Event::Failed(error) => {
                let part = self.parts.borrow().first().cloned();
                Event::Failed(match part {
                    Some(part) => part.explain(error),
                    None => error,
                })
            }
            event => event,
        }
    }

    fn carry_out(&self, command: Command) {
        match command {
            Command::OpenPart(number, continues) => self.open_part(number, continues.as_deref()),
            Command::BeginUpload(request) => self.begin_upload(request),
            Command::AnnounceStop(begun) => {
                let (path, body) = stop_announcement(&begun);
                let server = self.telling_server();
                self.post(server, path, body, RecorderMachine::handle_stop_announced);
            }
            Command::StartEncoder {
                encoder,
                renew_source,
                is_paused,
            } => self.start_encoder(encoder, renew_source, is_paused),
            Command::UseRenewedSource => self.use_renewed_source(),
            Command::PauseEncoder(id) => self.with_encoder(id, |it| it.capture.pause()),
            Command::ResumeEncoder(id) => self.with_encoder(id, |it| it.capture.resume()),
            Command::FlushEncoder(id) => self.with_encoder(id, |it| it.capture.request_data()),
            Command::StopEncoder(id) => self.with_encoder(id, |it| it.capture.stop()),
            Command::DropEncoder(id) => self.drop_encoder(id),
            Command::ReleaseSource => {
                self.wake_lock.take();
                self.source.take();
            }
            Command::SendPart(sending) => self.send(&sending, None),
            Command::ReadRest(number, request) => {
                if let Some(part) = self.part(number) {
                    let core = self.this.clone();
                    spawn(async move {
                        let rest = rest::read(&part, request).await;
                        if let Some(core) = core.upgrade() {
                            core.apply(|machine, now| machine.handle_rest(now, number, rest));
                        }
                    });
                }
            }
            Command::SendRest(sending) => {
                let rest = self.part(sending.part).and_then(|it| it.rest.take());
                self.send(&sending, rest);
            }
            Command::EndPart(number) => self.with_part(number, Part::end),
            Command::RemovePart(number) => {
                self.with_part(number, |part| part.spool.remove());
                self.parts.borrow_mut().retain(|it| it.number != number);
            }
            Command::DeleteUpload(url) => self.delete(url),
            Command::KeepMark(number, mark) => {
                let body = marker_body(&mark);
                self.with_part(number, |part| part.spool.know(Fact::Mark, &body));
            }
            Command::SendMark(recording, mark) => {
                let (path, body) = (markers_path(&recording), marker_body(&mark));
                // A wait that the server asks for concerns nothing else.
                let server = self.server();
                self.post(server, path, body, RecorderMachine::handle_mark_sent);
            }
            Command::MarksSettled(number, count) => {
                let count = count.to_string();
                self.with_part(number, |part| part.spool.know(Fact::MarksSettled, &count));
            }
            Command::Discard(urls) => self.discard(urls),
            Command::Watch => self.watch(),
            Command::WatchPage => self.watch_page(),
            Command::Unwatch => self.unwatch(),
            Command::LeaveSpools => self.leave_spools(),
            Command::CheckCanvas => {
                let source = self.source.borrow();
                if source.as_ref().is_some_and(OpenSource::is_tainted) {
                    self.machine.borrow_mut().handle_tainted_canvas();
                }
            }
            Command::CheckStorage => self.check_storage(),
            Command::RepaintCanvas => {
                if let Some(source) = self.source.borrow().as_ref() {
                    source.repaint();
                }
            }
        }
    }

    // Encoders

    fn start_encoder(&self, id: EncoderId, renew_source: bool, is_paused: bool) {
        let now = now();
        let started = self.try_start_encoder(id, renew_source).map(|encoder| {
            if is_paused {
                encoder.capture.pause();
            }
            self.encoders.borrow_mut().push(encoder);
        });
        self.machine.borrow_mut().handle_encoder(now, id, started);
    }

    fn try_start_encoder(&self, id: EncoderId, renew: bool) -> Result<Encoder, RecorderError> {
        let source = self.source.borrow();
        let source = source.as_ref().ok_or(RecorderError::NoTracks)?;
        let renewed = renew.then(|| source.renew()).transpose()?;
        let stream = match &renewed {
            Some(renewed) => renewed.stream(),
            None => source.stream(),
        };
        let this = self.this.clone();
        let on_event = move |event| {
            if let Some(core) = this.upgrade() {
                core.encoder_event(id, event);
            }
        };
        let this = self.this.clone();
        let on_length = move |length_ms| {
            if let Some(core) = this.upgrade() {
                core.apply(|machine, _| machine.handle_media_length(id, length_ms));
            }
        };
        let has_audio = source.has_audio();
        Encoder::start(
            id,
            &stream,
            has_audio,
            &self.options,
            renewed,
            on_event,
            on_length,
        )
    }

    fn encoder_event(&self, id: EncoderId, event: CaptureEvent) {
        match event {
            CaptureEvent::Started => {
                let mime_type = self.encoder(id, |it| it.capture.mime_type());
                let mime_type = mime_type.unwrap_or_default();
                self.apply(|machine, now| machine.handle_encoder_started(now, id, mime_type));
            }
            CaptureEvent::Chunk(blob) => {
                // Chunks arrive in frozen and hidden pages, too, unlike timers.
                if let Some(worker) = Worker::existing() {
                    worker.tick_if_silent();
                    worker.end_if_silent();
                }
                let bytes = whole(blob.size());
                let place = self.apply(|machine, now| machine.handle_chunk(now, id, bytes));
                let Some(place) = place else { return };
                self.with_encoder(id, |it| it.timestamps.push(&blob));
                self.with_part(place.part, |it| {
                    it.append(blob, place.recorded_ms);
                    self.take_picture(it, place.recorded_ms);
                });
            }
            CaptureEvent::Stopped => {
                self.apply(|machine, now| machine.handle_encoder_stopped(now, id));
                self.drop_encoder(id);
            }
            CaptureEvent::Fault(detail) => {
                self.apply(|machine, now| machine.handle_encoder_fault(now, id, detail));
            }
        }
    }

    fn take_picture(&self, part: &Part, recorded_ms: u64) {
        if let (Target::Server { base, .. }, true) = (&self.options.target, self.options.pictures) {
            self.pictures.handle_chunk(
                (part.number, recorded_ms),
                base,
                part.recording.borrow().as_deref(),
                self.stream(),
                self.options.worker_url.as_deref(),
                &self.credentials,
            );
        }
    }

    fn use_renewed_source(&self) {
        let mut encoders = self.encoders.borrow_mut();
        let renewed = encoders.last_mut().and_then(|it| it.renewed.take());
        if let (Some(source), Some(renewed)) = (self.source.borrow_mut().as_mut(), renewed) {
            source.replace(renewed);
        }
    }

    fn encoder<T>(&self, id: EncoderId, read: impl FnOnce(&Encoder) -> T) -> Option<T> {
        self.encoders
            .borrow()
            .iter()
            .find(|it| it.id == id)
            .map(read)
    }

    /// Calls into an encoder. Its events arrive later, never during the call.
    fn with_encoder(&self, id: EncoderId, call: impl FnOnce(&Encoder)) {
        self.encoder(id, call);
    }

    fn drop_encoder(&self, id: EncoderId) {
        let at = self.encoders.borrow().iter().position(|it| it.id == id);
        if let Some(at) = at {
            let encoder = self.encoders.borrow_mut().remove(at);
            drop(encoder);
        }
    }

    // Parts

    fn open_part(&self, number: usize, continues: Option<&str>) {
        let part = Part::new(number, &self.options);
        let session = self.read(|machine| machine.session().map(str::to_owned));
        let facts = [
            (Fact::Continues, continues.map(str::to_owned)),
            (Fact::Session, session),
            (Fact::Owner, self.owner.borrow().clone()),
        ];
        for (fact, value) in facts {
            if let Some(value) = value {
                part.spool.know(fact, &value);
            }
        }
        let this = self.this.clone();
        part.open(move |change| {
            if let Some(core) = this.upgrade() {
                core.apply(|machine, _| machine.handle_spool_change(change));
            }
        });
        self.parts.borrow_mut().push(part);
    }

    /// Uploads the spool of a part, or the rest of it as a file of its own.
    fn send(&self, sending: &Sending, rest: Option<Vec<Blob>>) {
        let Some(part) = self.part(sending.part) else {
            return;
        };
        let mime_type = self.read(|machine| machine.mime_type().unwrap_or_default().to_owned());
        let begun = sending.begun.as_ref();
        let start = match (&self.options.target, begun) {
            (Target::Tus { endpoint }, _) => {
                let filename = self.options.filename.clone() + "." + file_extension(&mime_type);
                let continues = sending.continues.as_deref();
                creation(endpoint, &filename, &mime_type, continues)
            }
            (Target::Server { .. }, Some(begun)) => begun.start(),
            (Target::Server { .. }, None) => return,
        };
        part.spool.know(Fact::Type, &mime_type);
        // The device keeps its copy of a rest as part of the recording that the server has ended.
        if rest.is_none()
            && let Some(begun) = begun
        {
            know(&part, begun);
        }
        let this = self.this.clone();
        let number = part.number;
        let is_spool = rest.is_none();
        part.upload(
            start,
            rest,
            Rc::clone(&self.credentials),
            Checksums::new(&self.options.target),
            upload_config(begun),
            move |notice| {
                if let Some(core) = this.upgrade() {
                    if let Notice::Created { url } = &notice
                        && is_spool
                    {
                        core.with_part(number, |part| part.spool.know(Fact::Upload, url));
                    }
                    core.apply(|machine, now| machine.handle_notice(now, number, notice));
                }
            },
        );
    }

    /// Deletes the uploads of all parts, and those at `urls`.
    fn discard(&self, mut urls: Vec<String>) {
        for part in self.parts.take() {
            let url = part.delete();
            urls.retain(|it| url.as_ref() != Some(it));
            part.spool.remove();
        }
        for url in urls {
            self.delete(url);
        }
    }

    fn delete(&self, url: String) {
        let checksums = Checksums::new(&self.options.target);
        let worker_url = self.options.worker_url.clone();
        Part::delete_upload(url, Rc::clone(&self.credentials), checksums, worker_url);
    }

    fn leave_spools(&self) {
        for part in self.parts.borrow().iter() {
            part.spool.let_go();
        }
    }

    pub(super) fn part(&self, number: usize) -> Option<Rc<Part>> {
        let parts = self.parts.borrow();
        parts.iter().find(|it| it.number == number).cloned()
    }

    fn with_part(&self, number: usize, call: impl FnOnce(&Part)) {
        if let Some(part) = self.part(number) {
            call(&part);
        }
    }

    /// Calls into the upload under way.
    fn with_first_part(&self, call: impl FnOnce(&Part)) {
        let part = self.parts.borrow().first().cloned();
        if let Some(part) = part {
            call(&part);
        }
    }

    // Server

    fn server(&self) -> Option<Server> {
        let Target::Server { base, .. } = &self.options.target else {
            return None;
        };
        Some(Server::new(base.clone(), Rc::clone(&self.credentials)))
    }

    /// Returns our server, whose waits are reported.
    fn telling_server(&self) -> Option<Server> {
        let this = self.this.clone();
        let on_wait = move |ms: Option<u32>| {
            this.upgrade()
                .is_some_and(|core| core.apply(|machine, _| machine.handle_server_wait(ms)))
        };
        Some(self.server()?.telling(Rc::new(on_wait)))
    }

    fn begin_upload(&self, request: BeginRequest) {
        let Some(server) = self.telling_server() else {
            return;
        };
        let this = self.this.clone();
        spawn(async move {
            let continues = request.continues.as_deref();
            let begun = server.begin(request.session, continues).await;
            if let Some(core) = this.upgrade() {
                let jitter = js_sys::Math::random();
                core.apply(|machine, now| machine.handle_begun(now, begun, jitter));
            }
        });
    }

    /// Sends a request and passes the outcome to the machine.
    fn post(
        &self,
        server: Option<Server>,
        path: String,
        body: String,
        handle: fn(&mut RecorderMachine, Now, Result<(), RecorderError>),
    ) {
        let Some(server) = server else { return };
        let this = self.this.clone();
        spawn(async move {
            let outcome = server.post(&path, &body).await.map(drop);
            if let Some(core) = this.upgrade() {
                core.apply(|machine, now| handle(machine, now, outcome));
            }
        });
    }

    // Page and device

    fn watch(&self) {
        if self.options.durable {
            quota::persist();
        }
        if self.options.keep_awake {
            self.wake_lock.replace(Some(WakeLock::new()));
        }
        self.watch_time();
    }

    /// Starts the ticks. Timers of hidden pages are late or do not fire, those of workers do.
    fn watch_time(&self) {
        let this = self.this.clone();
        let worker = Worker::shared(self.options.worker_url.as_deref());
        let ticks = match worker {
            Some(worker) => Ticks::Worker(worker.ticking(move |event| {
                if let Some(core) = this.upgrade() {
                    core.handle_worker_event(event);
                }
            })),
            None => {
                if let Some(refusal) = Worker::refusal() {
                    self.warn(Warning::NoWorker(refusal));
                }
                Ticks::Page(Interval::new(TICK_MS, move || {
                    if let Some(core) = this.upgrade() {
                        core.tick();
                    }
                }))
            }
        };
        let previous = self.ticks.replace(Some(ticks));
        drop(previous);
    }

    fn handle_worker_event(&self, event: &WorkerEvent) {
        match event {
            WorkerEvent::Tick => self.tick(),
            WorkerEvent::Refused => self.watch_time(),
            WorkerEvent::Crashed => {
                self.watch_time();
                for part in self.parts.borrow().iter() {
                    part.spool.move_to_next_worker();
                }
                self.warn(Warning::WorkerRestarted);
            }
        }
    }

    fn warn(&self, warning: Warning) {
        self.apply(|machine, _| machine.handle_warning(warning));
    }

    fn tick(&self) {
        self.with_first_part(Part::tick);
        let stopped = {
            let source = self.source.borrow();
            let source = source.as_ref();
            // The recorder handles it only while it captures, and asks again until then.
            source
                .filter(|_| self.read(|machine| machine.state().is_capturing()))
                .filter(|it| it.was_stopped())
                .map(OpenSource::end_reason)
        };
        self.apply(|machine, now| machine.handle_tick(now, stopped, is_hidden()));
    }

    fn watch_page(&self) {
        let this = self.this.clone();
        let hidden = move |event: &web_sys::Event| {
            let is_closing = event.type_() == "pagehide";
            let is_hidden = is_hidden();
            let Some(core) = this.upgrade() else { return };
            core.with_first_part(|part| {
                if is_closing {
                    part.page_closes();
                } else {
                    part.page_hides(is_hidden);
                }
            });
            if is_closing || is_hidden {
                let _any_state = core.call(Call::Flush);
            }
        };
        self.page.replace(vec![
            DomListener::new(&document(), "visibilitychange", hidden.clone()),
            DomListener::new(&window(), "pagehide", hidden),
        ]);
    }

    fn unwatch(&self) {
        self.encoders.take();
        self.ticks.take();
        self.page.take();
    }

    fn check_storage(&self) {
        let this = self.this.clone();
        spawn(async move {
            let left_bytes = quota::left_bytes().await;
            if let (Some(core), Some(left_bytes)) = (this.upgrade(), left_bytes) {
                core.apply(|machine, _| machine.handle_free_space(left_bytes));
            }
        });
    }

    /// Releases everything and leaves the server as it is, because the handle was dropped.
    pub(super) fn close(&self) {
        self.wake_lock.take();
        self.unwatch();
        self.source.take();
        for part in self.parts.borrow().iter() {
            part.cancel();
        }
        self.leave_spools();
    }

    pub(super) fn progress(&self) -> Progress {
        self.handle_time();
        self.read(RecorderMachine::progress)
    }

    fn storage(&self) -> SpoolStorage {
        let parts = self.parts.borrow();
        parts
            .last()
            .map_or(SpoolStorage::Memory, |it| it.spool.store())
    }

    pub(super) fn stream(&self) -> Option<MediaStream> {
        self.source.borrow().as_ref().map(OpenSource::stream)
    }

    /// Returns the bytes of the first part that the server does not hold. Each part is a file of its own.
    pub(super) fn unsent(&self) -> impl Future<Output = Option<Blob>> + use<> {
        let mime_type = self.read(|machine| machine.mime_type().unwrap_or_default().to_owned());
        let parts = self.parts.borrow();
        let mut spools = parts.iter().map(|it| &it.spool);
        let bytes = spools
            .find(|it| it.start() < it.end())
            .and_then(|it| it.slice(it.start(), it.end()));
        async move { bytes?.read(&mime_type).await }
    }
}

fn marker_body(mark: &NewMark) -> String {
    new_marker(mark, &json::string(&mark.text))
}

fn know(part: &Part, begun: &BegunUpload) {
    part.recording.replace(Some(begun.recording.clone()));
    part.spool.know(Fact::Session, &begun.session);
    part.spool.know(Fact::Recording, &begun.recording);
    part.spool.know(Fact::Upload, &begun.upload_url);
}

fn now() -> Now {
    Now {
        steady_ms: now_ms(),
        wall_ms: whole(js_sys::Date::now()),
    }
}
