//! State machine of one recorder: calls and events in with `handle_*`, commands and events out with `poll_*`.

use std::collections::VecDeque;

use sortie_tus::client::{FailureReason, Notice};

use super::command::{ChunkPlace, Command, Now, TICK_MS};
use super::encoders::{Encoder, EncoderId, Encoders};
use super::lifecycle::{Action, Input, Lifecycle};
use super::limits::Limits;
use super::part_progress::PartProgress;
use super::recorded_clock::RecordedClock;
use super::storage_pressure::{Reaction, StoragePressure};
use super::tus::{failure, waiting_for};
use super::uploads::{Begun, BegunUpload, Context, Step, Uploads};
use super::watchdog::{Alarm, Watchdog};
use crate::numbers::whole;
use crate::spool::{Change, StoreFailure};
use crate::{
    Done, Event, Options, Progress, RecorderError, SpoolStorage, State, StopReason, Target,
    Waiting, Warning,
};

/// Interval at which the free space is asked for, in ticks: 10 s.
const STORAGE_TICKS: u32 = 10_000 / TICK_MS;
/// Ticks after a pause at which the encoder is asked for its bytes: it has encoded every picture by then.
const FLUSH_TICKS: u32 = 2;
/// Interval at which a canvas in a hidden page is painted, in ticks.
const REPAINT_TICKS: u32 = 500 / TICK_MS;

#[derive(Debug)]
pub(crate) struct RecorderMachine {
    target: Target,
    timeslice_ms: u32,
    is_durable: bool,
    lifecycle: Lifecycle,
    clock: RecordedClock,
    limits: Limits,
    watchdog: Watchdog,
    pressure: StoragePressure,
    progress: PartProgress,
    encoders: Encoders,
    uploads: Uploads,
    waiting: Option<Waiting>,
    storage: SpoolStorage,
    mime_type: Option<String>,
    end_reason: StopReason,
    has_audio_ended: bool,
    ticks: u32,
    paused_ticks: u32,
    /// Progress was reported since the last tick.
    is_reported: bool,
    /// Arrival of bytes whose timestamps are not read.
    heard_ms: Option<f64>,
    /// The server holds all bytes, but not all timestamps were read.
    is_succeeding: bool,
    now: Now,
    commands: VecDeque<Command>,
    events: VecDeque<Event>,
}

impl RecorderMachine {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            target: options.target.clone(),
            timeslice_ms: options.timeslice_ms,
            is_durable: options.durable,
            lifecycle: Lifecycle::default(),
            clock: RecordedClock::default(),
            limits: Limits::new(options),
            watchdog: Watchdog::new(options.timeslice_ms, 0),
            pressure: StoragePressure::default(),
            progress: PartProgress::default(),
            encoders: Encoders::default(),
            uploads: Uploads::new(&options.target),
            waiting: None,
            storage: SpoolStorage::default(),
            mime_type: None,
            end_reason: StopReason::TrackEnded,
            has_audio_ended: false,
            ticks: 0,
            paused_ticks: 0,
            is_reported: false,
            heard_ms: None,
            is_succeeding: false,
            now: Now::default(),
            commands: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    pub(crate) fn poll_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    pub(crate) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    // Calls

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

    pub(crate) fn handle_pause(&mut self, now: Now) -> Result<(), RecorderError> {
        self.call(now, Input::Pause)
    }

    pub(crate) fn handle_resume(&mut self, now: Now) -> Result<(), RecorderError> {
        self.call(now, Input::Resume)
    }

    pub(crate) fn handle_stop(
        &mut self,
        now: Now,
        reason: StopReason,
    ) -> Result<(), RecorderError> {
        self.call(now, Input::Stop(reason))
    }

    pub(crate) fn handle_abort(&mut self, now: Now) {
        self.event(now, Input::Abort);
    }

    // Source and encoders

    pub(crate) fn handle_source_ended(&mut self, now: Now, reason: StopReason) {
        self.event(now, Input::Stop(reason));
    }

    pub(crate) fn handle_audio_ended(&mut self) {
        if self.state().is_capturing() {
            self.has_audio_ended = true;
            self.warn(Warning::AudioEnded);
        }
    }

