//! Observation of capture: length of the recording by the clock and by the streams' timestamps, and silence.

use super::command::{Command, Now};
use super::encoders::{Encoder, EncoderId, Encoders};
use super::recorded_clock::RecordedClock;
use super::watchdog::{Alarm, Watchdog};
use crate::numbers::whole;

#[derive(Debug)]
pub(super) struct CaptureMonitor {
    pub(super) encoders: Encoders,
    clock: RecordedClock,
    watchdog: Watchdog,
    timeslice_ms: u32,
    has_audio_ended: bool,
    /// Arrival of bytes whose timestamps are not read.
    heard_ms: Option<f64>,
}

impl CaptureMonitor {
    pub(super) fn new(timeslice_ms: u32) -> Self {
        Self {
            encoders: Encoders::default(),
            clock: RecordedClock::default(),
            watchdog: Watchdog::new(timeslice_ms, 0),
            timeslice_ms,
            has_audio_ended: false,
            heard_ms: None,
        }
    }

    /// Records that an encoder was started, the first one of the recording if `is_first`.
    pub(super) fn running(&mut self, now: Now, encoder: EncoderId, is_first: bool) {
        let measured_ms = self.measured_ms(now);
        self.encoders.running(encoder, now.steady_ms, measured_ms);
        if is_first {
            self.clock.run(now.steady_ms);
            self.watchdog = Watchdog::new(self.timeslice_ms, now.wall_ms);
        }
    }

    /// Notes a chunk and returns whether it shows that the current encoder works.
    pub(super) fn chunk(&mut self, now: Now, encoder: EncoderId, bytes: u64) -> bool {
        let is_current = self.encoders.is_current(encoder);
        let works = is_current && self.watchdog.chunk(now.wall_ms, bytes == 0);
        let mut measured_ms = self.measured_ms(now);
        if works && self.clock.is_running() {
            // Counted once the timestamps show how much of that time the encoder has missed.
            self.heard_ms = Some(now.steady_ms);
            measured_ms = self.elapsed_ms(now);
        }
        self.encoders.chunk(encoder, measured_ms);
        works
    }

    /// Notes the length of an encoder's stream. Returns the delay of the current encoder if it is to be reported.
    pub(super) fn media_length(
        &mut self,
        encoder: EncoderId,
        length_ms: Option<u64>,
    ) -> Option<u64> {
        let behind_ms = self.encoders.media_length(encoder, length_ms);
        if let Some(heard_ms) = self.heard_ms.take() {
            self.clock.heard(heard_ms);
        }
        if let Some(end_ms) = self.encoders.media_end(encoder) {
            self.clock.raise_limit(end_ms);
        }
        behind_ms
    }

    pub(super) fn audio_ended(&mut self) {
        self.has_audio_ended = true;
    }

    /// Records that the encoder works, or that a fresh one was started.
    pub(super) fn heard(&mut self, now: Now) {
        self.watchdog.heard(now.wall_ms);
    }

    /// Notes that no bytes will come, and returns whether this was not reported before.
    pub(super) fn is_silence_new(&mut self) -> bool {
        self.watchdog.silence()
    }

    /// Time does not count any more until bytes arrive.
    pub(super) fn silent(&mut self) {
        // Chromium's encoder waits for audio that has ended, and emits the pictures when it is stopped.
        if !self.has_audio_ended {
            self.clock.silent(self.timeslice_ms);
        }
    }

    pub(super) fn tick(&mut self, now: Now, is_paused: bool) -> Option<Alarm> {
        if is_paused {
            self.heard(now);
        }
        self.watchdog.tick(now.wall_ms)
    }

    pub(super) fn halt(&mut self, now: Now) {
        self.clock.halt(now.steady_ms);
    }

    pub(super) fn resume(&mut self, now: Now) {
        self.clock.run(now.steady_ms);
    }

    /// Starts the encoder that fills `part`.
    pub(super) fn start(&mut self, part: usize, is_paused: bool) -> Command {
        Command::StartEncoder {
            encoder: self.encoders.start(part),
            renew_source: false,
            is_paused,
        }
    }

    /// Starts another encoder beside a silent one. It replaces the silent one with its first bytes; a source without
    /// pictures keeps its encoder.
    pub(super) fn start_candidate(&mut self, now: Now) -> Option<Command> {
        let encoder = self.encoders.start_candidate(now.steady_ms)?;
        Some(Command::StartEncoder {
            encoder,
            renew_source: true,
            is_paused: false,
        })
    }

    /// Takes the candidate if it can replace the current encoder.
    pub(super) fn take_replacement(&mut self, is_recording: bool) -> Option<Encoder> {
        let is_needed = is_recording && self.watchdog.is_silent();
        is_needed.then(|| self.encoders.take_candidate()).flatten()
    }

    pub(super) fn drop_candidate(&mut self) -> Option<Command> {
        let candidate = self.encoders.take_candidate()?;
        Some(Command::DropEncoder(candidate.id))
    }

    /// Stops the current encoder; its last bytes belong to the part that it fills.
    pub(super) fn retire(&mut self, now: Now) -> Option<Command> {
        let measured_ms = self.measured_ms(now);
        let encoder = self.encoders.retire(now.steady_ms, measured_ms)?;
        Some(Command::StopEncoder(encoder))
    }

    /// Drops the current encoder, which has emitted no byte.
    pub(super) fn drop_current(&mut self) -> Option<Command> {
        self.encoders.drop_current().map(Command::DropEncoder)
    }

    /// Addresses a command to the current encoder.
    pub(super) fn command(&self, command: fn(EncoderId) -> Command) -> Option<Command> {
        self.encoders.current().map(command)
    }

    /// Removes the silence before `started_ms`, at which the encoder that replaces the silent one was started.
    pub(super) fn end_silence(&mut self, now: Now, started_ms: f64) {
        self.clock.replace_encoder(started_ms, now.steady_ms);
        self.heard(now);
    }

    /// Uses the encoder started at `started_ms` for a part.
    pub(super) fn replace(&mut self, encoder: EncoderId, part: usize, started_ms: f64) {
        let from_ms = self.clock.elapsed_ms(started_ms);
        self.encoders.replace(encoder, part, from_ms);
    }

    /// Returns the length of the recording by the clock, as if the encoder were never silent.
    pub(super) fn elapsed_ms(&self, now: Now) -> u64 {
        self.clock.elapsed_ms(now.steady_ms)
    }

    /// Returns the length of the recording by the clock.
    pub(super) fn measured_ms(&self, now: Now) -> u64 {
        whole(self.clock.recorded_ms(now.steady_ms))
    }

    /// Returns the length of the recording by the clock and by the timestamps in its streams.
    pub(super) fn recorded_ms(&self, now: Now, is_over: bool) -> u64 {
        let behind_ms = self.encoders.behind_ms(is_over);
        self.measured_ms(now).saturating_sub(behind_ms)
    }
}
