//! State of this tab's recorder for all pages. The recorder itself is loaded with the page Record.

use leptos::prelude::*;
use sortie_client::{Progress, State};

/// Context of the header and of the recorder store.
#[derive(Clone, Copy)]
pub(super) struct RecorderStatus {
    /// State of the recorder; `Idle` without one.
    pub(super) state: RwSignal<State>,
    pub(super) progress: RwSignal<Progress>,
    /// Owner of the application.
    app: StoredValue<Option<Owner>>,
}

impl RecorderStatus {
    pub(super) fn provide() {
        provide_context(Self {
            state: RwSignal::new(State::Idle),
            progress: RwSignal::new(Progress::default()),
            app: StoredValue::new(Owner::current()),
        });
    }

    pub(super) fn expect() -> Self {
        expect_context()
    }

    /// Whether a recording is running or being uploaded; tracked.
    pub(super) fn has_unsent(self) -> bool {
        is_unfinished(self.state.get())
    }

    pub(super) fn has_unsent_untracked(self) -> bool {
        is_unfinished(self.state.get_untracked())
    }

    /// Whether the recorder captures frames now; tracked.
    pub(super) fn is_live(self) -> bool {
        self.state.get() == State::Recording
    }

    /// Tracked by Leptos.
    pub(super) fn recorded_ms(self) -> u64 {
        self.progress.with(|progress| progress.recorded_ms)
    }

    /// Runs a function as part of the application instead of the current page, so that its signals and contexts outlive
    /// the page.
    pub(super) fn in_app<T>(self, create: impl FnOnce() -> T) -> T {
        match self.app.get_value() {
            Some(app) => app.with(create),
            None => create(),
        }
    }
}

/// Whether a recording of this state is running or being uploaded.
fn is_unfinished(state: State) -> bool {
    state != State::Idle && !state.is_final()
}
