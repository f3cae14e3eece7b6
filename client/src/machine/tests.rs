use super::*;

const TO_RECORDING: [Input; 3] = [Input::Start, Input::Prepared, Input::CaptureStarted];

/// A machine that has taken `inputs`, its actions polled.
fn after(inputs: impl IntoIterator<Item = Input>) -> Machine {
    let mut machine = Machine::default();
    for input in inputs {
        machine.handle(input).expect("an input that fits");
        while machine.poll().is_some() {}
    }
    machine
}

/// Gives `input` to `machine` and compares the actions that follow.
#[track_caller]
fn check(machine: &mut Machine, input: Input, expected: &[Action]) {
    machine.handle(input).expect("an input that fits");
    let actions: Vec<_> = std::iter::from_fn(|| machine.poll()).collect();
    assert_eq!(actions, expected);
}

#[test]
fn an_ordinary_recording() {
    use Action::*;
    let mut machine = Machine::default();
    check(
        &mut machine,
        Input::Start,
        &[Entered(State::Starting), Prepare],
    );
    check(&mut machine, Input::Prepared, &[StartCapture]);
    check(
        &mut machine,
        Input::CaptureStarted,
        &[Entered(State::Recording), BeginUpload],
    );
    check(
        &mut machine,
        Input::Pause,
        &[PauseCapture, Entered(State::Paused)],
    );
    check(
        &mut machine,
        Input::Resume,
        &[ResumeCapture, Entered(State::Recording)],
    );
    check(
        &mut machine,
        Input::Stop(StopReason::User),
        &[
            Entered(State::Stopping),
            StopCapture,
            Stopped(StopReason::User),
            AnnounceStop,
        ],
    );
    check(&mut machine, Input::StopAnnounced, &[]);
    check(
        &mut machine,
        Input::CaptureStopped(StopReason::TrackEnded),
        &[ReleaseSource, Entered(State::Uploading), EndUpload],
    );
    check(
        &mut machine,
        Input::UploadDone,
        &[Entered(State::Done), Succeeded],
    );
}

#[test]
fn the_length_is_declared_only_once_the_server_was_told() {
    let mut machine = after(TO_RECORDING);
    machine
        .handle(Input::Stop(StopReason::User))
        .expect("recording");
    while machine.poll().is_some() {}
    let stopped = Input::CaptureStopped(StopReason::TrackEnded);
    check(
        &mut machine,
        stopped,
        &[Action::ReleaseSource, Action::Entered(State::Uploading)],
    );
    check(&mut machine, Input::StopAnnounced, &[Action::EndUpload]);
}

#[test]
fn an_encoder_that_stops_by_itself_says_why() {
    use Action::*;
    let mut machine = after(TO_RECORDING);
    check(
        &mut machine,
        Input::CaptureStopped(StopReason::SharingEnded),
        &[
            Entered(State::Stopping),
            StopCapture,
            Stopped(StopReason::SharingEnded),
            AnnounceStop,
            ReleaseSource,
            Entered(State::Uploading),
        ],
    );
}

#[test]
fn an_encoder_that_gave_nothing_is_no_success() {
    use Action::*;
    let nothing = Input::CapturedNothing(StopReason::TrackEnded);
    let discarded = [
        ReleaseSource,
        Discard,
        Entered(State::Failed),
        Failed(RecorderError::Empty),
    ];
    let mut machine = after(TO_RECORDING);
    machine
        .handle(Input::Stop(StopReason::User))
        .expect("recording");
    while machine.poll().is_some() {}
    check(&mut machine, nothing.clone(), &discarded);
    check(&mut machine, Input::StopAnnounced, &[]);

    let mut machine = after(TO_RECORDING);
    let mut expected = vec![Stopped(StopReason::TrackEnded)];
    expected.extend(discarded);
    check(&mut machine, nothing, &expected);
}

#[test]
fn split_restarts_the_encoder_while_capturing_and_never_else() {
    let mut machine = after(TO_RECORDING);
    check(&mut machine, Input::Split, &[Action::SplitCapture]);
    // The fresh encoder has started: that is no news.
    check(&mut machine, Input::CaptureStarted, &[]);
    assert_eq!(machine.state(), State::Recording);
    machine.handle(Input::Pause).expect("recording");
    while machine.poll().is_some() {}
    check(&mut machine, Input::Split, &[Action::SplitCapture]);
    assert_eq!(machine.state(), State::Paused);

    for inputs in [
        &[][..],
        &[Input::Start],
        &[Input::Start, Input::Prepared],
        &[
            Input::Start,
            Input::Prepared,
            Input::CaptureStarted,
            Input::Stop(StopReason::User),
        ],
        &[Input::Start, Input::Abort],
    ] {
        let mut machine = after(inputs.iter().cloned());
        let state = machine.state();
        check(&mut machine, Input::Split, &[]);
        assert_eq!(machine.state(), state);
    }
}

#[test]
fn the_first_reason_counts() {
    let mut machine = after(TO_RECORDING);
    machine
        .handle(Input::Stop(StopReason::LimitReached))
        .expect("recording");
    while machine.poll().is_some() {}
    check(&mut machine, Input::Stop(StopReason::User), &[]);
    assert_eq!(machine.state(), State::Stopping);
}

