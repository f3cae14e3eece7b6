//! An appliance's recorder that records nothing.

use std::sync::Mutex;

use serde_json::json;
use sortie_api::{Appliance as State, RecorderProblem, RecorderState, SignalState};
use sortie_server::{Appliance, LivePicture};

/// Applies every command immediately.
pub(crate) struct FakeRecorder {
    state: Mutex<State>,
    pub(crate) picture: LivePicture,
}

impl FakeRecorder {
    pub(crate) fn new() -> Self {
        let state = json!({
            "device": "Fake",
            "signal": { "state": "steady", "width": 1920, "height": 1080, "fps": 60.0 },
            "recorder": "idle",
            "duration_seconds": 0.0,
            "dropped_frames": 0,
            "auto_record": false,
            "test_source": true,
        });
        let state = serde_json::from_value(state).expect("a state");
        let picture = LivePicture::default();
        picture.set_unavailable(Some("the recorder is a fake."));
        Self {
            state: Mutex::new(state),
            picture,
        }
    }

    /// Sets the code of the recorder's problem.
    pub(crate) fn fail(&self, problem: Option<RecorderProblem>) {
        self.change(|state| state.problem_code = problem);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().expect("no panic"));
    }
}

impl Appliance for FakeRecorder {
    fn state(&self) -> State {
        self.state.lock().expect("no panic").clone()
    }

    fn bytes_per_second(&self) -> u64 {
        1_000_000
    }

    fn start(&self) -> Result<(), String> {
        if self.state().signal.state != SignalState::Steady {
            return Err("Recording needs a video signal.".to_owned());
        }
        self.change(|state| state.recorder = RecorderState::Recording);
        Ok(())
    }

    fn stop(&self) {
        self.change(|state| state.recorder = RecorderState::Idle);
    }

    fn set_auto_record(&self, on: bool) {
        self.change(|state| state.auto_record = on);
    }

    fn switch_signal(&self, signal: SignalState) -> bool {
        self.change(|state| state.signal.state = signal);
        true
    }

    fn picture(&self) -> &LivePicture {
        &self.picture
    }
}
