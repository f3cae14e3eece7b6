use super::*;

const TO_RECORDING: [Input; 3] = [Input::Start, Input::Prepared, Input::CaptureStarted];

/// Lifecycle after `inputs`, with all actions polled.
fn after(inputs: impl IntoIterator<Item = Input>) -> Lifecycle {
    let mut lifecycle = Lifecycle::default();
    for input in inputs {
        lifecycle.handle(input).expect("an input that fits");
        while lifecycle.poll().is_some() {}
    }
    lifecycle
}

/// Compares the actions that `input` leads to.
#[track_caller]
fn check(lifecycle: &mut Lifecycle, input: Input, expected: &[Action]) {
    lifecycle.handle(input).expect("an input that fits");
    let actions: Vec<_> = std::iter::from_fn(|| lifecycle.poll()).collect();
    assert_eq!(actions, expected);
}

#[test]
fn ordinary_recording_passes_all_states() {
    use Action::*;
    let mut lifecycle = Lifecycle::default();
    check(
        &mut lifecycle,
        Input::Start,
        &[Entered(State::Starting), Prepare],
    );
    check(&mut lifecycle, Input::Prepared, &[StartCapture]);
    check(
        &mut lifecycle,
        Input::CaptureStarted,
        &[Entered(State::Recording), BeginUpload],
    );
    check(
        &mut lifecycle,
        Input::Pause,
        &[PauseCapture, Entered(State::Paused)],
    );
    check(
        &mut lifecycle,
        Input::Resume,
        &[ResumeCapture, Entered(State::Recording)],
    );
    check(
        &mut lifecycle,
        Input::Stop(StopReason::User),
        &[
            Entered(State::Stopping),
            StopCapture,
            Stopped(StopReason::User),
            AnnounceStop,
        ],
    );
    check(&mut lifecycle, Input::StopAnnounced, &[]);
    check(
        &mut lifecycle,
        Input::CaptureStopped(StopReason::TrackEnded),
        &[ReleaseSource, Entered(State::Uploading), EndUpload],
    );
    check(
        &mut lifecycle,
        Input::UploadDone,
        &[Entered(State::Done), Succeeded],
    );
}

#[test]
fn length_is_declared_after_the_stop_was_announced() {
    let mut lifecycle = after(TO_RECORDING);
    lifecycle
        .handle(Input::Stop(StopReason::User))
        .expect("recording");
    while lifecycle.poll().is_some() {}
    let stopped = Input::CaptureStopped(StopReason::TrackEnded);
    check(
        &mut lifecycle,
        stopped,
        &[Action::ReleaseSource, Action::Entered(State::Uploading)],
    );
    check(&mut lifecycle, Input::StopAnnounced, &[Action::EndUpload]);
}

