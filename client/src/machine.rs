//! What a recorder does next: pure, so that every order of events can be tried without a browser.

use std::collections::VecDeque;

use crate::{RecorderError, State, StopReason};

/// Something the recorder was asked to do or heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Begin.
    Start,
    /// The server knows of the recording.
    Prepared,
    /// The encoder runs.
    CaptureStarted,
    /// Make time stand still.
    Pause,
    /// Let time go on.
    Resume,
    /// Continue with a fresh encoder as a further part of the recording.
    Split,
    /// End it for this reason.
    Stop(StopReason),
    /// The encoder has given out its last byte, asked to or not. The reason is for when it was not.
    CaptureStopped(StopReason),
    /// The same, but it has not given a single byte.
    CapturedNothing(StopReason),
    /// The server was told that recording has ended, or could not be told.
    StopAnnounced,
    /// The server holds everything.
    UploadDone,
    /// The upload cannot go on.
    UploadFailed(RecorderError),
    /// It could not begin.
    CannotStart(RecorderError),
    /// Discard it.
    Abort,
}

/// Something for the adapter to do. Order matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Tell the server that a recording begins; ends in [`Input::Prepared`] or [`Input::CannotStart`].
    Prepare,
    /// Start the encoder; ends in [`Input::CaptureStarted`] or [`Input::CannotStart`].
    StartCapture,
    /// Start to upload what the encoder gives out.
    BeginUpload,
    /// Halt the encoder.
    PauseCapture,
    /// Let the encoder go on.
    ResumeCapture,
    /// Stop the encoder and start a fresh one on the same source, halted while the recording is paused. The last bytes
    /// of the old one belong to the part before. Without a fresh one it ends in [`Input::CaptureStopped`].
    SplitCapture,
    /// Stop the encoder; ends in [`Input::CaptureStopped`].
    StopCapture,
    /// Tell the server that recording has ended; ends in [`Input::StopAnnounced`].
    AnnounceStop,
    /// Let go of camera, screen and encoder.
    ReleaseSource,
    /// Declare the length; the upload ends when the rest has arrived.
    EndUpload,
    /// Cancel what is under way and delete what the server has.
    Discard,
    /// Tell the listeners of the new state.
    Entered(State),
    /// Tell the listeners that recording has ended.
    Stopped(StopReason),
    /// Tell the listeners that the server holds everything.
    Succeeded,
    /// Tell the listeners that it failed.
    Failed(RecorderError),
}

/// The recorder's state machine: inputs in with [`handle`](Self::handle), actions out with
/// [`poll`](Self::poll) until there are none.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    state: State,
    /// The encoder has given out its last byte.
    captured: bool,
    /// The server was told of the end, or could not be told.
    announced: bool,
    /// Why the upload failed while the encoder was still giving out its last bytes. They are waited for, so
    /// that the person can save everything there is.
    failure: Option<RecorderError>,
    actions: VecDeque<Action>,
}

impl Machine {
    /// Where it is.
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// What to do next, if anything.
    pub(crate) fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Takes an input.
    ///
    /// # Errors
    /// [`RecorderError::WrongState`] for a call that does not fit the state. News that comes too late is
    /// ignored instead: nobody can do anything about its order.
    pub(crate) fn handle(&mut self, input: Input) -> Result<(), RecorderError> {
        match (self.state, input) {
            (State::Idle, Input::Start) => {
                self.enter(State::Starting);
                self.push(Action::Prepare);
            }
            (State::Starting, Input::Prepared) => self.push(Action::StartCapture),
            (State::Starting, Input::CaptureStarted) => {
                self.enter(State::Recording);
                self.push(Action::BeginUpload);
            }
            (State::Recording, Input::Pause) => {
                self.push(Action::PauseCapture);
                self.enter(State::Paused);
            }
            (State::Paused, Input::Resume) => {
                self.push(Action::ResumeCapture);
                self.enter(State::Recording);
            }
            (State::Recording | State::Paused, Input::Split) => self.push(Action::SplitCapture),
            (_, Input::Start | Input::Pause | Input::Resume) | (State::Idle, Input::Stop(_)) => {
                return Err(RecorderError::WrongState(self.state));
            }

            // Nothing has been recorded yet, so there is nothing to keep.
            (State::Starting, Input::Stop(reason)) => {
                let asked = matches!(reason, StopReason::User | StopReason::SessionEnded);
                self.discard(if asked {
                    RecorderError::Aborted
                } else {
                    RecorderError::NoTracks
                });
            }
            (State::Starting, Input::CaptureStopped(_) | Input::CapturedNothing(_)) => {
                self.discard(RecorderError::NoTracks)
            }
            (State::Starting, Input::CannotStart(error)) => self.discard(error),
            (state, Input::Abort) if !state.is_final() => self.discard(RecorderError::Aborted),

            (State::Recording | State::Paused, Input::Stop(reason)) => self.stop(reason),
            (State::Recording | State::Paused, Input::CaptureStopped(reason)) => {
                self.stop(reason);
                self.captured();
            }
            (State::Stopping, Input::CaptureStopped(_)) => self.captured(),
            // An empty recording would be a promise that nobody can keep.
            (State::Recording | State::Paused, Input::CapturedNothing(reason)) => {
                self.push(Action::Stopped(reason));
                self.discard(RecorderError::Empty);
            }
            (State::Stopping, Input::CapturedNothing(_)) => {
                let error = self.failure.take().unwrap_or(RecorderError::Empty);
                self.discard(error);
            }
            (State::Stopping | State::Uploading, Input::StopAnnounced) if !self.announced => {
                self.announced = true;
                self.end_upload();
            }

            (State::Recording | State::Paused, Input::UploadFailed(error)) => {
                self.failure = Some(error);
                self.stop(StopReason::UploadFailed);
            }
            (State::Stopping, Input::UploadFailed(error)) => self.failure = Some(error),
            (State::Uploading, Input::UploadFailed(error)) => self.fail(error),
            (State::Uploading, Input::UploadDone) => {
                self.enter(State::Done);
                self.push(Action::Succeeded);
            }
            _ => {}
        }
        Ok(())
    }

    fn stop(&mut self, reason: StopReason) {
        self.enter(State::Stopping);
        self.push(Action::StopCapture);
        self.push(Action::Stopped(reason));
        // With the upload gone the server needs no telling.
        if self.failure.is_none() {
            self.push(Action::AnnounceStop);
        }
    }

    fn captured(&mut self) {
        self.captured = true;
        self.push(Action::ReleaseSource);
        match self.failure.take() {
            Some(error) => self.fail(error),
            None => {
                self.enter(State::Uploading);
                self.end_upload();
            }
        }
    }

    fn end_upload(&mut self) {
        if self.captured && self.announced {
            self.push(Action::EndUpload);
        }
    }

    fn discard(&mut self, error: RecorderError) {
        self.push(Action::ReleaseSource);
        self.push(Action::Discard);
        self.fail(error);
    }

    fn fail(&mut self, error: RecorderError) {
        self.enter(State::Failed);
        self.push(Action::Failed(error));
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.push(Action::Entered(state));
    }

    fn push(&mut self, action: Action) {
        self.actions.push_back(action);
    }
}

#[cfg(test)]
mod tests;
