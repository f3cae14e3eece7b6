//! Fixed and random input histories.

use std::time::Duration;

use proptest::prelude::*;
use sortie_api::RecorderProblem;

use super::controller::{Cause, Controller, Input, Output, Timeouts};
use crate::problem::Problem;
use crate::signal::{FrameRate, Mode, Signal};

const HD: Mode = Mode::progressive(1920, 1080, FrameRate::from_hertz(60));
const VGA: Mode = Mode::progressive(640, 480, FrameRate::from_hertz(60));

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn steady(mode: Mode) -> Input {
    Input::Signal(Signal::Steady(mode))
}

const LOST: Input = Input::Signal(Signal::NoSignal);

fn start(mode: Mode, cause: Cause, new_session: bool) -> Output {
    Output::Start {
        mode,
        cause,
        new_session,
    }
}

fn broken(encoder: bool) -> Input {
    Input::Broken {
        reason: Problem::other("it burns"),
        encoder,
    }
}

fn drain(controller: &mut Controller) -> Vec<Output> {
    std::iter::from_fn(|| controller.poll_output()).collect()
}

/// Plays a history and compares the outputs of each step.
#[track_caller]
fn check(history: Vec<(u64, Input, Vec<Output>)>) -> Controller {
    let mut controller = Controller::new(Timeouts::default());
    for (at, input, expected) in history {
        controller.handle_timeout(s(at));
        let early = drain(&mut controller);
        assert_eq!(early, [], "before {input:?}");
        controller.handle_input(s(at), input.clone());
        assert_eq!(drain(&mut controller), expected, "{input:?} at {at} s");
    }
    controller
}

#[test]
fn track_change_before_signal_change_restarts_once() {
    // Change to another mode.
    check(vec![
        (0, Input::Auto(true), vec![]),
        (1, steady(HD), vec![start(HD, Cause::Signal, true)]),
        (2, Input::Written, vec![]),
        (3, Input::Changed, vec![Output::Stop]),
        (3, Input::Changed, vec![]),
        (3, Input::Stopped, vec![]),
        (3, steady(VGA), vec![start(VGA, Cause::Signal, false)]),
    ]);
    // Change back: the other mode lasted only a moment.
    let mut controller = check(vec![
        (0, Input::Auto(true), vec![]),
        (1, steady(HD), vec![start(HD, Cause::Signal, true)]),
        (3, Input::Changed, vec![Output::Stop]),
        (3, Input::Stopped, vec![]),
    ]);
    assert_eq!(controller.problem(), None);
    controller.handle_timeout(s(4));
    let outputs = drain(&mut controller);
    assert_eq!(outputs, [start(HD, Cause::Signal, false)]);
}

#[test]
fn auto_record_follows_the_signal() {
    check(vec![
        (0, Input::Auto(true), vec![]),
        (1, steady(HD), vec![start(HD, Cause::Signal, true)]),
        (5, Input::Written, vec![]),
        (6, LOST, vec![Output::Stop]),
        (7, Input::Stopped, vec![]),
        // Within the gap: same session.
        (30, steady(HD), vec![start(HD, Cause::Signal, false)]),
        (31, LOST, vec![Output::Stop]),
        (32, Input::Stopped, vec![]),
        (200, steady(HD), vec![start(HD, Cause::Signal, true)]),
        (201, Input::Auto(false), vec![Output::Stop]),
    ]);
}

#[test]
fn manual_recording_is_one_session_until_stop() {
    check(vec![
        (0, steady(HD), vec![]),
        (1, Input::Start, vec![start(HD, Cause::Hand, true)]),
        (2, LOST, vec![Output::Stop]),
        (3, Input::Stopped, vec![]),
        (2000, steady(VGA), vec![start(VGA, Cause::Hand, false)]),
        (2001, Input::Stop, vec![Output::Stop]),
        (2002, Input::Stopped, vec![]),
        (2003, Input::Start, vec![start(VGA, Cause::Hand, true)]),
    ]);
}

#[test]
fn manual_stop_overrides_auto_record_until_signal_loss() {
    check(vec![
        (0, Input::Auto(true), vec![]),
        (1, steady(HD), vec![start(HD, Cause::Signal, true)]),
        (2, Input::Stop, vec![Output::Stop]),
        (3, Input::Stopped, vec![]),
        (4, steady(VGA), vec![]),
        (5, LOST, vec![]),
        (6, steady(HD), vec![start(HD, Cause::Signal, true)]),
    ]);
}

#[test]
fn manual_start_takes_over_automatic_recording() {
    let mut controller = check(vec![
        (0, Input::Auto(true), vec![]),
        (1, steady(HD), vec![start(HD, Cause::Signal, true)]),
    ]);
    assert_eq!(controller.cause(), Some(Cause::Signal));
    controller.handle_input(s(2), Input::Start);
    assert_eq!(controller.cause(), Some(Cause::Hand));
    controller.handle_input(s(3), Input::Auto(false));
    assert_eq!(drain(&mut controller), []);
    controller.handle_input(s(4), Input::Stop);
    assert_eq!(controller.cause(), None);
}

#[test]
fn mode_change_begins_file_of_same_session() {
    check(vec![
        (0, steady(HD), vec![]),
        (1, Input::Start, vec![start(HD, Cause::Hand, true)]),
        (2, steady(VGA), vec![Output::Stop]),
        // The first pipeline must end before.
        (3, Input::Written, vec![]),
        (4, Input::Stopped, vec![start(VGA, Cause::Hand, false)]),
    ]);
}

