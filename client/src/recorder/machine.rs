//! State machine of one recorder: calls and events in with `handle_*`, commands and events out with `poll_*`.

use sortie_tus::client::{FailureReason, Notice};

use super::begun_upload::BegunUpload;
use super::capture_monitor::CaptureMonitor;
use super::command::{Call, ChunkPlace, Command, Now, Rest};
use super::device_storage::DeviceStorage;
use super::encoders::{Encoder, EncoderId};
use super::lifecycle::{Action, Input, Lifecycle};
use super::limits::Limits;
use super::marks::{Marks, Sent};
use super::part_progress::PartProgress;
use super::schedule::Schedule;
use super::storage_pressure::Reaction;
use super::tus::{failure, waiting_for};
use super::uploads::{Begun, Context, Step, Uploads};
use super::watchdog::Alarm;
use crate::numbers::whole;
use crate::queue::pop_first;
use crate::spool::Change;
use crate::{
    Done, Event, MarkKind, Options, Progress, RecorderError, Refusal, SpoolStorage, State,
    StopReason, Target, Waiting, Warning,
};

#[derive(Debug)]
pub(crate) struct RecorderMachine {
    target: Target,
    lifecycle: Lifecycle,
    capture: CaptureMonitor,
    limits: Limits,
    schedule: Schedule,
    storage: DeviceStorage,
    progress: PartProgress,
    uploads: Uploads,
    marks: Marks,
    /// Time of the first picture in the rest that was read last, in its part.
    rest_media_ms: Option<u64>,
    waiting: Option<Waiting>,
    mime_type: Option<String>,
    end_reason: StopReason,
    /// Whether progress was reported since the last tick.
    is_reported: bool,
    /// Whether the server holds all bytes, but not all timestamps were read.
    is_succeeding: bool,
    now: Now,
    commands: Vec<Command>,
    events: Vec<Event>,
}

impl RecorderMachine {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            target: options.target.clone(),
            lifecycle: Lifecycle::default(),
            capture: CaptureMonitor::new(options.timeslice_ms),
            limits: Limits::new(options),
            schedule: Schedule::default(),
            storage: DeviceStorage::new(options.durable),
            progress: PartProgress::default(),
            uploads: Uploads::new(&options.target, &options.labels),
            marks: Marks::default(),
            rest_media_ms: None,
            waiting: None,
            mime_type: None,
            end_reason: StopReason::TrackEnded,
            is_reported: false,
            is_succeeding: false,
            now: Now::default(),
            commands: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Sets the time, and the storage of the current part. Must be called before other inputs and
    /// [`progress`](Self::progress).
    pub(crate) fn handle_time(&mut self, now: Now, storage: SpoolStorage) {
        (self.now, self.storage.spool) = (now, storage);
    }

    pub(crate) fn poll_command(&mut self) -> Option<Command> {
        pop_first(&mut self.commands)
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        pop_first(&mut self.events)
    }

    /// Starts with an open source, which ends for `end_reason` and has `ended` already if that is set.
    ///
    /// # Errors
    /// [`RecorderError::WrongState`] unless the recorder is idle.
    pub(crate) fn handle_start(
        &mut self,
        now: Now,
        warnings: &[Warning],
        end_reason: StopReason,
        ended: Option<StopReason>,
    ) -> Result<(), RecorderError> {
        if self.state() != State::Idle {
            return Err(RecorderError::WrongState(self.state()));
        }
        for warning in warnings {
            self.warn(warning.clone());
        }
        self.end_reason = end_reason;
        self.call(now, Input::Start)?;
        if let Some(reason) = ended {
            self.event(now, Input::Stop(reason));
        }
        Ok(())
    }

    /// # Errors
    /// [`RecorderError::WrongState`] for a call that does not fit the state.
    pub(crate) fn handle_call(&mut self, now: Now, call: Call) -> Result<(), RecorderError> {
        let input = match call {
            Call::Pause => Input::Pause,
            Call::Resume => Input::Resume,
            Call::Stop(reason) => Input::Stop(reason),
            Call::Abort => Input::Abort,
            Call::Flush => {
                self.flush();
                return Ok(());
            }
        };
        self.call(now, input)
    }

