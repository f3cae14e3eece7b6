//! A request that changes data, started by the user.

use leptos::prelude::*;
use leptos::task::spawn_local;

use super::api::{Api, ApiError};
use super::app_context::AppContext;

#[derive(Clone, Copy)]
pub(in crate::web) struct Submission {
    app: AppContext,
    pub(in crate::web) is_busy: RwSignal<bool>,
    pub(in crate::web) problem: RwSignal<Option<String>>,
}

impl Submission {
    pub(in crate::web) fn new() -> Self {
        Self {
            app: AppContext::expect(),
            is_busy: RwSignal::new(false),
            problem: RwSignal::new(None),
        }
    }

    /// Sends a request unless one is in flight. `done` receives the response if the page still exists.
    pub(in crate::web) fn send<T, F>(
        self,
        request: impl FnOnce(Api) -> F + 'static,
        done: impl FnOnce(T) + 'static,
    ) where
        T: 'static,
        F: Future<Output = Result<T, ApiError>> + 'static,
    {
        if self.is_busy.get_untracked() {
            return;
        }
        self.is_busy.set(true);
        self.problem.set(None);
        spawn_local(async move {
            let outcome = request(self.app.api()).await;
            // The page may have been closed.
            if self.is_busy.try_set(false).is_some() {
                return;
            }
            match outcome {
                Ok(answer) => done(answer),
                Err(error) => self.problem.set(Some(self.app.explain(&error))),
            }
        });
    }
}
