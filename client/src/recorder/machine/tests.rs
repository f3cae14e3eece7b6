use sortie_tus::client::{FailureReason, Notice};

use super::super::command::{Sending, TICK_MS};
use super::*;
use crate::Refusal;
use crate::spool::StoreFailure;

/// Adapter without a browser: answers commands, and keeps the machine's outputs.
struct World {
    machine: RecorderMachine,
    now: Now,
    commands: Vec<Command>,
    events: Vec<Event>,
    /// Encoders that were started and neither stopped nor dropped.
    running: Vec<EncoderId>,
    started: Vec<EncoderId>,
    /// Answers the next requests to begin an upload; others succeed.
    begun: Vec<Result<BegunUpload, RecorderError>>,
    uploads: u32,
    storage: SpoolStorage,
    is_reading: bool,
    /// Time of the first picture in a rest.
    rest_media_ms: Option<u64>,
    /// Whether the server accepts markers; otherwise it does not answer.
    is_marking: bool,
}

fn begun(number: u32) -> BegunUpload {
    BegunUpload {
        session: "s".to_owned(),
        recording: format!("r{number}"),
        upload_url: format!("/u/{number}"),
        max_size_bytes: 1 << 40,
        silence_ms: None,
    }
}

fn refused(status: u16) -> Result<BegunUpload, RecorderError> {
    let detail = String::new();
    Err(Refusal::of_status(status, detail).into())
}

const GONE: Notice = Notice::Failed {
    reason: FailureReason::Gone { status: 410 },
};

impl World {
    fn new(options: &Options) -> Self {
        Self {
            machine: RecorderMachine::new(options),
            now: Now {
                steady_ms: 1_000.0,
                wall_ms: 1_000_000,
            },
            commands: Vec::new(),
            events: Vec::new(),
            running: Vec::new(),
            started: Vec::new(),
            begun: Vec::new(),
            uploads: 0,
            storage: SpoolStorage::Memory,
            is_reading: true,
            rest_media_ms: None,
            is_marking: true,
        }
    }

    /// Creates a world that records to our server.
    fn recording() -> Self {
        let mut world = Self::new(&Options::new(Target::session("", "s")));
        world.start();
        world
    }

    fn start(&mut self) {
        let reason = StopReason::TrackEnded;
        self.apply(|machine, now| machine.handle_start(now, &[], reason, None).expect("idle"));
        let encoder = self.running[0];
        let mime_type = "video/webm".to_owned();
        self.apply(|machine, now| machine.handle_encoder_started(now, encoder, mime_type));
        assert_eq!(self.machine.state(), State::Recording);
    }