#[test]
fn a_failed_upload_still_waits_for_the_last_bytes() {
    use Action::*;
    let mut machine = after(TO_RECORDING);
    let gone = RecorderError::Upload("Gone.".to_owned());
    check(
        &mut machine,
        Input::UploadFailed(gone.clone()),
        &[
            Entered(State::Stopping),
            StopCapture,
            Stopped(StopReason::UploadFailed),
        ],
    );
    let stopped = Input::CaptureStopped(StopReason::TrackEnded);
    check(
        &mut machine,
        stopped,
        &[ReleaseSource, Entered(State::Failed), Failed(gone)],
    );
}

#[test]
fn a_failure_while_the_rest_is_sent_is_final() {
    let mut machine = after(TO_RECORDING);
    machine
        .handle(Input::CaptureStopped(StopReason::TrackEnded))
        .expect("recording");
    while machine.poll().is_some() {}
    let error = RecorderError::SignedOut;
    let failed = [
        Action::Entered(State::Failed),
        Action::Failed(error.clone()),
    ];
    check(&mut machine, Input::UploadFailed(error), &failed);
    check(&mut machine, Input::UploadDone, &[]);
    check(&mut machine, Input::Abort, &[]);
}

#[test]
fn what_never_began_is_discarded() {
    #[track_caller]
    fn discarded(input: Input, error: RecorderError) {
        for before in 1..3 {
            let mut machine = after(TO_RECORDING.into_iter().take(before));
            let expected = [
                Action::ReleaseSource,
                Action::Discard,
                Action::Entered(State::Failed),
                Action::Failed(error.clone()),
            ];
            check(&mut machine, input.clone(), &expected);
            check(&mut machine, Input::Prepared, &[]);
            check(&mut machine, Input::CaptureStarted, &[]);
        }
    }
    discarded(Input::Stop(StopReason::User), RecorderError::Aborted);
    discarded(
        Input::Stop(StopReason::SharingEnded),
        RecorderError::NoTracks,
    );
    discarded(
        Input::CaptureStopped(StopReason::TrackEnded),
        RecorderError::NoTracks,
    );
    discarded(
        Input::CannotStart(RecorderError::Unreachable),
        RecorderError::Unreachable,
    );
    discarded(Input::Abort, RecorderError::Aborted);
}

#[test]
fn calls_that_do_not_fit_are_refused_and_change_nothing() {
    #[track_caller]
    fn refused(before: usize, input: Input, state: State) {
        let mut machine = after(TO_RECORDING.into_iter().take(before));
        assert_eq!(machine.handle(input), Err(RecorderError::WrongState(state)));
        assert_eq!((machine.poll(), machine.state()), (None, state));
    }
    refused(0, Input::Stop(StopReason::User), State::Idle);
    refused(0, Input::Pause, State::Idle);
    refused(1, Input::Start, State::Starting);
    refused(1, Input::Pause, State::Starting);
    refused(3, Input::Resume, State::Recording);
    refused(3, Input::Start, State::Recording);
}

/// Every sequence of five inputs: never an action after the last one, at most one end of each kind.
#[test]
fn no_order_of_inputs_breaks_the_rules() {
    let error = || RecorderError::Upload("x".to_owned());
    let inputs = [
        Input::Start,
        Input::Prepared,
        Input::CaptureStarted,
        Input::Pause,
        Input::Resume,
        Input::Split,
        Input::Stop(StopReason::User),
        Input::CaptureStopped(StopReason::TrackEnded),
        Input::StopAnnounced,
        Input::UploadDone,
        Input::UploadFailed(error()),
        Input::CannotStart(error()),
        Input::Abort,
    ];
    for prefix in 0..=TO_RECORDING.len() {
        for mut number in 0..inputs.len().pow(5) {
            let mut machine = after(TO_RECORDING.into_iter().take(prefix));
            let mut seen = Vec::new();
            for _ in 0..5 {
                // A refused call is as good a step as any: it must change nothing.
                let _refused = machine.handle(inputs[number % inputs.len()].clone());
                number /= inputs.len();
                seen.extend(std::iter::from_fn(|| machine.poll()));
            }
            let count =
                |wanted: fn(&Action) -> bool| seen.iter().filter(|action| wanted(action)).count();
            let last = |action: &Action| matches!(action, Action::Succeeded | Action::Failed(_));
            let ends = seen.iter().filter(|action| last(action)).count();
            assert_eq!(ends, usize::from(machine.state().is_final()), "{seen:?}");
            assert!(ends == 0 || seen.last().is_some_and(last), "{seen:?}");
            assert!(
                count(|it| matches!(it, Action::Stopped(_))) <= 1,
                "{seen:?}"
            );
            assert!(count(|it| matches!(it, Action::EndUpload)) <= 1, "{seen:?}");
            assert!(
                count(|it| matches!(it, Action::ReleaseSource)) <= 2,
                "{seen:?}"
            );
        }
    }
}