    /// Makes a marker at the current length of the recording, and returns that length in ms.
    ///
    /// # Errors
    /// Nothing is being recorded, the text is too long, the recording has too many markers, or the target is another tus
    /// server.
    pub(crate) fn handle_mark(
        &mut self,
        now: Now,
        kind: MarkKind,
        text: String,
    ) -> Result<u64, RecorderError> {
        if !self.state().is_capturing() {
            return Err(RecorderError::WrongState(self.state()));
        }
        if !self.has_marks() {
            let detail = "Markers need server: other tus servers do not have them.";
            return Err(Refusal::of_status(404, detail.to_owned()).into());
        }
        let (part, recorded_ms) = (self.capture.encoders.current_part(), self.recorded_ms());
        let command = self.marks.make(part, recorded_ms, kind, text)?;
        self.commands.push(command);
        self.advance(now);
        Ok(recorded_ms)
    }

    /// Takes the answer to [`Command::SendMark`].
    pub(crate) fn handle_mark_sent(&mut self, now: Now, sent: Result<(), RecorderError>) {
        if self.state().is_final() {
            return;
        }
        match self.marks.handle_sent(now.steady_ms, sent) {
            Sent::Settled(command, error) => {
                self.commands.push(command);
                if let Some(error) = error {
                    self.warn(Warning::Marker(error.to_string()));
                }
                while let Some(part) = self.marks.take_released() {
                    self.commands.push(Command::RemovePart(part));
                }
            }
            Sent::Again => {}
            Sent::GivenUp => {
                self.marks.leave();
                // The next page, or another tab, sends them.
                self.commands.push(Command::LeaveSpools);
                let detail = "It stays on this device. Open this page again later.";
                self.warn(Warning::Marker(detail.to_owned()));
            }
        }
        self.advance(now);
    }

    fn has_marks(&self) -> bool {
        matches!(self.target, Target::Server { .. })
    }

    /// Makes a marker of what happens now.
    fn mark(&mut self, kind: MarkKind, text: String) {
        if self.has_marks() {
            let (part, recorded_ms) = (self.capture.encoders.current_part(), self.recorded_ms());
            let command = self.marks.make_automatic(part, recorded_ms, kind, text);
            self.commands.extend(command);
        }
    }

    pub(crate) fn handle_audio_ended(&mut self) {
        if self.state().is_capturing() {
            self.capture.audio_ended();
            self.warn(Warning::AudioEnded);
        }
    }

    /// Reports a warning of the source or of the worker.
    pub(crate) fn handle_warning(&mut self, warning: Warning) {
        if !self.state().is_final() {
            self.warn(warning);
        }
    }

    /// Takes the outcome of [`Command::StartEncoder`]. The encoder's `start` event follows, on a busy page seconds
    /// later; without pictures never.
    pub(crate) fn handle_encoder(
        &mut self,
        now: Now,
        encoder: EncoderId,
        started: Result<(), RecorderError>,
    ) {
        let is_first = self.state() == State::Starting;
        let Err(error) = started else {
            self.capture.running(now, encoder, is_first);
            return self.commands.extend(is_first.then_some(Command::Watch));
        };
        if self.capture.encoders.drop_candidate_if(encoder) {
            return;
        }
        if is_first {
            return self.event(now, Input::CannotStart(error));
        }
        if let Some(part) = self.capture.encoders.part_of(encoder) {
            self.warn(Warning::Encoder(error.to_string()));
            self.uploads.captured(part);
            self.event(now, Input::CaptureStopped(StopReason::EncoderFailed));
        }
    }

    /// Records that the encoder has emitted `start` and knows its MIME type.
    pub(crate) fn handle_encoder_started(
        &mut self,
        now: Now,
        encoder: EncoderId,
        mime_type: String,
    ) {
        if self.capture.encoders.is_current(encoder) {
            self.mime_type = Some(mime_type);
            self.event(now, Input::CaptureStarted);
        }
    }