    /// The encoder was started. Its `start` event follows, on a busy page seconds later; without pictures never.
    pub(crate) fn handle_encoder_running(&mut self, now: Now, encoder: EncoderId) {
        self.now = now;
        let measured_ms = self.measured_ms();
        self.encoders.running(encoder, now.steady_ms, measured_ms);
        if self.state() == State::Starting {
            self.clock.run(now.steady_ms);
            self.watchdog = Watchdog::new(self.timeslice_ms, now.wall_ms);
            self.commands.push_back(Command::Watch);
        }
    }

    pub(crate) fn handle_encoder_failed(
        &mut self,
        now: Now,
        encoder: EncoderId,
        error: RecorderError,
    ) {
        if self.encoders.drop_candidate_if(encoder) {
            return;
        }
        let Some(part) = self.encoders.part_of(encoder) else {
            return;
        };
        if self.state() == State::Starting {
            return self.event(now, Input::CannotStart(error));
        }
        self.warn(Warning::Encoder(error.to_string()));
        self.uploads.captured(part);
        self.event(now, Input::CaptureStopped(StopReason::EncoderFailed));
    }

    /// The encoder emits `start` and knows what it writes.
    pub(crate) fn handle_encoder_started(
        &mut self,
        now: Now,
        encoder: EncoderId,
        mime_type: String,
    ) {
        if self.encoders.is_current(encoder) {
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
        self.now = now;
        if self.encoders.is_candidate(encoder) && bytes > 0 {
            self.replace_silent_encoder(now);
        }
        let part = self.encoders.part_of(encoder)?;
        let mut measured_ms = self.measured_ms();
        if self.encoders.is_current(encoder) && self.watchdog.chunk(now.wall_ms, bytes == 0) {
            // Counted once the timestamps tell how much of that time the encoder has missed.
            self.heard_ms = Some(now.steady_ms);
            measured_ms = self.clock.elapsed_ms(now.steady_ms);
            self.drop_candidate();
        }
        self.encoders.chunk(encoder, measured_ms);
        let recorded_ms = self.recorded_ms();
        self.progress.recorded(part, bytes, recorded_ms);
        self.limits.saw_chunk(bytes);
        self.report();
        self.check_limits(now);
        self.advance(now);
        Some(ChunkPlace { part, recorded_ms })
    }

    /// The timestamps of an encoder's chunk were read: its stream has this length. `None` if it could not be read.
    pub(crate) fn handle_media_length(
        &mut self,
        now: Now,
        encoder: EncoderId,
        length_ms: Option<u64>,
    ) {
        self.now = now;
        let behind = self.encoders.media_length(encoder, length_ms);
        if let Some(heard_ms) = self.heard_ms.take() {
            self.clock.heard(heard_ms);
        }
        self.progress.limit_time(self.recorded_ms());
        if let Some(behind_ms) = behind
            && self.state() == State::Recording
        {
            self.warn(Warning::EncoderSlow { behind_ms });
            self.report();
        }
        if self.is_succeeding && self.encoders.is_read() {
            self.succeed();
        }
    }

    /// The encoder has emitted its last byte.
    pub(crate) fn handle_encoder_stopped(&mut self, now: Now, encoder: EncoderId) {
        self.now = now;
        if self.encoders.drop_candidate_if(encoder) {
            return;
        }
        let Some(part) = self.encoders.part_of(encoder) else {
            return;
        };
        self.uploads.captured(part);
        if self.encoders.retired(encoder) {
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
        if self.encoders.drop_candidate_if(encoder) {
            return self.commands.push_back(Command::DropEncoder(encoder));
        }
        if !self.encoders.is_current(encoder) {
            return;
        }
        if self.state() == State::Starting {
            return self.event(now, Input::CannotStart(RecorderError::Encoder(detail)));
        }
        self.warn(Warning::Encoder(detail));
        self.event(now, Input::Stop(StopReason::EncoderFailed));
    }

    pub(crate) fn handle_tainted_canvas(&mut self) {
        if self.watchdog.silence() {
            self.silent(Warning::TaintedCanvas);
        }
    }

    // Time, page and device

    /// Handles a tick. `stopped` is the end of a source whose tracks a script has stopped, which fires no event.
    pub(crate) fn handle_tick(&mut self, now: Now, stopped: Option<StopReason>, is_hidden: bool) {
        self.now = now;
        self.ticks = self.ticks.wrapping_add(1);
        if let Some(encoder) = self.encoders.take_late_candidate(now.steady_ms) {
            self.commands.push_back(Command::DropEncoder(encoder));
        }
        while let Some((encoder, part)) = self.encoders.take_hung(now.steady_ms) {
            self.commands.push_back(Command::DropEncoder(encoder));
            self.uploads.captured(part);
        }
        self.advance(now);
        if self.state() == State::Starting {
            return self.watch_encoder(now);
        }
        if !self.state().is_capturing() {
            return;
        }
        if self.state() == State::Recording {
            self.paused_ticks = 0;
            if !std::mem::take(&mut self.is_reported) {
                self.events.push_back(Event::Progress(self.progress()));
            }
            self.check_limits(now);
        } else {
            self.paused_ticks += 1;
            // Uploads the encoder's bytes now and not after the pause.
            if self.paused_ticks == FLUSH_TICKS {
                self.flush();
            }
        }
        if let Some(reason) = stopped {
            self.warn(Warning::VideoEnded);
            return self.event(now, Input::Stop(reason));
        }
        self.watch_encoder(now);
        self.watch_memory(now);
        if self.ticks.is_multiple_of(STORAGE_TICKS) && self.storage != SpoolStorage::Memory {
            self.commands.push_back(Command::CheckStorage);
        }
        if self.ticks.is_multiple_of(REPAINT_TICKS) && is_hidden {
            self.commands.push_back(Command::RepaintCanvas);
        }
    }

    /// The page is hidden or about to be closed and may never run again: the encoder's bytes are uploaded now.
    pub(crate) fn handle_page_leaving(&mut self) {
        self.flush();
    }

    pub(crate) fn handle_free_space(&mut self, left_bytes: u64) {
        if self.pressure.is_low_news(left_bytes) {
            self.warn(Warning::StorageLow { left_bytes });
        }
    }

    /// Sets what stores the bytes of the current part.
    pub(crate) fn handle_storage(&mut self, storage: SpoolStorage) {
        self.storage = storage;
    }

    pub(crate) fn handle_spool_change(&mut self, change: Change) {
        match change {
            Change::InMemory(StoreFailure::Broken) if !self.is_durable => {}
            Change::InMemory(StoreFailure::Broken) => self.warn(Warning::NotDurable),
            Change::InMemory(StoreFailure::Full) => self.warn(Warning::StorageFull),
            Change::Durable => self.report(),
        }
    }

    // Server

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
                self.commands
                    .push_back(Command::DeleteUpload(begun.upload_url));
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

    /// Our server asks for a wait of `ms`, or the wait is over. Returns whether the answer is still wanted.
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

    /// Takes the answer to [`Command::ReadRest`]: bytes of front matter before the rest, or `None` without a file.
    pub(crate) fn handle_rest(&mut self, now: Now, part: usize, front: Option<u64>) {
        self.uploads.handle_rest(part, front);
        self.advance(now);
    }

    /// Handles a notice of the upload of `part`.
    pub(crate) fn handle_notice(&mut self, now: Now, part: usize, notice: Notice) {
        self.now = now;
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
                let step = self.uploads.complete(part);
                self.take(now, step);
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

    // State

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
            storage: self.storage,
            waiting: self.waiting,
        }
    }

    /// Progress at another time than that of the last input.
    pub(crate) fn progress_at(&mut self, now: Now) -> Progress {
        self.now = now;
        self.progress()
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
            State::Idle | State::Starting | State::Done => false,
            State::Recording | State::Paused | State::Stopping | State::Uploading => true,
            State::Failed => self.progress.pending_bytes() > 0,
        }
    }

