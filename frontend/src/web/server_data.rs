//! Data of the server that a page shows: loading, polling and optimistic edits.

use std::rc::Rc;

use futures_util::future::{FutureExt, LocalBoxFuture};
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::de::DeserializeOwned;

use super::api::{Api, ApiError};
use super::app_context::AppContext;
use crate::list_page::Page;

type Fetch<T> = Rc<dyn Fn(Api) -> LocalBoxFuture<'static, Result<T, ApiError>>>;

/// State of the request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RequestState {
    Idle,
    InFlight,
    /// In flight, but the data has changed since; the request must be repeated.
    Outdated,
}

/// Value of a request that is repeated, with its error.
pub(super) struct ServerData<T: 'static> {
    app: AppContext,
    fetch: StoredValue<Fetch<T>, LocalStorage>,
    value: RwSignal<Option<T>>,
    problem: RwSignal<Option<String>>,
    /// Whether a request that the user started is in flight.
    is_busy: RwSignal<bool>,
    request_state: StoredValue<RequestState>,
    /// Number of requests. Only the response to the last one is used.
    request_count: StoredValue<u32>,
    /// Number of local edits. A response that is older than the last edit would restore deleted rows.
    edit_count: StoredValue<u32>,
}

impl<T: 'static> Clone for ServerData<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: 'static> Copy for ServerData<T> {}

impl<T: Clone + PartialEq + Send + Sync + 'static> ServerData<T> {
    /// Creates the value without loading it.
    pub(super) fn new<F>(fetch: impl Fn(Api) -> F + 'static) -> Self
    where
        F: Future<Output = Result<T, ApiError>> + 'static,
    {
        Self {
            app: AppContext::expect(),
            fetch: StoredValue::new_local(Rc::new(move |api| fetch(api).boxed_local())),
            value: RwSignal::new(None),
            problem: RwSignal::new(None),
            is_busy: RwSignal::new(false),
            request_state: StoredValue::new(RequestState::Idle),
            request_count: StoredValue::new(0),
            edit_count: StoredValue::new(0),
        }
    }

    /// Loads on behalf of the user, with a progress indicator.
    pub(super) fn load(self) {
        self.is_busy.set(true);
        self.send();
    }

    /// Loads in the background; during a request, schedules another one.
    pub(super) fn poll(self) {
        if !self.mark_outdated() {
            self.send();
        }
    }

    pub(super) fn is_in_flight(self) -> bool {
        self.request_state.try_get_value() != Some(RequestState::Idle)
    }

    /// Marks the request in flight as outdated, so that it is repeated. Returns whether there is one.
    pub(super) fn mark_outdated(self) -> bool {
        let is_in_flight = self.is_in_flight();
        if is_in_flight {
            self.request_state.try_set_value(RequestState::Outdated);
        }
        is_in_flight
    }

    fn send(self) {
        self.request_state.set_value(RequestState::InFlight);
        let request = self.request_count.get_value().wrapping_add(1);
        self.request_count.set_value(request);
        let edit_count = self.edit_count.get_value();
        let answer = self.fetch.with_value(|fetch| fetch(self.app.api()));
        spawn_local(async move {
            let answer = answer.await;
            // The page may have been closed, or a newer request sent.
            if self.request_count.try_get_value() != Some(request) {
                return;
            }
            if self.edit_count.get_value() != edit_count {
                return self.send();
            }
            let is_outdated = self.request_state.get_value() == RequestState::Outdated;
            self.request_state.set_value(RequestState::Idle);
            self.is_busy.set(false);
            match answer {
                Ok(value) => {
                    self.set_value(value);
                    if is_outdated {
                        self.send();
                    }
                }
                Err(error) => self.problem.set(Some(self.app.explain(&error))),
            }
        });
    }

    fn set_value(self, value: T) {
        if self.problem.with_untracked(Option::is_some) {
            self.problem.set(None);
        }
        // An equal value must not cause a render.
        if self
            .value
            .with_untracked(|old| old.as_ref() != Some(&value))
        {
            self.value.set(Some(value));
        }
    }

    /// Applies a change that the server has confirmed. `change` returns whether it changed the value.
    pub(super) fn edit(self, change: impl FnOnce(&mut T) -> bool) {
        self.edit_count
            .try_update_value(|edit_count| *edit_count = edit_count.wrapping_add(1));
        self.amend(change);
    }

    /// Applies a change from the event stream. `change` returns whether it changed the value.
    pub(super) fn amend(self, change: impl FnOnce(&mut T) -> bool) {
        self.value
            .try_maybe_update(|value| (value.as_mut().is_some_and(change), ()));
    }

    /// Restores an earlier value until the server responds.
    pub(super) fn restore(self, value: T) {
        self.value.set(Some(value));
    }

    /// Tracked by Leptos, like all getters below.
    pub(super) fn get(self) -> Option<T> {
        self.value.get()
    }

    pub(super) fn get_untracked(self) -> Option<T> {
        self.value.get_untracked()
    }

    pub(super) fn with<O>(self, read: impl FnOnce(&T) -> O) -> Option<O> {
        self.value.with(|value| value.as_ref().map(read))
    }

    /// State for [`FetchStatus`](super::components::FetchStatus) and
    /// [`RefreshButton`](super::components::RefreshButton).
    pub(super) fn fetch_state(self) -> FetchState {
        FetchState {
            problem: self.problem,
            is_waiting: Signal::derive(move || self.is_waiting()),
            is_busy: self.is_busy,
            again: Callback::new(move |()| self.load()),
        }
    }

    /// Error message of the last request.
    pub(super) fn problem(self) -> RwSignal<Option<String>> {
        self.problem
    }

    /// Whether there is neither a value nor an error.
    pub(super) fn is_waiting(self) -> bool {
        self.value.with(Option::is_none) && self.problem.with(Option::is_none)
    }

    pub(super) fn is_busy(self) -> bool {
        self.is_busy.get()
    }
}

impl<T: Clone + PartialEq + Send + Sync + 'static> ServerData<Page<T>> {
    /// The list at a path; loads immediately and whenever the path changes.
    pub(super) fn list(address: Memo<String>) -> Self
    where
        T: DeserializeOwned,
    {
        let list = Self::new(move |api| {
            let address = address.get_untracked();
            async move { api.page(&address).await }
        });
        list.load_at(address);
        list
    }

    /// Loads immediately and whenever the address changes.
    pub(super) fn load_at(self, address: Memo<String>) {
        Effect::new(move |_| {
            address.track();
            self.load();
        });
    }

    /// Rows; none while loading.
    pub(super) fn rows(self) -> Vec<T> {
        self.with(|page| page.rows.clone()).unwrap_or_default()
    }

    /// Number of rows; `None` while loading.
    pub(super) fn count(self) -> Signal<Option<usize>> {
        Signal::derive(move || self.with(|page| page.rows.len()))
    }

    /// API path of the next page.
    pub(super) fn next(self) -> Signal<Option<String>> {
        Signal::derive(move || self.with(|page| page.next.clone()).flatten())
    }
}

/// State of a request, independent of the type of its value.
#[derive(Clone, Copy)]
pub(super) struct FetchState {
    /// Error message of the last request.
    pub(super) problem: RwSignal<Option<String>>,
    /// Whether there is neither a value nor an error.
    pub(super) is_waiting: Signal<bool>,
    /// Whether a request that the user started is in flight.
    pub(super) is_busy: RwSignal<bool>,
    pub(super) again: Callback<()>,
}