    fn apply<T>(&mut self, input: impl FnOnce(&mut RecorderMachine, Now) -> T) -> T {
        self.machine.handle_time(self.now, self.storage);
        let outcome = input(&mut self.machine, self.now);
        while let Some(command) = self.machine.poll_command() {
            self.commands.push(command.clone());
            self.carry_out(command);
        }
        self.events
            .extend(std::iter::from_fn(|| self.machine.poll_event()));
        outcome
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::BeginUpload(_) => {
                let answer = if self.begun.is_empty() {
                    self.uploads += 1;
                    Ok(begun(self.uploads))
                } else {
                    self.begun.remove(0)
                };
                self.machine.handle_begun(self.now, answer, 0.5);
            }
            Command::StartEncoder { encoder, .. } => {
                self.running.push(encoder);
                self.started.push(encoder);
                self.machine.handle_encoder(self.now, encoder, Ok(()));
            }
            Command::DropEncoder(encoder) => self.running.retain(|it| *it != encoder),
            Command::AnnounceStop(_) => self.machine.handle_stop_announced(self.now, Ok(())),
            Command::SendMark(..) if self.is_marking => {
                self.machine.handle_mark_sent(self.now, Ok(()));
            }
            Command::ReadRest(part, _) if self.is_reading => {
                let rest = Rest {
                    front: 100,
                    media_ms: self.rest_media_ms,
                };
                self.machine.handle_rest(self.now, part, Ok(Some(rest)));
            }
            _ => {}
        }
    }

    /// Advances the time in ticks.
    fn wait(&mut self, ms: u32) {
        for _ in 0..ms / TICK_MS {
            self.now.steady_ms += f64::from(TICK_MS);
            self.now.wall_ms += u64::from(TICK_MS);
            self.apply(|machine, now| machine.handle_tick(now, None, false));
        }
    }

    /// Passes a chunk whose timestamps cannot be read; returns its part.
    fn chunk(&mut self, encoder: EncoderId, bytes: u64) -> Option<usize> {
        let part = self.unread_chunk(encoder, bytes);
        self.apply(|machine, _| machine.handle_media_length(encoder, None));
        part
    }

    fn unread_chunk(&mut self, encoder: EncoderId, bytes: u64) -> Option<usize> {
        let place = self.apply(|machine, now| machine.handle_chunk(now, encoder, bytes));
        place.map(|it| it.part)
    }

    /// Passes a chunk whose stream is `media_ms` long.
    fn chunk_of(&mut self, encoder: EncoderId, bytes: u64, media_ms: u64) {
        self.unread_chunk(encoder, bytes);
        self.apply(|machine, _| machine.handle_media_length(encoder, Some(media_ms)));
    }

    fn stopped(&mut self, encoder: EncoderId) {
        self.apply(|machine, now| machine.handle_encoder_stopped(now, encoder));
    }

    fn notice(&mut self, part: usize, notice: Notice) {
        self.apply(|machine, now| machine.handle_notice(now, part, notice));
    }

    fn stop(&mut self) {
        self.apply(|machine, now| {
            machine
                .handle_call(now, Call::Stop(StopReason::User))
                .expect("recording");
        });
    }

    fn progress(&mut self, now: Now) -> Progress {
        self.machine.handle_time(now, self.storage);
        self.machine.progress()
    }

    fn warnings(&self) -> Vec<&'static str> {
        let warning = |it: &Event| match it {
            Event::Warning(warning) => Some(warning.code().name()),
            _ => None,
        };
        self.events.iter().filter_map(warning).collect()
    }

    fn done(&self) -> Option<&Done> {
        self.events.iter().find_map(|it| match it {
            Event::Done(done) => Some(done),
            _ => None,
        })
    }

    #[track_caller]
    fn sent(&self, part: usize) -> &Sending {
        let sent = |it: &&Command| matches!(it, Command::SendPart(it) | Command::SendRest(it) if it.part == part);
        match self.commands.iter().rfind(sent) {
            Some(Command::SendPart(sending) | Command::SendRest(sending)) => sending,
            _ => panic!("part {part} is not sent: {:#?}", self.commands),
        }
    }

    fn count(&self, wanted: impl Fn(&Command) -> bool) -> usize {
        self.commands.iter().filter(|it| wanted(it)).count()
    }
}

#[test]
fn recording_is_sent_as_one_part() {
    let mut world = World::recording();
    let encoder = world.running[0];
    world.wait(1_000);
    assert_eq!(world.chunk(encoder, 100), Some(0));
    world.stop();
    world.stopped(encoder);
    assert_eq!(world.count(|it| *it == Command::EndPart(0)), 1);
    world.notice(0, Notice::Done);
    let done = world.done().expect("done");
    assert_eq!((done.recorded_ms, done.parts.len()), (1_000, 0));
    assert_eq!(done.recording_id.as_deref(), Some("r1"));
    assert_eq!(world.warnings(), [""; 0]);
}

/// Records 3 s, and lets the encoder fall silent until another one runs beside it.
fn with_candidate() -> (World, EncoderId, EncoderId) {
    let mut world = World::recording();
    let silent = world.running[0];
    for _ in 0..3 {
        world.wait(1_000);
        world.chunk(silent, 100);
    }
    world.wait(7_000);
    assert_eq!(world.warnings(), ["no_data"]);
    assert_eq!(world.machine.state(), State::Recording);
    let candidate = *world.running.last().expect("a candidate");
    assert_ne!(candidate, silent);
    (world, silent, candidate)
}