    /// Returns where to append a chunk of `bytes`, after the commands were carried out; `None` to drop it.
    pub(crate) fn handle_chunk(
        &mut self,
        now: Now,
        encoder: EncoderId,
        bytes: u64,
    ) -> Option<ChunkPlace> {
        if self.capture.encoders.is_candidate(encoder) && bytes > 0 {
            self.replace_silent_encoder(now);
        }
        let part = self.capture.encoders.part_of(encoder)?;
        if self.capture.chunk(now, encoder, bytes) {
            self.drop_candidate();
        }
        let recorded_ms = self.recorded_ms();
        self.progress.recorded(part, bytes, recorded_ms);
        self.limits.saw_chunk(bytes);
        self.report();
        self.check_limits(now);
        self.advance(now);
        Some(ChunkPlace { part, recorded_ms })
    }

    /// Records the length of an encoder's stream, read from the timestamps of its latest chunk; `None` if it could not
    /// be read.
    pub(crate) fn handle_media_length(&mut self, encoder: EncoderId, length_ms: Option<u64>) {
        let behind = self.capture.media_length(encoder, length_ms);
        self.progress.limit_time(self.recorded_ms());
        if let Some(behind_ms) = behind
            && self.state() == State::Recording
        {
            self.warn(Warning::EncoderSlow { behind_ms });
            self.report();
        }
        if self.is_succeeding && self.capture.encoders.is_read() {
            self.succeed();
        }
    }

    /// Records that the encoder has emitted its last byte.
    pub(crate) fn handle_encoder_stopped(&mut self, now: Now, encoder: EncoderId) {
        if self.capture.encoders.drop_candidate_if(encoder) {
            return;
        }
        let Some(part) = self.capture.encoders.part_of(encoder) else {
            return;
        };
        self.uploads.captured(part);
        if self.capture.encoders.retired(encoder) {
            return self.advance(now);
        }
        let is_empty = self.progress.size_bytes() == 0;
        self.event(
            now,
            if is_empty {
                Input::CapturedNothing(self.end_reason)
            } else {
                Input::CaptureStopped(self.end_reason)
            },
        );
    }

    pub(crate) fn handle_encoder_fault(&mut self, now: Now, encoder: EncoderId, detail: String) {
        if self.capture.encoders.drop_candidate_if(encoder) {
            return self.commands.push(Command::DropEncoder(encoder));
        }
        if !self.capture.encoders.is_current(encoder) {
            return;
        }
        if self.state() == State::Starting {
            return self.event(now, Input::CannotStart(RecorderError::Encoder(detail)));
        }
        self.warn(Warning::Encoder(detail));
        self.event(now, Input::Stop(StopReason::EncoderFailed));
    }

    pub(crate) fn handle_tainted_canvas(&mut self) {
        if self.capture.is_silence_new() {
            self.silent(Warning::TaintedCanvas);
        }
    }

    /// Handles a tick. `stopped` is the end of a source whose tracks a script has stopped, which fires no event.
    pub(crate) fn handle_tick(&mut self, now: Now, stopped: Option<StopReason>, is_hidden: bool) {
        self.schedule.tick();
        if let Some(encoder) = self.capture.encoders.take_late_candidate(now.steady_ms) {
            self.commands.push(Command::DropEncoder(encoder));
        }
        while let Some((encoder, part)) = self.capture.encoders.take_hung(now.steady_ms) {
            self.commands.push(Command::DropEncoder(encoder));
            self.uploads.captured(part);
        }
        self.advance(now);
        if self.state() == State::Starting {
            return self.watch_encoder(now);
        }
        if !self.state().is_capturing() {
            return;
        }
        let is_paused = self.state() == State::Paused;
        // Uploads the encoder's bytes now instead of after the pause.
        if self.schedule.is_flush_due(is_paused) {
            self.flush();
        }
        if !is_paused {
            if !std::mem::take(&mut self.is_reported) {
                self.events.push(Event::Progress(self.progress()));
            }
            self.check_limits(now);
        }
        if let Some(reason) = stopped {
            self.warn(Warning::VideoEnded);
            return self.event(now, Input::Stop(reason));
        }
        self.watch_encoder(now);
        self.watch_memory(now);
        if self.schedule.is_storage_due() && !self.storage.in_memory() {
            self.commands.push(Command::CheckStorage);
        }
        if is_hidden && self.schedule.is_repaint_due() {
            self.commands.push(Command::RepaintCanvas);
        }
    }

