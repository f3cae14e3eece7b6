//! Fixed and random input histories.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const DEBOUNCE: Duration = ms(300);
const STALL: Duration = ms(2000);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const HD: Mode = Mode::progressive(1920, 1080, FrameRate::from_hertz(60));
const VGA: Mode = Mode::progressive(640, 480, FrameRate::from_hertz(60));

const LOCKED_HD: Input = Input::Timings(Reading::Locked(HD));
const LOCKED_VGA: Input = Input::Timings(Reading::Locked(VGA));
const NO_SIGNAL: Input = Input::Timings(Reading::NoSignal);
const FOUND_TIMINGS: Input = Input::DeviceFound(Evidence::Timings);
const FOUND_FRAMES: Input = Input::DeviceFound(Evidence::Frames);
const FRAME: Input = Input::Frame {
    mode: HD,
    picture: Picture::Content,
};
const CARD: Input = Input::Frame {
    mode: HD,
    picture: Picture::NoSignalPattern,
};

fn monitor() -> Monitor {
    Monitor::new(Config {
        debounce: DEBOUNCE,
        stall_after: STALL,
        query_interval: ms(500),
        check_interval: ms(2000),
    })
}

fn drain(monitor: &mut Monitor, changes: &mut Vec<(Duration, Signal)>) {
    while let Some(output) = monitor.poll_output() {
        if let Output::Changed { to, at, .. } = output {
            changes.push((at, to));
        }
    }
}

/// Runs a history until `end`; timers fire on time (`punctual`) or only with the next input.
fn run(history: &[(Duration, Input)], end: Duration, punctual: bool) -> Vec<(Duration, Signal)> {
    let mut monitor = monitor();
    let mut changes = Vec::new();
    let mut until = |monitor: &mut Monitor, now: Duration| {
        while let Some(at) = monitor.poll_timeout().filter(|at| punctual && *at <= now) {
            monitor.handle_timeout(at);
            drain(monitor, &mut changes);
        }
        monitor.handle_timeout(now);
        drain(monitor, &mut changes);
    };
    for &(at, input) in history {
        if punctual {
            until(&mut monitor, at);
        }
        monitor.handle_input(at, input);
        until(&mut monitor, at);
    }
    until(&mut monitor, end);
    changes
}

#[track_caller]
fn check(history: &[(u64, Input)], end_ms: u64, expected: &[(u64, Signal)]) {
    let history: Vec<_> = history.iter().map(|&(at, i)| (ms(at), i)).collect();
    let expected: Vec<_> = expected.iter().map(|&(at, s)| (ms(at), s)).collect();
    assert_eq!(run(&history, ms(end_ms), true), expected, "on time");
    assert_eq!(run(&history, ms(end_ms), false), expected, "late");
}

#[test]
fn reading_takes_effect_after_debounce() {
    check(&[(0, FOUND_TIMINGS), (10, LOCKED_HD)], 309, &[]);
    check(
        &[(0, FOUND_TIMINGS), (10, LOCKED_HD)],
        310,
        &[(310, Signal::Steady(HD))],
    );
}

#[test]
fn each_reading_maps_to_a_state() {
    for (reading, signal) in [
        (Reading::NoSignal, Signal::NoSignal),
        (Reading::NoLock, Signal::NoLock),
        (Reading::Unsupported, Signal::Unsupported),
        (Reading::Locked(VGA), Signal::Steady(VGA)),
    ] {
        check(
            &[(0, FOUND_TIMINGS), (0, Input::Timings(reading))],
            1000,
            &[(300, signal)],
        );
    }
}

#[test]
fn short_interruption_is_ignored() {
    check(
        &[
            (0, FOUND_TIMINGS),
            (0, LOCKED_HD),
            (1000, NO_SIGNAL),
            (1200, LOCKED_HD),
        ],
        5000,
        &[(300, Signal::Steady(HD))],
    );
}