#[test]
fn silent_encoder_is_replaced_and_the_recording_continues_in_a_further_part() {
    let (mut world, silent, candidate) = with_candidate();
    world.wait(1_000);
    assert_eq!(world.chunk(candidate, 0), None);
    assert_eq!(world.chunk(candidate, 50), Some(1));
    assert_eq!(world.warnings(), ["no_data", "restarted"]);
    assert_eq!(world.count(|it| *it == Command::UseRenewedSource), 1);
    assert_eq!(world.count(|it| *it == Command::StopEncoder(silent)), 1);
    // The last bytes of the silent encoder belong to the first part.
    assert_eq!(world.chunk(silent, 7), Some(0));
    world.stopped(silent);
    world.notice(0, Notice::Done);
    let sending = world.sent(1);
    assert_eq!(sending.continues.as_deref(), Some("r1"));
    let continues = Some("r1".to_owned());
    let is_begun =
        |it: &Command| matches!(it, Command::BeginUpload(it) if it.continues == continues);
    assert_eq!(world.count(is_begun), 1);

    world.wait(1_000);
    world.chunk(candidate, 50);
    world.stop();
    world.stopped(candidate);
    world.notice(1, Notice::Done);
    let done = world.done().expect("done");
    assert_eq!(done.parts, ["r1", "r2"]);
    assert_eq!(done.recording_id.as_deref(), Some("r1"));
    // 3 s and half a timeslice of the first encoder, 2 s of the second one; not the silence between them.
    assert_eq!(done.recorded_ms, 5_500);
}

#[test]
fn encoder_without_a_byte_is_replaced_in_the_same_part() {
    let mut world = World::recording();
    let silent = world.running[0];
    world.wait(7_000);
    let candidate = *world.running.last().expect("a candidate");
    assert_eq!(world.chunk(candidate, 50), Some(0));
    assert_eq!(world.count(|it| *it == Command::DropEncoder(silent)), 1);
    world.stop();
    world.stopped(candidate);
    world.notice(0, Notice::Done);
    assert_eq!(world.done().expect("done").parts, [""; 0]);
}

#[test]
fn candidate_is_dropped_when_the_silent_encoder_works_again() {
    let (mut world, silent, candidate) = with_candidate();
    // Bytes that it held when it was asked do not count.
    assert_eq!(world.chunk(silent, 5), Some(0));
    assert!(world.running.contains(&candidate));
    assert_eq!(world.chunk(silent, 5), Some(0));
    assert!(!world.running.contains(&candidate));
    assert_eq!(world.chunk(candidate, 50), None);
    assert_eq!(world.warnings(), ["no_data"]);
}

#[test]
fn candidate_without_bytes_is_dropped_and_not_tried_again() {
    let (mut world, _, candidate) = with_candidate();
    world.wait(15_000);
    assert!(!world.running.contains(&candidate));
    world.wait(60_000);
    assert_eq!(world.started.len(), 2);
}

#[test]
fn pause_and_stop_drop_the_candidate() {
    let (mut world, silent, candidate) = with_candidate();
    world.apply(|machine, now| machine.handle_call(now, Call::Pause).expect("recording"));
    assert!(!world.running.contains(&candidate));

    let (mut world, ..) = with_candidate();
    world.stop();
    assert_eq!(world.running, [silent]);
}

#[test]
fn candidate_that_cannot_be_started_changes_nothing() {
    let (mut world, silent, candidate) = with_candidate();
    let error = RecorderError::TaintedCanvas;
    world.apply(|machine, now| machine.handle_encoder(now, candidate, Err(error)));
    assert_eq!(world.machine.state(), State::Recording);
    world.chunk(silent, 1);
    world.chunk(silent, 1);
    assert_eq!(world.warnings(), ["no_data"]);
}

#[test]
fn retired_encoder_that_hangs_does_not_block_the_next_part() {
    let (mut world, silent, candidate) = with_candidate();
    world.chunk(candidate, 50);
    for _ in 0..31 {
        world.wait(1_000);
        world.chunk(candidate, 50);
    }
    assert_eq!(world.count(|it| *it == Command::DropEncoder(silent)), 1);
    assert_eq!(world.count(|it| *it == Command::EndPart(0)), 1);
}

