//! What a page shows that comes from the server.

use std::rc::Rc;

use futures_util::future::{FutureExt, LocalBoxFuture};
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::de::DeserializeOwned;

use super::api::{Api, ApiError};
use super::app_context::AppContext;
use crate::list_page::Page;

type Fetch<T> = Rc<dyn Fn(Api) -> LocalBoxFuture<'static, Result<T, ApiError>>>;

/// What is being asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asking {
    Nothing,
    Something,
    /// Something that may have been answered before what has happened since: it has to be asked once more.
    Overtaken,
}

/// Something that is asked for, now and again: what is known of it, and what went wrong.
pub(super) struct ServerData<T: 'static> {
    app: AppContext,
    fetch: StoredValue<Fetch<T>, LocalStorage>,
    value: RwSignal<Option<T>>,
    problem: RwSignal<Option<String>>,
    /// A request that the person asked for is under way.
    is_busy: RwSignal<bool>,
    /// What request is under way.
    asking: StoredValue<Asking>,
    /// Counts the questions: only the answer to the last one is believed.
    questions: StoredValue<u32>,
    /// Counts the changes made here. What was asked before the last one would bring a deleted row back.
    edits: StoredValue<u32>,
}

impl<T: 'static> Clone for ServerData<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: 'static> Copy for ServerData<T> {}

impl<T: Clone + PartialEq + Send + Sync + 'static> ServerData<T> {
    /// Something that `fetch` gets; nothing is asked for yet.
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
            asking: StoredValue::new(Asking::Nothing),
            questions: StoredValue::new(0),
            edits: StoredValue::new(0),
        }
    }

    /// Asks because the person wants to know.
    pub(super) fn load(self) {
        self.is_busy.set(true);
        self.ask();
    }

    /// Asks by itself; silent, and while another question is under way only after it.
    pub(super) fn poll(self) {
        if !self.overtake() {
            self.ask();
        }
    }

    /// Something has happened. Whether a question is under way, which may have been answered before that; then it is
    /// asked once more.
    pub(super) fn overtake(self) -> bool {
        let is_asking = self.asking.try_get_value() != Some(Asking::Nothing);
        if is_asking {
            self.asking.try_set_value(Asking::Overtaken);
        }
        is_asking
    }

    fn ask(self) {
        self.asking.set_value(Asking::Something);
        let question = self.questions.get_value().wrapping_add(1);
        self.questions.set_value(question);
        let edits = self.edits.get_value();
        let answer = self.fetch.with_value(|fetch| fetch(self.app.api()));
        spawn_local(async move {
            let answer = answer.await;
            // The page may have been left meanwhile, or something else been asked for.
            if self.questions.try_get_value() != Some(question) {
                return;
            }
            if self.edits.get_value() != edits {
                return self.ask();
            }
            let is_overtaken = self.asking.get_value() == Asking::Overtaken;
            self.asking.set_value(Asking::Nothing);
            self.is_busy.set(false);
            match answer {
                Ok(value) => {
                    self.take(value);
                    if is_overtaken {
                        self.ask();
                    }
                }
                Err(error) => self.problem.set(Some(self.app.explain(&error))),
            }
        });
    }

    fn take(self, value: T) {
        if self.problem.with_untracked(Option::is_some) {
            self.problem.set(None);
        }
        // What has not changed must not be drawn again.
        if self
            .value
            .with_untracked(|old| old.as_ref() != Some(&value))
        {
            self.value.set(Some(value));
        }
    }

    /// Changes what is known as the server has been told to. `change` answers whether it did.
    pub(super) fn edit(self, change: impl FnOnce(&mut T) -> bool) {
        self.edits
            .try_update_value(|edits| *edits = edits.wrapping_add(1));
        self.amend(change);
    }

    /// Changes what is known as the server has told by itself. `change` answers whether it did.
    pub(super) fn amend(self, change: impl FnOnce(&mut T) -> bool) {
        self.value
            .try_maybe_update(|value| (value.as_mut().is_some_and(change), ()));
    }

    /// Shows what was known before, until there is an answer.
    pub(super) fn restore(self, value: T) {
        self.value.set(Some(value));
    }

    /// What is known; tracked, as everything below.
    pub(super) fn get(self) -> Option<T> {
        self.value.get()
    }

    /// What is known at this moment.
    pub(super) fn get_untracked(self) -> Option<T> {
        self.value.get_untracked()
    }

    /// Looks at what is known.
    pub(super) fn with<O>(self, look: impl FnOnce(&T) -> O) -> Option<O> {
        self.value.with(|value| value.as_ref().map(look))
    }

    /// How the question goes.
    pub(super) fn asked(self) -> FetchState {
        FetchState {
            problem: self.problem,
            is_waiting: Signal::derive(move || self.is_waiting()),
            is_busy: self.is_busy,
            again: Callback::new(move |()| self.load()),
        }
    }

    /// The sentence to show, if something went wrong.
    pub(super) fn problem(self) -> RwSignal<Option<String>> {
        self.problem
    }

    /// Nothing to show yet, and nothing went wrong.
    pub(super) fn is_waiting(self) -> bool {
        self.value.with(Option::is_none) && self.problem.with(Option::is_none)
    }

    /// A request that the person asked for is under way.
    pub(super) fn is_busy(self) -> bool {
        self.is_busy.get()
    }
}

impl<T: Clone + PartialEq + Send + Sync + 'static> ServerData<Page<T>> {
    /// The page of a list at `address`; asked for at once, and again when the address changes.
    pub(super) fn list(address: Memo<String>) -> Self
    where
        T: DeserializeOwned,
    {
        Self::list_when(address, Signal::stored(true))
    }

    /// The same, but nothing is asked for before `is_due`.
    pub(super) fn list_when(address: Memo<String>, is_due: Signal<bool>) -> Self
    where
        T: DeserializeOwned,
    {
        let list = Self::new(move |api| {
            let address = address.get_untracked();
            async move { api.page(&address).await }
        });
        Effect::new(move |_| {
            address.track();
            if is_due.get() {
                list.load();
            }
        });
        list
    }

    /// The rows; none while nothing is known.
    pub(super) fn rows(self) -> Vec<T> {
        self.with(|page| page.rows.clone()).unwrap_or_default()
    }

    /// How many rows there are, once that is known.
    pub(super) fn count(self) -> Signal<Option<usize>> {
        Signal::derive(move || self.with(|page| page.rows.len()))
    }

    /// The API's address of the next page, if there is one.
    pub(super) fn next(self) -> Signal<Option<String>> {
        Signal::derive(move || self.with(|page| page.next.clone()).flatten())
    }
}

/// How a question goes, whatever it is about: what parts of a page need to know that show only this.
#[derive(Clone, Copy)]
pub(super) struct FetchState {
    /// The sentence to show, if something went wrong.
    pub(super) problem: RwSignal<Option<String>>,
    /// Nothing to show yet, and nothing went wrong.
    pub(super) is_waiting: Signal<bool>,
    /// A request that the person asked for is under way.
    pub(super) is_busy: RwSignal<bool>,
    /// Asks again.
    pub(super) again: Callback<()>,
}
