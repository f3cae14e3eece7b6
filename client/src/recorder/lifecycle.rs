//! Lifecycle of a recorder, from start to done, failed or aborted.

use crate::queue::pop_first;
use crate::{RecorderError, State, StopReason};

/// Call or event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Start,
    /// The server has begun the recording.
    Prepared,
    CaptureStarted,
    Pause,
    Resume,
    Stop(StopReason),
    /// The encoder has emitted its last byte. The reason applies if the encoder stopped by itself.
    CaptureStopped(StopReason),
    /// The encoder has stopped without emitting a byte.
    CapturedNothing(StopReason),
    /// The server was told that recording has ended, or the attempt failed.
    StopAnnounced,
    /// The server holds all bytes.
    UploadDone,
    UploadFailed(RecorderError),
    CannotStart(RecorderError),
    Abort,
}

/// Step that an input leads to, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Begin the recording on the server; answered by [`Input::Prepared`] or [`Input::CannotStart`].
    Prepare,
    /// Start the encoder; answered by [`Input::CaptureStarted`] or [`Input::CannotStart`].
    StartCapture,
    BeginUpload,
    PauseCapture,
    ResumeCapture,
    /// Stop the encoder; answered by [`Input::CaptureStopped`].
    StopCapture,
    /// Tell the server that recording has ended; answered by [`Input::StopAnnounced`].
    AnnounceStop,
    /// Release camera, screen and encoder.
    ReleaseSource,
    /// Declare the upload's length; the upload ends when the remaining bytes have arrived.
    EndUpload,
    /// Cancel requests under way and delete the recording on the server.
    Discard,
    Entered(State),
    Stopped(StopReason),
    Succeeded,
    Failed(RecorderError),
}

/// Inputs in with [`handle`](Self::handle), actions out with [`poll`](Self::poll) until there are none.
#[derive(Debug, Default)]
pub(super) struct Lifecycle {
    state: State,
    /// The encoder has emitted its last byte.
    captured: bool,
    /// [`Input::StopAnnounced`] was handled.
    announced: bool,
    /// Failure of the upload while the encoder was emitting its last bytes. The machine waits for them, so that the
    /// user can save everything.
    failure: Option<RecorderError>,
    actions: Vec<Action>,
}

impl Lifecycle {
    pub(super) fn state(&self) -> State {
        self.state
    }

    pub(super) fn poll(&mut self) -> Option<Action> {
        pop_first(&mut self.actions)
    }

    /// # Errors
    /// [`RecorderError::WrongState`] for a call that does not fit the state. Late events are ignored, because the caller
    /// does not control their order.
    pub(super) fn handle(&mut self, input: Input) -> Result<(), RecorderError> {
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
            (_, Input::Start | Input::Pause | Input::Resume) | (State::Idle, Input::Stop(_)) => {
                return Err(RecorderError::WrongState(self.state));
            }

            // No byte was recorded, so the recording is discarded.
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
            // An empty recording is not kept.
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
        // A failed upload has ended on the server already.
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
        self.enter(match error {
            RecorderError::Aborted => State::Aborted,
            _ => State::Failed,
        });
        self.push(Action::Failed(error));
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.push(Action::Entered(state));
    }

    fn push(&mut self, action: Action) {
        self.actions.push(action);
    }
}

#[cfg(test)]
mod tests;