    pub(crate) fn handle_free_space(&mut self, left_bytes: u64) {
        if let Some(warning) = self.storage.free_space(left_bytes) {
            self.warn(warning);
        }
    }

    pub(crate) fn handle_spool_change(&mut self, change: Change) {
        match self.storage.change(change) {
            Some(warning) => self.warn(warning),
            None => self.report(),
        }
    }

    /// Takes the answer to [`Command::BeginUpload`]. `jitter` is a random number between 0 and 1.
    pub(crate) fn handle_begun(
        &mut self,
        now: Now,
        begun: Result<BegunUpload, RecorderError>,
        jitter: f64,
    ) {
        if let Ok(begun) = &begun {
            self.limits.server_takes(begun.max_size_bytes);
        }
        if self.state().is_final() {
            if let Ok(begun) = begun {
                self.commands.push(Command::DeleteUpload(begun.upload_url));
            }
            return;
        }
        if self.state() == State::Starting {
            return match begun {
                Ok(begun) => {
                    self.uploads.prepared(begun);
                    self.waiting = None;
                    self.event(now, Input::Prepared);
                }
                Err(error) => self.event(now, Input::CannotStart(error)),
            };
        }
        match self.uploads.handle_begun(now.steady_ms, begun, jitter) {
            Begun::Ready => self.set_waiting(None),
            Begun::Again(None) => {}
            Begun::Again(waiting) => self.set_waiting(waiting),
            Begun::SessionOver => self.event(now, Input::Stop(StopReason::SessionEnded)),
            Begun::Failed(error) => self.event(now, Input::UploadFailed(error)),
        }
        self.advance(now);
    }

    /// Records that our server asks for a wait of `ms`, or that the wait is over. Returns whether the answer is still
    /// wanted.
    pub(crate) fn handle_server_wait(&mut self, ms: Option<u32>) -> bool {
        self.set_waiting(ms.map(|ms| Waiting::Retry { in_ms: ms.into() }));
        !self.state().is_final()
    }

    pub(crate) fn handle_stop_announced(&mut self, now: Now, announced: Result<(), RecorderError>) {
        if announced.is_err() {
            self.warn(Warning::StopNotAnnounced);
        }
        self.event(now, Input::StopAnnounced);
    }

    /// Takes the answer to [`Command::ReadRest`]; `None` without a file.
    pub(crate) fn handle_rest(
        &mut self,
        now: Now,
        part: usize,
        rest: Result<Option<Rest>, RecorderError>,
    ) {
        match rest {
            Ok(rest) => {
                self.rest_media_ms = rest.and_then(|it| it.media_ms);
                let front = rest.map(|it| it.front);
                self.uploads.handle_rest(part, front);
                self.advance(now);
            }
            // The device keeps its copy.
            Err(error) => self.event(now, Input::UploadFailed(error)),
        }
    }

    /// Handles a notice of the upload of `part`.
    pub(crate) fn handle_notice(&mut self, now: Now, part: usize, notice: Notice) {
        match notice {
            Notice::Acknowledged { offset } => {
                let safe = self.uploads.acknowledged(part, offset);
                self.progress.acknowledged(part, safe);
                self.report();
            }
            Notice::Waiting { until, reason } => {
                let now_ms = whole(now.steady_ms);
                self.set_waiting(Some(waiting_for(now_ms, until, reason)));
            }
            Notice::Resumed => self.set_waiting(None),
            Notice::Done => {
                let command = self.uploads.complete(part);
                self.take(now, Step::Command(command));
            }
            Notice::Failed { reason } => {
                let is_gone = matches!(reason, FailureReason::Gone { .. });
                if is_gone && self.uploads.ended_by_server(part) {
                    self.warn(Warning::Continued);
                } else {
                    let error = failure(reason, &self.target);
                    return self.event(now, Input::UploadFailed(error));
                }
            }
            Notice::NeverAnswered => self.warn(Warning::Unreachable),
            Notice::Created { url } => self.uploads.created(part, url),
            Notice::StoppedByServer => self.event(now, Input::Stop(StopReason::SessionEnded)),
            Notice::ServerLostBytes { .. } | Notice::Abandoned { .. } => {}
        }
        self.advance(now);
    }