#[test]
fn mode_change_is_reported_once() {
    check(
        &[
            (0, FOUND_TIMINGS),
            (0, LOCKED_HD),
            (1000, NO_SIGNAL),
            (1100, LOCKED_VGA),
        ],
        5000,
        &[(300, Signal::Steady(HD)), (1400, Signal::Steady(VGA))],
    );
}

#[test]
fn source_change_restarts_debounce() {
    check(
        &[
            (0, FOUND_TIMINGS),
            (0, LOCKED_HD),
            (200, Input::SourceChange),
            (250, LOCKED_HD),
        ],
        5000,
        &[(550, Signal::Steady(HD))],
    );
}

#[test]
fn device_loss_is_immediate_and_late_inputs_are_ignored() {
    check(
        &[
            (0, FOUND_TIMINGS),
            (0, LOCKED_HD),
            (1000, Input::DeviceLost),
            (1001, LOCKED_HD),
            (1002, Input::DeviceLost),
            (2000, FOUND_TIMINGS),
            (2010, LOCKED_HD),
        ],
        5000,
        &[
            (300, Signal::Steady(HD)),
            (1000, Signal::NoDevice),
            (2310, Signal::Steady(HD)),
        ],
    );
}

#[test]
fn frames_are_ignored_for_receivers() {
    check(
        &[
            (0, FOUND_TIMINGS),
            (0, NO_SIGNAL),
            (100, FRAME),
            (900, FRAME),
        ],
        5000,
        &[(300, Signal::NoSignal)],
    );
}

#[test]
fn grabber_without_frames_has_no_signal() {
    check(&[(0, FOUND_FRAMES)], 5000, &[(2300, Signal::NoSignal)]);
    check(
        &[(0, FOUND_FRAMES), (1000, FRAME), (2000, FRAME)],
        5000,
        &[(1300, Signal::Steady(HD)), (4300, Signal::NoSignal)],
    );
}

#[test]
fn slow_stream_start_is_no_signal_loss() {
    let started = [
        (0, FOUND_FRAMES),
        (100, FRAME),
        (500, FRAME),
        (600, Input::Starting),
    ];
    check(&started, 60_000, &[(400, Signal::Steady(HD))]);
    // From its first frame on, a stall is detected as usual.
    let stalled = [&started[..], &[(9000, FRAME)]].concat();
    let lost = [(400, Signal::Steady(HD)), (11_300, Signal::NoSignal)];
    check(&stalled, 60_000, &lost);
}

#[test]
fn grabber_test_pattern_is_no_signal() {
    check(
        &[
            (0, FOUND_FRAMES),
            (0, FRAME),
            (500, CARD),
            (1000, CARD),
            (1400, FRAME),
            (1900, FRAME),
        ],
        2000,
        &[
            (300, Signal::Steady(HD)),
            (800, Signal::NoSignal),
            (1700, Signal::Steady(HD)),
        ],
    );
}

#[test]
fn timings_are_queried_on_start_event_and_interval() {
    let mut monitor = monitor();
    let asks = |monitor: &mut Monitor| {
        let asked = monitor.poll_output() == Some(Output::Query);
        assert_eq!(monitor.poll_output(), None, "one question at a time");
        asked
    };
    monitor.handle_input(ms(0), FOUND_TIMINGS);
    assert!(asks(&mut monitor));
    monitor.handle_timeout(ms(499));
    assert!(!asks(&mut monitor));
    monitor.handle_timeout(ms(500));
    assert!(asks(&mut monitor));
    monitor.handle_input(ms(600), Input::SourceChange);
    monitor.handle_input(ms(601), Input::SourceChange);
    assert!(asks(&mut monitor));
    monitor.handle_timeout(ms(60_000));
    assert!(asks(&mut monitor));
    assert_eq!(monitor.poll_timeout(), Some(ms(60_500)));

    monitor.handle_input(ms(61_000), Input::DeviceLost);
    assert!(!asks(&mut monitor), "nobody is there to answer");
    assert_eq!(monitor.poll_timeout(), None);
}