#[test]
fn encoder_stopping_unasked_stops_the_recording_with_its_reason() {
    use Action::*;
    let mut lifecycle = after(TO_RECORDING);
    check(
        &mut lifecycle,
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
fn recording_without_bytes_fails_as_empty() {
    use Action::*;
    let nothing = Input::CapturedNothing(StopReason::TrackEnded);
    let discarded = [
        ReleaseSource,
        Discard,
        Entered(State::Failed),
        Failed(RecorderError::Empty),
    ];
    let mut lifecycle = after(TO_RECORDING);
    lifecycle
        .handle(Input::Stop(StopReason::User))
        .expect("recording");
    while lifecycle.poll().is_some() {}
    check(&mut lifecycle, nothing.clone(), &discarded);
    check(&mut lifecycle, Input::StopAnnounced, &[]);

    let mut lifecycle = after(TO_RECORDING);
    let mut expected = vec![Stopped(StopReason::TrackEnded)];
    expected.extend(discarded);
    check(&mut lifecycle, nothing, &expected);
}

#[test]
fn second_stop_does_not_change_the_reason() {
    let mut lifecycle = after(TO_RECORDING);
    lifecycle
        .handle(Input::Stop(StopReason::LimitReached))
        .expect("recording");
    while lifecycle.poll().is_some() {}
    check(&mut lifecycle, Input::Stop(StopReason::User), &[]);
    assert_eq!(lifecycle.state(), State::Stopping);
}

#[test]
fn failed_upload_waits_for_the_last_bytes() {
    use Action::*;
    let mut lifecycle = after(TO_RECORDING);
    let gone = RecorderError::Upload("Gone.".to_owned());
    check(
        &mut lifecycle,
        Input::UploadFailed(gone.clone()),
        &[
            Entered(State::Stopping),
            StopCapture,
            Stopped(StopReason::UploadFailed),
        ],
    );
    let stopped = Input::CaptureStopped(StopReason::TrackEnded);
    check(
        &mut lifecycle,
        stopped,
        &[ReleaseSource, Entered(State::Failed), Failed(gone)],
    );
}

#[test]
fn failure_while_uploading_is_final() {
    let mut lifecycle = after(TO_RECORDING);
    lifecycle
        .handle(Input::CaptureStopped(StopReason::TrackEnded))
        .expect("recording");
    while lifecycle.poll().is_some() {}
    let error = RecorderError::SignedOut;
    let failed = [
        Action::Entered(State::Failed),
        Action::Failed(error.clone()),
    ];
    check(&mut lifecycle, Input::UploadFailed(error), &failed);
    check(&mut lifecycle, Input::UploadDone, &[]);
    check(&mut lifecycle, Input::Abort, &[]);
}

#[test]
fn stop_while_starting_discards() {
    #[track_caller]
    fn discarded(input: Input, error: RecorderError) {
        let state = match error {
            RecorderError::Aborted => State::Aborted,
            _ => State::Failed,
        };
        for before in 1..3 {
            let mut lifecycle = after(TO_RECORDING.into_iter().take(before));
            let expected = [
                Action::ReleaseSource,
                Action::Discard,
                Action::Entered(state),
                Action::Failed(error.clone()),
            ];
            check(&mut lifecycle, input.clone(), &expected);
            check(&mut lifecycle, Input::Prepared, &[]);
            check(&mut lifecycle, Input::CaptureStarted, &[]);
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
fn call_in_the_wrong_state_is_refused_and_changes_nothing() {
    #[track_caller]
    fn refused(before: usize, input: Input, state: State) {
        let mut lifecycle = after(TO_RECORDING.into_iter().take(before));
        assert_eq!(
            lifecycle.handle(input),
            Err(RecorderError::WrongState(state))
        );
        assert_eq!((lifecycle.poll(), lifecycle.state()), (None, state));
    }
    refused(0, Input::Stop(StopReason::User), State::Idle);
    refused(0, Input::Pause, State::Idle);
    refused(1, Input::Start, State::Starting);
    refused(1, Input::Pause, State::Starting);
    refused(3, Input::Resume, State::Recording);
    refused(3, Input::Start, State::Recording);
}

/// Tries every sequence of five inputs: no action follows the final one, and each kind of end occurs at most once.
#[test]
fn every_order_of_five_inputs_ends_at_most_once() {
    let error = || RecorderError::Upload("x".to_owned());
    let inputs = [
        Input::Start,
        Input::Prepared,
        Input::CaptureStarted,
        Input::Pause,
        Input::Resume,
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
            let mut lifecycle = after(TO_RECORDING.into_iter().take(prefix));
            let mut seen = Vec::new();
            for _ in 0..5 {
                // A refused call counts as a step, because it must change nothing.
                let _refused = lifecycle.handle(inputs[number % inputs.len()].clone());
                number /= inputs.len();
                seen.extend(std::iter::from_fn(|| lifecycle.poll()));
            }
            let count =
                |wanted: fn(&Action) -> bool| seen.iter().filter(|action| wanted(action)).count();
            let last = |action: &Action| matches!(action, Action::Succeeded | Action::Failed(_));
            let ends = seen.iter().filter(|action| last(action)).count();
            assert_eq!(ends, usize::from(lifecycle.state().is_final()), "{seen:?}");
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