    /// Length of the recording by the clock.
    fn measured_ms(&self) -> u64 {
        whole(self.clock.recorded_ms(self.now.steady_ms))
    }

    /// Length of the recording by the clock and by the timestamps in its streams.
    fn recorded_ms(&self) -> u64 {
        let is_over = !self.state().is_capturing() && self.state() != State::Starting;
        self.measured_ms()
            .saturating_sub(self.encoders.behind_ms(is_over))
    }

    // Decisions

    fn call(&mut self, now: Now, input: Input) -> Result<(), RecorderError> {
        self.now = now;
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
                self.commands.push_back(Command::OpenPart(0, None));
                match self.uploads.prepare() {
                    Some(request) => self.commands.push_back(Command::BeginUpload(request)),
                    None => self.event(now, Input::Prepared),
                }
            }
            Action::StartCapture => self.start_encoder(0),
            Action::BeginUpload => {
                self.uploads.open();
                self.watchdog.heard(now.wall_ms);
                self.commands.push_back(Command::WatchPage);
            }
            Action::PauseCapture => {
                self.clock.halt(now.steady_ms);
                self.drop_candidate();
                self.command_current(Command::PauseEncoder);
            }
            Action::ResumeCapture => {
                self.command_current(Command::ResumeEncoder);
                self.clock.run(now.steady_ms);
            }
            Action::StopCapture => {
                self.commands.push_back(Command::CheckCanvas);
                self.clock.halt(now.steady_ms);
                self.drop_candidate();
                self.command_current(Command::StopEncoder);
            }
            Action::AnnounceStop => match self.uploads.latest() {
                Some(begun) => {
                    let command = Command::AnnounceStop(begun.clone());
                    self.commands.push_back(command);
                }
                None => self.event(now, Input::StopAnnounced),
            },
            Action::ReleaseSource => {
                self.clock.halt(now.steady_ms);
                self.drop_candidate();
                self.command_current(Command::DropEncoder);
                self.commands.push_back(Command::ReleaseSource);
            }
            Action::EndUpload => {
                if let Some(step) = self.uploads.end(self.encoders.current_part()) {
                    self.take(now, step);
                }
            }
            Action::Discard => {
                let urls = self.uploads.discard();
                self.commands.push_back(Command::Discard(urls));
            }
            Action::Entered(state) => {
                self.events.push_back(Event::State(state));
                if !matches!(state, State::Idle | State::Starting | State::Failed) {
                    self.report();
                }
            }
            Action::Stopped(reason) => self.events.push_back(Event::Stopped(reason)),
            Action::Succeeded if self.encoders.is_read() => self.succeed(),
            Action::Succeeded => self.is_succeeding = true,
            Action::Failed(error) => {
                self.commands.push_back(Command::Unwatch);
                self.commands.push_back(Command::LeaveSpools);
                self.events.push_back(Event::Failed(error));
            }
        }
    }

    fn succeed(&mut self) {
        self.is_succeeding = false;
        self.commands.push_back(Command::Unwatch);
        let recorded_ms = self.recorded_ms();
        self.progress.complete(recorded_ms);
        self.waiting = None;
        self.report();
        self.events.push_back(Event::Done(Done {
            recording_id: self.recording_id(),
            upload_url: self.uploads.url().unwrap_or_default(),
            parts: self.uploads.parts(),
            recorded_ms,
            size_bytes: self.progress.size_bytes(),
            mime_type: self.mime_type.clone().unwrap_or_default(),
        }));
    }

    /// Takes the steps that the uploads are ready for.
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
    }

    fn take(&mut self, now: Now, step: Step) {
        let command = match step {
            Step::Begin(request) => Command::BeginUpload(request),
            Step::Split => return self.split(now),
            Step::Send(sending) => Command::SendPart(sending),
            Step::ReadRest(part, request) => Command::ReadRest(part, request),
            Step::SendRest(sending) => Command::SendRest(sending),
            Step::End(part) => Command::EndPart(part),
            Step::Remove(part) => Command::RemovePart(part),
            Step::LeftOut(part, bytes) => {
                self.warn(Warning::LeftOut { bytes });
                let size = self.progress.size_of(part);
                return self.progress.acknowledged(part, size);
            }
            Step::Delete(url) => Command::DeleteUpload(url),
            Step::Done => return self.event(now, Input::UploadDone),
        };
        self.commands.push_back(command);
    }

    fn start_encoder(&mut self, part: usize) {
        let encoder = self.encoders.start(part);
        self.commands.push_back(Command::StartEncoder {
            encoder,
            renew_source: false,
            is_paused: self.state() == State::Paused,
        });
    }

    /// Replaces the encoder, so that the recording continues in a further part.
    fn split(&mut self, now: Now) {
        self.retire_encoder(now);
        let part = self.add_part();
        self.watchdog.heard(now.wall_ms);
        self.start_encoder(part);
    }

    fn add_part(&mut self) -> usize {
        self.progress.add();
        let part = self.uploads.add_part();
        let continues = self.uploads.continues();
        self.commands.push_back(Command::OpenPart(part, continues));
        part
    }

    /// Stops the encoder; its last bytes belong to the part that it fills.
    fn retire_encoder(&mut self, now: Now) {
        let measured_ms = self.measured_ms();
        if let Some(encoder) = self.encoders.retire(now.steady_ms, measured_ms) {
            self.commands.push_back(Command::StopEncoder(encoder));
        }
    }

    /// Starts another encoder beside a silent one. It replaces the silent one with its first bytes; a source without
    /// pictures keeps the encoder it has.
    fn start_candidate(&mut self, now: Now) {
        if let Some(encoder) = self.encoders.start_candidate(now.steady_ms) {
            self.commands.push_back(Command::StartEncoder {
                encoder,
                renew_source: true,
                is_paused: false,
            });
        }
    }

    fn replace_silent_encoder(&mut self, now: Now) {
        if self.state() != State::Recording || !self.watchdog.is_silent() {
            return self.drop_candidate();
        }
        let Some(Encoder { id, started_ms, .. }) = self.encoders.take_candidate() else {
            return;
        };
        self.clock.replace_encoder(started_ms, now.steady_ms);
        let part = self.encoders.current_part();
        let part = if self.progress.size_of(part) == 0 {
            // A part without bytes gets the new encoder.
            if let Some(silent) = self.encoders.drop_current() {
                self.commands.push_back(Command::DropEncoder(silent));
            }
            part
        } else {
            self.retire_encoder(now);
            self.add_part()
        };
        let start_ms = self.clock.elapsed_ms(started_ms);
        self.encoders.replace(id, part, start_ms);
        self.commands.push_back(Command::UseRenewedSource);
        self.watchdog.heard(now.wall_ms);
        self.warn(Warning::Restarted);
    }

    fn drop_candidate(&mut self) {
        if let Some(encoder) = self.encoders.take_candidate() {
            self.commands.push_back(Command::DropEncoder(encoder.id));
        }
    }

    fn check_limits(&mut self, now: Now) {
        let pending_bytes = self.progress.pending_bytes();
        if self.limits.is_backlog_news(pending_bytes) {
            self.warn(Warning::Backlog { pending_bytes });
        }
        if !self.state().is_capturing() {
            return;
        }
        // A silent recording reaches the limit of its length, too.
        let elapsed_ms = self.clock.elapsed_ms(now.steady_ms);
        let size = self.progress.size_bytes();
        let part_size = self.progress.size_of(self.encoders.current_part());
        if self.limits.is_reached(elapsed_ms, size, part_size) {
            self.event(now, Input::Stop(StopReason::LimitReached));
        } else if self.limits.is_part_full(part_size) && self.uploads.may_split() {
            self.warn(Warning::Continued);
            self.split(now);
        }
    }

    fn watch_encoder(&mut self, now: Now) {
        if self.state() == State::Paused {
            self.watchdog.heard(now.wall_ms);
        }
        match self.watchdog.tick(now.wall_ms) {
            Some(Alarm::Quiet) => self.commands.push_back(Command::CheckCanvas),
            Some(Alarm::Silent { silent_ms }) => {
                self.silent(Warning::NoData { silent_ms });
                if self.state() == State::Recording {
                    self.start_candidate(now);
                }
            }
            Some(Alarm::Slept { asleep_ms }) => self.warn(Warning::Slept { asleep_ms }),
            None => {}
        }
    }

    /// The encoder emits nothing: no time is recorded, and it is asked for the bytes that it holds.
    fn silent(&mut self, warning: Warning) {
        self.warn(warning);
        // Chromium's encoder waits for audio that has ended, and emits the pictures when it is stopped.
        if !self.has_audio_ended {
            self.clock.silent(self.timeslice_ms);
        }
        self.flush();
    }

    fn watch_memory(&mut self, now: Now) {
        let in_memory = self.storage == SpoolStorage::Memory;
        let pending = self.progress.pending_bytes();
        let is_paused = self.state() == State::Paused;
        let reaction = self
            .pressure
            .check(now.steady_ms, in_memory, pending, is_paused);
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
        if let Some(encoder) = self.encoders.current() {
            self.commands.push_back(command(encoder));
        }
    }

    fn set_waiting(&mut self, waiting: Option<Waiting>) {
        self.waiting = waiting;
        self.report();
    }

    fn report(&mut self) {
        self.is_reported = true;
        self.events.push_back(Event::Progress(self.progress()));
    }

    fn warn(&mut self, warning: Warning) {
        self.events.push_back(Event::Warning(warning));
    }
}

#[cfg(test)]
mod tests;