#[test]
fn announcing_driver_is_polled_less_often() {
    let mut monitor = monitor();
    let asks = |monitor: &mut Monitor| {
        std::iter::from_fn(|| monitor.poll_output()).any(|output| output == Output::Query)
    };
    monitor.handle_input(ms(0), Input::DeviceFound(Evidence::Announced));
    assert!(asks(&mut monitor), "what arrives now, nobody has told");
    monitor.handle_input(ms(0), LOCKED_HD);
    monitor.handle_timeout(ms(300));
    assert_eq!(monitor.signal(), Signal::Steady(HD));
    monitor.handle_timeout(ms(1999));
    while let Some(output) = monitor.poll_output() {
        assert_ne!(output, Output::Query);
    }
    monitor.handle_timeout(ms(2000));
    assert!(asks(&mut monitor), "it may have missed one");
    monitor.handle_input(ms(2100), Input::SourceChange);
    assert!(asks(&mut monitor));
    monitor.handle_input(ms(2100), NO_SIGNAL);
    monitor.handle_timeout(ms(2400));
    assert_eq!(monitor.signal(), Signal::NoSignal);
}

#[test]
fn zero_timeouts_neither_delay_nor_loop() {
    let mut monitor = Monitor::new(Config {
        debounce: Duration::ZERO,
        stall_after: Duration::ZERO,
        query_interval: Duration::ZERO,
        check_interval: Duration::ZERO,
    });
    monitor.handle_input(ms(5), FOUND_TIMINGS);
    monitor.handle_input(ms(5), LOCKED_HD);
    assert_eq!(monitor.signal(), Signal::Steady(HD));
    assert_eq!(monitor.poll_timeout(), Some(ms(6)));
}

#[test]
fn backward_clock_counts_as_still() {
    let mut monitor = monitor();
    monitor.handle_input(ms(1000), FOUND_TIMINGS);
    monitor.handle_input(ms(0), LOCKED_HD);
    monitor.handle_timeout(ms(1299));
    assert_eq!(monitor.signal(), Signal::NoDevice);
    monitor.handle_timeout(ms(1300));
    assert_eq!(monitor.signal(), Signal::Steady(HD));
}

fn any_mode() -> impl Strategy<Value = Mode> {
    (
        prop_oneof![Just(640), Just(1920)],
        prop_oneof![Just(59_940), Just(60_000), Just(60_010), Just(50_000)],
        any::<bool>(),
    )
        .prop_map(|(width, millihertz, interlaced)| Mode {
            width,
            height: 480,
            fps: FrameRate::from_millihertz(millihertz),
            interlaced,
        })
}

fn any_reading() -> impl Strategy<Value = Reading> {
    prop_oneof![
        Just(Reading::NoSignal),
        Just(Reading::NoLock),
        Just(Reading::Unsupported),
        any_mode().prop_map(Reading::Locked),
    ]
}

fn any_input() -> impl Strategy<Value = Input> {
    let frame = |picture| move |mode| Input::Frame { mode, picture };
    prop_oneof![
        1 => Just(FOUND_TIMINGS),
        1 => Just(Input::DeviceFound(Evidence::Announced)),
        1 => Just(FOUND_FRAMES),
        1 => Just(Input::DeviceLost),
        1 => Just(Input::SourceChange),
        1 => Just(Input::Starting),
        8 => any_reading().prop_map(Input::Timings),
        5 => any_mode().prop_map(frame(Picture::Content)),
        2 => any_mode().prop_map(frame(Picture::NoSignalPattern)),
    ]
}

/// Inputs at increasing times; most gaps are shorter than the debounce, some longer than the stall time.
fn any_history(
    input: impl Strategy<Value = Input>,
) -> impl Strategy<Value = Vec<(Duration, Input)>> {
    let gap = prop_oneof![6 => 0..100_u64, 3 => 100..700_u64, 1 => 700..3000_u64];
    prop::collection::vec((gap, input), 0..60).prop_map(|steps| {
        let mut now = 0;
        steps
            .into_iter()
            .map(|(gap, input)| {
                now += gap;
                (ms(now), input)
            })
            .collect()
    })
}

fn end_of(history: &[(Duration, Input)]) -> Duration {
    history.last().map_or(Duration::ZERO, |&(at, _)| at)
}