    pub(crate) fn state(&self) -> State {
        self.lifecycle.state()
    }

    pub(crate) fn progress(&self) -> Progress {
        let recorded_ms = self.recorded_ms();
        Progress {
            recorded_ms,
            size_bytes: self.progress.size_bytes(),
            safe_ms: self.progress.safe_ms().min(recorded_ms),
            safe_bytes: self.progress.safe_bytes(),
            pending_bytes: self.progress.pending_bytes(),
            storage: self.storage.spool,
            waiting: self.waiting,
        }
    }

    pub(crate) fn mime_type(&self) -> Option<&str> {
        self.mime_type.as_deref()
    }

    pub(crate) fn recording_id(&self) -> Option<String> {
        self.uploads.recording_id()
    }

    /// Session on our server, once it is known.
    pub(crate) fn session(&self) -> Option<&str> {
        self.uploads.latest().map(|it| it.session.as_str())
    }

    /// Whether closing the page would lose bytes.
    pub(crate) fn has_unsent(&self) -> bool {
        match self.state() {
            State::Idle | State::Starting | State::Done | State::Aborted => false,
            State::Recording | State::Paused | State::Stopping | State::Uploading => true,
            State::Failed => self.progress.pending_bytes() > 0,
        }
    }

    fn recorded_ms(&self) -> u64 {
        let is_over = !self.state().is_capturing() && self.state() != State::Starting;
        self.capture.recorded_ms(self.now, is_over)
    }

    fn call(&mut self, now: Now, input: Input) -> Result<(), RecorderError> {
        self.lifecycle.handle(input)?;
        while let Some(action) = self.lifecycle.poll() {
            self.act(now, action);
        }
        self.advance(now);
        Ok(())
    }

    /// Handles an event, which is ignored if it comes late.
    fn event(&mut self, now: Now, input: Input) {
        let _late = self.call(now, input);
    }

    fn act(&mut self, now: Now, action: Action) {
        match action {
            Action::Prepare => {
                self.commands.push(Command::OpenPart(0, None));
                match self.uploads.prepare() {
                    Some(request) => self.commands.push(Command::BeginUpload(request)),
                    None => self.event(now, Input::Prepared),
                }
            }
            Action::StartCapture => self.start_encoder(0),
            Action::BeginUpload => {
                self.uploads.open();
                self.capture.heard(now);
                self.commands.push(Command::WatchPage);
            }
            Action::PauseCapture => {
                self.capture.halt(now);
                self.drop_candidate();
                self.command_current(Command::PauseEncoder);
                self.mark(MarkKind::Pause, "Recording paused".to_owned());
            }
            Action::ResumeCapture => {
                self.command_current(Command::ResumeEncoder);
                self.capture.resume(now);
            }
            Action::StopCapture => {
                self.commands.push(Command::CheckCanvas);
                self.capture.halt(now);
                self.drop_candidate();
                self.command_current(Command::StopEncoder);
            }
            Action::AnnounceStop => match self.uploads.latest() {
                Some(begun) => {
                    let command = Command::AnnounceStop(begun.clone());
                    self.commands.push(command);
                }
                None => self.event(now, Input::StopAnnounced),
            },
            Action::ReleaseSource => {
                self.capture.halt(now);
                self.drop_candidate();
                self.command_current(Command::DropEncoder);
                self.commands.push(Command::ReleaseSource);
            }
            Action::EndUpload => {
                let part = self.capture.encoders.current_part();
                self.commands.extend(self.uploads.end(part));
            }
            Action::Discard => {
                let urls = self.uploads.discard();
                self.commands.push(Command::Discard(urls));
            }
            Action::Entered(state) => {
                self.events.push(Event::State(state));
                if state.reports_progress() {
                    self.report();
                }
            }
            Action::Stopped(reason) => self.events.push(Event::Stopped(reason)),
            Action::Succeeded if self.capture.encoders.is_read() => self.succeed(),
            Action::Succeeded => self.is_succeeding = true,
            Action::Failed(error) => {
                self.commands.push(Command::Unwatch);
                self.commands.push(Command::LeaveSpools);
                self.events.push(Event::Failed(error));
            }
        }
    }