#[test]
fn slow_encoder_is_reported_and_recorded_time_follows_its_timestamps() {
    let mut world = World::recording();
    let encoder = world.running[0];
    for second in 1..=9 {
        world.wait(1_000);
        world.chunk_of(encoder, 1_000, second * 300);
    }
    assert_eq!(world.warnings(), ["encoder_slow"]);
    let now = world.now;
    assert_eq!(world.progress(now).recorded_ms, 2_700);
    world.notice(0, Notice::Acknowledged { offset: 9_000 });
    assert!(world.progress(now).safe_ms <= 2_700);
    world.stop();
    world.chunk_of(encoder, 1_000, 3_000);
    world.stopped(encoder);
    world.notice(0, Notice::Done);
    assert_eq!(world.done().expect("done").recorded_ms, 3_000);
}

#[test]
fn small_delay_of_the_encoder_does_not_count_while_recording() {
    let mut world = World::recording();
    let encoder = world.running[0];
    for second in 1..=10 {
        world.wait(1_000);
        world.chunk_of(encoder, 1_000, second * 850);
    }
    let now = world.now;
    assert_eq!(world.progress(now).recorded_ms, 10_000);
    assert_eq!(world.warnings(), [""; 0]);
    world.stop();
    world.stopped(encoder);
    assert_eq!(world.progress(now).recorded_ms, 8_500);
}

#[test]
fn done_waits_for_the_timestamps_of_the_last_chunk() {
    let mut world = World::recording();
    let encoder = world.running[0];
    world.wait(3_000);
    world.stop();
    world.unread_chunk(encoder, 100);
    world.stopped(encoder);
    world.notice(0, Notice::Done);
    assert_eq!(world.done(), None);
    world.apply(|machine, _| machine.handle_media_length(encoder, Some(1_200)));
    assert_eq!(world.done().expect("done").recorded_ms, 1_200);
}

#[test]
fn first_bytes_after_the_stop_count_by_their_timestamps() {
    let mut world = World::recording();
    let encoder = world.running[0];
    world.wait(20_000);
    world.stop();
    world.chunk_of(encoder, 1_000, 2_400);
    world.chunk_of(encoder, 1_000, 2_436);
    world.stopped(encoder);
    world.notice(0, Notice::Done);
    assert_eq!(world.done().expect("done").recorded_ms, 2_436);
}

#[test]
fn upload_ended_by_the_server_continues_in_further_parts() {
    let mut world = World::recording();
    let first = world.running[0];
    world.wait(1_000);
    world.chunk(first, 100);
    world.notice(0, Notice::Acknowledged { offset: 60 });
    world.notice(0, GONE);
    assert_eq!(world.warnings(), ["continued"]);
    // Another encoder fills the next part. The rest of the first part goes before it.
    let second = *world.running.last().expect("another encoder");
    assert_eq!(world.chunk(second, 10), Some(1));
    assert_eq!(world.count(|it| matches!(it, Command::ReadRest(..))), 0);
    world.stopped(first);
    assert_eq!(
        world.sent(0).begun.as_ref().map(|it| it.recording.as_str()),
        Some("r2")
    );
    // 100 bytes of front matter before the 40 bytes of the rest.
    world.notice(0, Notice::Acknowledged { offset: 120 });
    assert_eq!(world.machine.progress().safe_bytes, 80);
    world.notice(0, Notice::Done);
    assert_eq!(world.sent(1).continues.as_deref(), Some("r1"));
    world.stop();
    world.stopped(second);
    world.notice(1, Notice::Done);
    assert_eq!(world.done().expect("done").parts, ["r1", "r2", "r3"]);
}

#[test]
fn rest_that_is_a_single_picture_is_left_out_with_a_warning() {
    let mut world = World::recording();
    world.is_reading = false;
    let encoder = world.running[0];
    world.wait(1_000);
    world.chunk(encoder, 100);
    world.stop();
    world.stopped(encoder);
    world.notice(0, Notice::Acknowledged { offset: 60 });
    world.notice(0, GONE);
    world.apply(|machine, now| machine.handle_rest(now, 0, Ok(None)));
    assert_eq!(world.warnings(), ["continued", "left_out"]);
    assert_eq!(world.machine.state(), State::Done);
}

#[test]
fn server_that_ends_every_upload_fails_the_recording() {
    let mut world = World::recording();
    let encoder = world.running[0];
    world.wait(1_000);
    world.chunk(encoder, 100);
    world.stop();
    world.stopped(encoder);
    for _ in 0..4 {
        world.notice(0, GONE);
    }
    let failed = Event::Failed(RecorderError::Gone);
    assert!(world.events.contains(&failed), "{:?}", world.events);
}