#[test]
fn encoder_is_replaced_immediately_and_source_is_retried_with_backoff() {
    let mut controller = check(vec![
        (0, steady(HD), vec![]),
        (1, Input::Start, vec![start(HD, Cause::Hand, true)]),
        (
            2,
            broken(true),
            vec![
                Output::Abandon,
                Output::PassOver,
                start(HD, Cause::Hand, false),
            ],
        ),
        (3, Input::Written, vec![]),
        (4, broken(false), vec![Output::Abandon]),
    ]);
    assert_eq!(controller.problem(), Some(Problem::other("it burns")));
    let mut waits = Vec::new();
    let mut now = s(4);
    for _ in 0..9 {
        let at = controller.poll_timeout().unwrap();
        waits.push((at - now).as_millis());
        now = at;
        controller.handle_timeout(now);
        assert_eq!(drain(&mut controller), [start(HD, Cause::Hand, false)]);
        controller.handle_input(now, broken(false));
        assert_eq!(drain(&mut controller), [Output::Abandon]);
    }
    assert_eq!(
        waits,
        [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 32_000, 32_000]
    );
}

#[test]
fn missing_frames_fail_the_recording() {
    let mut controller = check(vec![
        (0, steady(HD), vec![]),
        (1, Input::Start, vec![start(HD, Cause::Hand, true)]),
        (8, Input::Written, vec![]),
    ]);
    assert_eq!(controller.poll_timeout(), Some(s(18)));
    controller.handle_timeout(s(18));
    assert_eq!(drain(&mut controller), [Output::Abandon]);
    let problem = Problem::new(
        RecorderProblem::NoPicture,
        "no picture was written for 10 s",
    );
    assert_eq!(controller.problem(), Some(problem));
}

#[test]
fn full_disk_stops_recording_and_free_space_resumes_it() {
    let controller = check(vec![
        (0, steady(HD), vec![]),
        (1, Input::Start, vec![start(HD, Cause::Hand, true)]),
        (2, Input::Room(false), vec![Output::Stop]),
        (3, Input::Stopped, vec![]),
        (4, Input::Start, vec![]),
        (5, Input::Room(true), vec![start(HD, Cause::Hand, false)]),
    ]);
    assert_eq!(controller.problem(), None);
}

#[test]
fn forwarding_backlog_stops_recording_until_it_is_sent() {
    let mut controller = check(vec![
        (0, steady(HD), vec![]),
        (1, Input::Start, vec![start(HD, Cause::Hand, true)]),
        (2, Input::Backlog(true), vec![Output::Stop]),
        (3, Input::Stopped, vec![]),
        (4, Input::Start, vec![]),
    ]);
    let code = controller.problem().map(|problem| problem.code);
    assert_eq!(code, Some(RecorderProblem::NotForwarded));
    // With a full disk, the remedy is still to send them.
    controller.handle_input(s(4), Input::Room(false));
    let code = controller.problem().map(|problem| problem.code);
    assert_eq!(code, Some(RecorderProblem::NotForwarded));
    controller.handle_input(s(4), Input::Room(true));
    controller.handle_input(s(5), Input::Backlog(false));
    assert_eq!(drain(&mut controller), [start(HD, Cause::Hand, false)]);
    assert_eq!(controller.problem(), None);
}

fn any_input() -> impl Strategy<Value = Input> {
    prop_oneof![
        Just(steady(HD)),
        Just(steady(VGA)),
        Just(LOST),
        Just(Input::Signal(Signal::NoDevice)),
        any::<bool>().prop_map(Input::Auto),
        Just(Input::Start),
        Just(Input::Stop),
        any::<bool>().prop_map(Input::Room),
        any::<bool>().prop_map(Input::Backlog),
        Just(Input::Written),
        Just(Input::Stopped),
        Just(Input::Changed),
        any::<bool>().prop_map(broken),
    ]
}

proptest! {
    #[test]
    fn at_most_one_pipeline_runs_and_only_when_requested(
        history in prop::collection::vec((0..20_u64, any_input()), 0..100),
    ) {
        let mut controller = Controller::new(Timeouts::default());
        let (mut now, mut running, mut stopping) = (0, None, false);
        let (mut signal, mut room, mut backlog) = (Signal::NoDevice, true, false);
        for (gap, input) in history {
            now += gap;
            match &input {
                Input::Signal(new) => signal = *new,
                Input::Room(new) => room = *new,
                Input::Backlog(new) => backlog = *new,
                // Only a stopping pipeline reports its end.
                Input::Stopped if !stopping => continue,
                Input::Stopped => (stopping, running) = (false, None),
                _ => {}
            }
            controller.handle_timeout(s(now));
            controller.handle_input(s(now), input);
            for output in drain(&mut controller) {
                match output {
                    Output::Start { mode, .. } => {
                        prop_assert_eq!(running, None);
                        running = Some(mode);
                    }
                    Output::Stop => {
                        prop_assert!(running.is_some() && !stopping);
                        stopping = true;
                    }
                    Output::Abandon => {
                        prop_assert!(running.is_some());
                        (running, stopping) = (None, false);
                    }
                    Output::PassOver => prop_assert!(running.is_none()),
                }
            }
            if let (Some(mode), false) = (running, stopping) {
                prop_assert!(room && !backlog && controller.is_wanted());
                prop_assert_eq!(signal, Signal::Steady(mode));
            }
            // A recording that is requested and possible runs, or a timeout is pending.
            let possible =
                matches!(signal, Signal::Steady(_)) && room && !backlog && controller.is_wanted();
            if possible && running.is_none() {
                prop_assert!(controller.poll_timeout().is_some());
            }
        }
    }
}