    fn succeed(&mut self) {
        self.is_succeeding = false;
        self.commands.push(Command::Unwatch);
        let recorded_ms = self.recorded_ms();
        self.progress.complete(recorded_ms);
        self.waiting = None;
        self.report();
        self.events.push(Event::Done(Done {
            recording_id: self.recording_id(),
            upload_url: self.uploads.url().unwrap_or_default(),
            parts: self.uploads.parts(),
            recorded_ms,
            size_bytes: self.progress.size_bytes(),
            mime_type: self.mime_type.clone().unwrap_or_default(),
        }));
    }

    /// Executes the steps that the uploads are ready for.
    fn advance(&mut self, now: Now) {
        loop {
            let state = self.state();
            let step = self.uploads.step(Context {
                now_ms: now.steady_ms,
                is_capturing: state.is_capturing(),
                is_uploading: state == State::Uploading,
                progress: &self.progress,
            });
            let Some(step) = step else { break };
            self.take(now, step);
        }
        if self.marks.is_settled() && self.state() == State::Uploading {
            self.event(now, Input::UploadDone);
        } else if !self.state().is_final() {
            let safe_ms = self.progress.safe_ms();
            let command = self.marks.step(now.steady_ms, safe_ms);
            self.commands.extend(command);
        }
    }

    fn take(&mut self, now: Now, step: Step) {
        match step {
            Step::Command(Command::RemovePart(part)) if self.marks.hold(part) => {}
            Step::Command(command) => {
                let (sending, is_rest) = match &command {
                    Command::SendPart(sending) => (Some(sending), false),
                    Command::SendRest(sending) => (Some(sending), true),
                    _ => (None, false),
                };
                if let Some(sending) = sending
                    && let Some(begun) = &sending.begun
                {
                    let (part, recording) = (sending.part, begun.recording.as_str());
                    if is_rest {
                        let safe_ms = self.progress.safe_ms();
                        let media_ms = self.rest_media_ms.take();
                        let gap = self.marks.sends_rest_to(part, recording, safe_ms, media_ms);
                        self.commands.extend(gap.filter(|_| self.has_marks()));
                    } else {
                        self.marks.sends_to(part, recording);
                    }
                }
                self.commands.push(command);
            }
            Step::Split => self.split(now),
            Step::LeftOut(part, bytes) => {
                self.warn(Warning::LeftOut { bytes });
                let size = self.progress.size_of(part);
                self.progress.acknowledged(part, size);
            }
            Step::Done => self.marks.uploaded(),
        }
    }

    fn start_encoder(&mut self, part: usize) {
        let is_paused = self.state() == State::Paused;
        let command = self.capture.start(part, is_paused);
        self.commands.push(command);
    }

    /// Replaces the encoder, so that the recording continues in a further part.
    fn split(&mut self, now: Now) {
        self.commands.extend(self.capture.retire(now));
        let part = self.add_part();
        self.capture.heard(now);
        self.start_encoder(part);
    }

    fn add_part(&mut self) -> usize {
        self.progress.add();
        self.marks.add_part(self.recorded_ms());
        let part = self.uploads.add_part();
        let continues = self.uploads.continues();
        self.commands.push(Command::OpenPart(part, continues));
        part
    }