#[test]
fn further_part_is_begun_with_backoff_and_in_its_own_session_at_last() {
    let mut world = World::recording();
    let first = world.running[0];
    world.wait(1_000);
    world.chunk(first, 100);
    world.begun = vec![
        Err(RecorderError::Unreachable),
        refused(503),
        refused(404),
        refused(409),
        Ok(begun(9)),
    ];
    world.notice(0, GONE);
    assert!(matches!(
        world.machine.progress().waiting,
        Some(Waiting::Retry { .. })
    ));
    world.wait(5_000);
    // The session is over.
    assert!(
        world
            .events
            .contains(&Event::Stopped(StopReason::SessionEnded))
    );
    world.stopped(first);
    let requests: Vec<_> = world
        .commands
        .iter()
        .filter_map(|it| match it {
            Command::BeginUpload(it) => Some((it.session.id.is_some(), it.continues.is_some())),
            _ => None,
        })
        .collect();
    let continuing = (true, true);
    let expected = [
        (true, false),
        continuing,
        continuing,
        continuing,
        (true, false),
        (false, false),
    ];
    assert_eq!(requests, expected);
}

#[test]
fn full_upload_continues_in_a_further_part() {
    let mut world = World::new(&Options::new(Target::session("", "s")));
    world.begun = vec![Ok(BegunUpload {
        max_size_bytes: 1_000_000,
        ..begun(1)
    })];
    world.uploads = 1;
    world.start();
    let first = world.running[0];
    world.wait(1_000);
    for _ in 0..9 {
        world.chunk(first, 100_000);
    }
    assert_eq!(world.warnings(), ["continued"]);
    assert_eq!(world.started.len(), 2);
}

#[test]
fn other_tus_server_receives_the_first_upload_as_continued() {
    let mut world = World::new(&Options::new(Target::tus("/files")));
    world.start();
    let silent = world.running[0];
    world.notice(
        0,
        Notice::Created {
            url: "/files/7".to_owned(),
        },
    );
    world.wait(1_000);
    world.chunk(silent, 100);
    world.wait(7_000);
    let candidate = *world.running.last().expect("a candidate");
    world.chunk(candidate, 50);
    world.stopped(silent);
    world.notice(0, Notice::Done);
    assert_eq!(world.sent(1).continues.as_deref(), Some("7"));
    assert_eq!(world.machine.recording_id(), None);
}

#[test]
fn abort_while_beginning_deletes_the_upload() {
    let mut world = World::new(&Options::new(Target::server("")));
    let reason = StopReason::TrackEnded;
    world
        .machine
        .handle_start(world.now, &[], reason, None)
        .expect("idle");
    world
        .machine
        .handle_call(world.now, Call::Abort)
        .expect("starting");
    while world.machine.poll_command().is_some() {}
    world.machine.handle_begun(world.now, Ok(begun(1)), 0.5);
    let deleted = Some(Command::DeleteUpload("/u/1".to_owned()));
    assert_eq!(world.machine.poll_command(), deleted);
}

#[test]
fn warning_of_the_worker_is_reported() {
    let mut world = World::recording();
    world.apply(|machine, _| machine.handle_warning(Warning::WorkerRestarted));
    assert_eq!(world.warnings(), ["worker_restarted"]);
}

#[test]
fn full_memory_pauses_the_recording_and_resumes_it() {
    let mut world = World::recording();
    let encoder = world.running[0];
    world.wait(TICK_MS);
    world.chunk(encoder, 1 << 30);
    world.wait(TICK_MS);
    assert_eq!(world.machine.state(), State::Paused);
    world.notice(0, Notice::Acknowledged { offset: 1 << 30 });
    world.wait(TICK_MS);
    assert_eq!(world.machine.state(), State::Recording);
    assert_eq!(world.warnings(), ["backlog", "storage_full"]);
}

#[test]
fn paused_encoder_is_flushed_once() {
    let mut world = World::recording();
    world.apply(|machine, now| machine.handle_call(now, Call::Pause).expect("recording"));
    world.wait(60_000);
    assert_eq!(world.count(|it| matches!(it, Command::FlushEncoder(_))), 1);
    assert_eq!(world.warnings(), [""; 0]);
}

