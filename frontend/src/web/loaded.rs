//! What a page shows that comes from the server.

use std::rc::Rc;

use futures_util::future::{FutureExt, LocalBoxFuture};
use leptos::prelude::*;
use leptos::task::spawn_local;

use super::api::{Api, ApiError};
use super::session::Session;

type Fetch<T> = Rc<dyn Fn(Api) -> LocalBoxFuture<'static, Result<T, ApiError>>>;

/// Something that is asked for, now and again: what is known of it, and what went wrong.
pub(super) struct Loaded<T: 'static> {
    session: Session,
    fetch: StoredValue<Fetch<T>, LocalStorage>,
    value: RwSignal<Option<T>>,
    problem: RwSignal<Option<String>>,
    /// A request that the person asked for is under way.
    is_busy: RwSignal<bool>,
    /// Some request is under way.
    is_asking: StoredValue<bool>,
    /// Counts the questions: only the answer to the last one is believed.
    questions: StoredValue<u32>,
    /// Counts the changes made here. What was asked before the last one would bring a deleted row back.
    edits: StoredValue<u32>,
}

impl<T: 'static> Clone for Loaded<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: 'static> Copy for Loaded<T> {}

impl<T: Clone + PartialEq + Send + Sync + 'static> Loaded<T> {
    /// Something that `fetch` gets; nothing is asked for yet.
    pub(super) fn new<F>(fetch: impl Fn(Api) -> F + 'static) -> Self
    where
        F: Future<Output = Result<T, ApiError>> + 'static,
    {
        Self {
            session: Session::expect(),
            fetch: StoredValue::new_local(Rc::new(move |api| fetch(api).boxed_local())),
            value: RwSignal::new(None),
            problem: RwSignal::new(None),
            is_busy: RwSignal::new(false),
            is_asking: StoredValue::new(false),
            questions: StoredValue::new(0),
            edits: StoredValue::new(0),
        }
    }

    /// Asks because the person wants to know.
    pub(super) fn load(self) {
        self.is_busy.set(true);
        self.ask();
    }

    /// Asks by itself; silent, and not while another question is under way.
    pub(super) fn poll(self) {
        if !self.is_asking.get_value() {
            self.ask();
        }
    }

    fn ask(self) {
        self.is_asking.set_value(true);
        let question = self.questions.get_value().wrapping_add(1);
        self.questions.set_value(question);
        let edits = self.edits.get_value();
        let answer = self.fetch.with_value(|fetch| fetch(self.session.api()));
        spawn_local(async move {
            let answer = answer.await;
            // The page may have been left meanwhile, or something else been asked for.
            if self.questions.try_get_value() != Some(question) {
                return;
            }
            if self.edits.get_value() != edits {
                return self.ask();
            }
            self.is_asking.set_value(false);
            self.is_busy.set(false);
            match answer {
                Ok(value) => self.take(value),
                Err(error) => self.problem.set(Some(self.session.explain(&error))),
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

    /// What is known; tracked, as everything below.
    pub(super) fn get(self) -> Option<T> {
        self.value.get()
    }

    /// Looks at what is known.
    pub(super) fn with<O>(self, look: impl FnOnce(&T) -> O) -> Option<O> {
        self.value.with(|value| value.as_ref().map(look))
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