    fn replace_silent_encoder(&mut self, now: Now) {
        let is_recording = self.state() == State::Recording;
        let Some(Encoder { id, started_ms, .. }) = self.capture.take_replacement(is_recording)
        else {
            return self.drop_candidate();
        };
        self.capture.end_silence(now, started_ms);
        let part = self.capture.encoders.current_part();
        let part = if self.progress.size_of(part) == 0 {
            // A part without bytes gets the new encoder.
            self.commands.extend(self.capture.drop_current());
            part
        } else {
            self.commands.extend(self.capture.retire(now));
            self.add_part()
        };
        self.capture.replace(id, part, started_ms);
        self.commands.push(Command::UseRenewedSource);
        self.warn(Warning::Restarted);
    }

    fn drop_candidate(&mut self) {
        self.commands.extend(self.capture.drop_candidate());
    }

    fn check_limits(&mut self, now: Now) {
        let pending_bytes = self.progress.pending_bytes();
        if self.limits.is_backlog_news(pending_bytes) {
            self.warn(Warning::Backlog { pending_bytes });
        }
        if !self.state().is_capturing() {
            return;
        }
        // The limit of length also applies to a recording without bytes.
        let elapsed_ms = self.capture.elapsed_ms(now);
        let size = self.progress.size_bytes();
        let part_size = self.progress.size_of(self.capture.encoders.current_part());
        if self.limits.is_reached(elapsed_ms, size, part_size) {
            self.event(now, Input::Stop(StopReason::LimitReached));
        } else if self.limits.is_part_full(part_size) && self.uploads.may_split() {
            self.warn(Warning::Continued);
            self.split(now);
        }
    }

    fn watch_encoder(&mut self, now: Now) {
        let is_paused = self.state() == State::Paused;
        match self.capture.tick(now, is_paused) {
            Some(Alarm::Quiet) => self.commands.push(Command::CheckCanvas),
            Some(Alarm::Silent { silent_ms }) => {
                self.silent(Warning::NoData { silent_ms });
                if self.state() == State::Recording {
                    self.commands.extend(self.capture.start_candidate(now));
                }
            }
            Some(Alarm::Slept { asleep_ms }) => self.warn(Warning::Slept { asleep_ms }),
            None => {}
        }
    }

    /// The encoder emits nothing: time does not count, and the encoder is asked for the bytes that it holds.
    fn silent(&mut self, warning: Warning) {
        self.warn(warning);
        self.capture.silent();
        self.flush();
    }

    fn watch_memory(&mut self, now: Now) {
        let pending = self.progress.pending_bytes();
        let is_paused = self.state() == State::Paused;
        let reaction = self.storage.check(now.steady_ms, pending, is_paused);
        match reaction {
            Some(Reaction::Pause) => {
                self.warn(Warning::StorageFull);
                self.event(now, Input::Pause);
            }
            Some(Reaction::Resume) => self.event(now, Input::Resume),
            Some(Reaction::Stop) => self.event(now, Input::Stop(StopReason::StorageFull)),
            None => {}
        }
    }

    fn flush(&mut self) {
        self.command_current(Command::FlushEncoder);
    }

    fn command_current(&mut self, command: fn(EncoderId) -> Command) {
        self.commands.extend(self.capture.command(command));
    }

    fn set_waiting(&mut self, waiting: Option<Waiting>) {
        self.waiting = waiting;
        self.report();
    }

    fn report(&mut self) {
        self.is_reported = true;
        self.events.push(Event::Progress(self.progress()));
    }

    fn warn(&mut self, warning: Warning) {
        match &warning {
            Warning::Restarted => {
                self.mark(MarkKind::EncoderRestart, "Encoder restarted".to_owned());
            }
            Warning::Slept { asleep_ms } => {
                let text = format!("The device slept for {} s", asleep_ms / 1_000);
                self.mark(MarkKind::Gap, text);
            }
            Warning::LeftOut { bytes } => {
                let text = format!("{bytes} bytes could not be played and were left out");
                self.mark(MarkKind::Gap, text);
            }
            _ => {}
        }
        self.events.push(Event::Warning(warning));
    }
}

#[cfg(test)]
mod tests;