#[test]
fn canvas_is_examined_after_a_short_silence() {
    let mut world = World::recording();
    world.wait(2_000);
    assert_eq!(world.count(|it| *it == Command::CheckCanvas), 1);
    world.apply(|machine, _| machine.handle_tainted_canvas());
    world.wait(10_000);
    assert_eq!(world.warnings(), ["tainted_canvas"]);
    assert_eq!(world.started.len(), 1);
}

#[test]
fn free_space_is_queried_every_ten_seconds_and_low_space_reported() {
    let mut world = World::recording();
    let encoder = world.running[0];
    world.storage = SpoolStorage::Opfs;
    for _ in 0..20 {
        world.wait(1_000);
        world.chunk(encoder, 1);
    }
    assert_eq!(world.count(|it| *it == Command::CheckStorage), 2);
    world.apply(|machine, _| machine.handle_free_space(1_000));
    assert_eq!(world.warnings(), ["storage_low"]);
}

#[test]
fn lost_storage_is_reported_only_if_requested() {
    let broken = Change::InMemory(StoreFailure::Broken);
    let mut world = World::recording();
    world.apply(|machine, _| machine.handle_spool_change(broken));
    assert_eq!(world.warnings(), ["not_durable"]);

    let mut world = World::new(&Options {
        durable: false,
        ..Options::new(Target::server(""))
    });
    world.apply(|machine, _| machine.handle_spool_change(broken));
    assert_eq!(world.warnings(), [""; 0]);
}

#[test]
fn paused_time_does_not_count_and_bytes_are_unsent_until_done() {
    let mut world = World::recording();
    let encoder = world.running[0];
    world.wait(1_000);
    world.chunk(encoder, 100);
    world.apply(|machine, now| machine.handle_call(now, Call::Pause).expect("recording"));
    world.apply(|machine, now| machine.handle_call(now, Call::Flush).expect("any state"));
    world.wait(5_000);
    world.apply(|machine, now| machine.handle_call(now, Call::Resume).expect("paused"));
    world.wait(1_000);
    assert!(world.machine.has_unsent());
    assert_eq!(world.machine.session(), Some("s"));
    assert_eq!(world.machine.mime_type(), Some("video/webm"));
    world.stop();
    world.stopped(encoder);
    world.notice(0, Notice::Done);
    assert_eq!(world.done().expect("done").recorded_ms, 2_000);
    assert!(!world.machine.has_unsent());
}

#[test]
fn source_and_encoder_report_their_ends() {
    let mut world = World::recording();
    world.apply(|machine, _| machine.handle_audio_ended());
    let encoder = world.running[0];
    world.wait(1_000);
    world.chunk(encoder, 100);
    let detail = "out of memory".to_owned();
    world.apply(|machine, now| machine.handle_encoder_fault(now, encoder, detail));
    assert_eq!(world.warnings(), ["audio_ended", "encoder"]);
    let failed = Event::Stopped(StopReason::EncoderFailed);
    assert!(world.events.contains(&failed));

    let mut world = World::recording();
    let reason = StopReason::SharingEnded;
    world.apply(|machine, now| {
        machine
            .handle_call(now, Call::Stop(reason))
            .expect("recording")
    });
    assert!(world.events.contains(&Event::Stopped(reason)));

    let mut world = World::recording();
    world.apply(|machine, now| machine.handle_tick(now, Some(reason), false));
    assert_eq!(world.warnings(), ["video_ended"]);
}

#[test]
fn wait_for_the_server_is_reported_until_the_recording_ends() {
    let mut world = World::recording();
    assert!(world.apply(|machine, _| machine.handle_server_wait(Some(2_000))));
    let waiting = Some(Waiting::Retry { in_ms: 2_000 });
    assert_eq!(world.machine.progress().waiting, waiting);
    world.apply(|machine, now| machine.handle_call(now, Call::Abort).expect("recording"));
    assert!(!world.apply(|machine, _| machine.handle_server_wait(None)));
}

impl World {
    fn mark(&mut self, text: &str) -> Result<u64, RecorderError> {
        let text = text.to_owned();
        self.apply(|machine, now| machine.handle_mark(now, MarkKind::Note, text))
    }