proptest! {
    #[test]
    fn changes_are_a_debounce_apart(history in any_history(any_input())) {
        let changes = run(&history, end_of(&history) + ms(5000), true);
        let mut before = (Duration::ZERO, Signal::NoDevice);
        for &(at, to) in &changes {
            prop_assert!(to != before.1, "a change to the same at {at:?}");
            prop_assert!(at >= before.0, "time goes forward");
            if to != Signal::NoDevice {
                prop_assert!(at - before.0 >= DEBOUNCE, "{before:?} and {to:?} at {at:?}");
            }
            before = (at, to);
        }
    }

    #[test]
    fn late_calls_have_the_same_result(history in any_history(any_input())) {
        let end = end_of(&history) + ms(5000);
        prop_assert_eq!(run(&history, end, true), run(&history, end, false));
    }

    #[test]
    fn reported_state_was_constant_for_the_debounce(
        readings in any_history(any_reading().prop_map(Input::Timings)),
    ) {
        let history: Vec<_> = [(Duration::ZERO, FOUND_TIMINGS)].into_iter().chain(readings).collect();
        for (at, to) in run(&history, end_of(&history) + DEBOUNCE, true) {
            let since = at - DEBOUNCE;
            let mut seen = 0;
            for &(when, input) in &history {
                let Input::Timings(reading) = input else { continue };
                if (since..at).contains(&when) && when > since {
                    prop_assert!(Signal::from(reading).is_same_as(&to), "{reading:?} at {when:?}");
                }
                seen += usize::from(when <= since && Signal::from(reading).is_same_as(&to));
            }
            prop_assert!(seen > 0, "{to:?} at {at:?} was never read");
        }
    }

    #[test]
    fn last_steady_reading_becomes_the_state(
        history in any_history(any_input()),
        last in any_reading(),
    ) {
        let mut history = history;
        let end = end_of(&history);
        history.push((end, FOUND_TIMINGS));
        history.push((end, Input::Timings(last)));
        let changes = run(&history, end + DEBOUNCE, true);
        let settled = changes.last().map_or(Signal::NoDevice, |&(_, to)| to);
        prop_assert!(settled.is_same_as(&last.into()), "{settled:?} after {last:?}");
    }

    #[test]
    fn flapping_is_ignored(
        gaps in prop::collection::vec(1..300_u64, 1..100),
        other in any_reading().prop_filter("another", |r| !Signal::from(*r).is_same_as(&Signal::Steady(HD))),
    ) {
        let mut history = vec![(ms(0), FOUND_TIMINGS), (ms(0), LOCKED_HD)];
        let mut now = 1000;
        for (n, gap) in gaps.iter().enumerate() {
            let input = if n % 2 == 0 { Input::Timings(other) } else { LOCKED_HD };
            history.push((ms(now), input));
            now += gap;
        }
        history.push((ms(now), LOCKED_HD));
        prop_assert_eq!(run(&history, ms(now + 5000), true), [(ms(300), Signal::Steady(HD))]);
    }

    #[test]
    fn pixel_clock_jitter_is_ignored(
        rates in prop::collection::vec(59_900..60_100_u32, 1..50),
    ) {
        let mut history = vec![(ms(0), FOUND_TIMINGS), (ms(0), LOCKED_HD)];
        for (n, millihertz) in (1..).zip(rates) {
            let fps = FrameRate::from_millihertz(millihertz);
            history.push((ms(n * 500), Input::Timings(Reading::Locked(Mode { fps, ..HD }))));
        }
        let end = end_of(&history) + ms(5000);
        prop_assert_eq!(run(&history, end, true), [(ms(300), Signal::Steady(HD))]);
    }

    #[test]
    fn inputs_without_device_report_nothing(history in any_history(any_input())) {
        let unfound: Vec<_> = history
            .into_iter()
            .filter(|(_, input)| !matches!(input, Input::DeviceFound(_)))
            .collect();
        let end = end_of(&unfound) + ms(5000);
        prop_assert_eq!(run(&unfound, end, true), []);
    }
}