    /// Returns recording, time and kind of the markers that were sent.
    fn marks(&self) -> Vec<(&str, u64, MarkKind)> {
        let marks = self.commands.iter().filter_map(|it| match it {
            Command::SendMark(recording, mark) => {
                Some((recording.as_str(), mark.time_ms, mark.kind))
            }
            _ => None,
        });
        marks.collect()
    }
}

#[test]
fn markers_are_kept_and_sent_with_the_recorded_time() {
    let mut world = World::recording();
    let encoder = world.running[0];
    world.wait(1_000);
    assert_eq!(world.mark("first"), Ok(1_000));
    world.apply(|machine, now| machine.handle_call(now, Call::Pause).expect("recording"));
    world.wait(5_000);
    assert_eq!(world.mark("paused"), Ok(1_000));
    world.apply(|machine, now| machine.handle_call(now, Call::Resume).expect("paused"));
    world.wait(2_000);
    world.chunk(encoder, 100);
    assert_eq!(world.mark("last"), Ok(3_000));
    assert_eq!(world.marks(), []);
    world.notice(0, Notice::Acknowledged { offset: 100 });
    let (note, pause) = (MarkKind::Note, MarkKind::Pause);
    let expected = [
        ("r1", 1_000, note),
        ("r1", 1_000, pause),
        ("r1", 1_000, note),
        ("r1", 3_000, note),
    ];
    assert_eq!(world.marks(), expected);
    assert_eq!(world.count(|it| matches!(it, Command::KeepMark(0, _))), 4);
    assert_eq!(world.count(|it| *it == Command::MarksSettled(0, 4)), 1);
    world.stop();
    assert!(world.mark("late").is_err());
}

/// Records and uploads everything but a marker, which the server does not answer.
fn with_unanswered_marker() -> World {
    let mut world = World::recording();
    let encoder = world.running[0];
    world.is_marking = false;
    world.wait(1_000);
    world.chunk(encoder, 100);
    world.mark("x").expect("a marker");
    world.stop();
    world.stopped(encoder);
    world.notice(0, Notice::Done);
    world
}

#[test]
fn recording_is_done_when_the_server_has_its_markers() {
    let mut world = with_unanswered_marker();
    assert_eq!(world.count(|it| *it == Command::RemovePart(0)), 0);
    assert!(world.done().is_none());
    world.apply(|machine, now| machine.handle_mark_sent(now, Ok(())));
    assert_eq!(world.count(|it| *it == Command::RemovePart(0)), 1);
    assert!(world.done().is_some());
}

#[test]
fn markers_that_the_server_never_takes_end_the_wait_and_stay() {
    let mut world = with_unanswered_marker();
    while world.done().is_none() {
        assert!(world.now.steady_ms < 600_000.0);
        world.apply(|machine, now| {
            machine.handle_mark_sent(now, Err(RecorderError::Unreachable));
        });
        world.wait(30_000);
    }
    assert_eq!(world.count(|it| *it == Command::RemovePart(0)), 0);
    assert_eq!(world.count(|it| *it == Command::LeaveSpools), 1);
    assert_eq!(world.warnings(), ["marker"]);
}

#[test]
fn replaced_encoder_and_a_sleep_are_marked() {
    let (mut world, silent, candidate) = with_candidate();
    world.chunk(candidate, 50);
    world.stopped(silent);
    world.notice(0, Notice::Acknowledged { offset: 300 });
    world.notice(0, Notice::Done);
    world.now.wall_ms += 60_000;
    world.wait(1_000);
    world.chunk(candidate, 50);
    world.notice(1, Notice::Acknowledged { offset: 100 });
    let kinds: Vec<_> = world.marks().iter().map(|it| (it.0, it.2)).collect();
    let expected = [("r2", MarkKind::EncoderRestart), ("r2", MarkKind::Gap)];
    assert_eq!(kinds, expected);
}

#[test]
fn other_tus_servers_have_no_markers() {
    let mut world = World::new(&Options::new(Target::tus("/files")));
    world.start();
    let error = world.mark("x").unwrap_err();
    assert_eq!(error.code(), crate::ErrorCode::UnsupportedServer);
    world.apply(|machine, now| machine.handle_call(now, Call::Pause).expect("recording"));
    assert_eq!(world.count(|it| matches!(it, Command::KeepMark(..))), 0);
}
