//! Where somebody is in a list: its filters and its page are in the address, so that Back, a reload and a link lead
//! there again.

use std::rc::Rc;

use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_location;
use leptos_router::params::ParamsMap;

use crate::query;
use crate::web::address::{use_go, use_path};

type Navigate = Rc<dyn Fn(&str, NavigateOptions)>;

/// The page of the list that is shown.
const CURSOR: &str = "cursor";

/// The place in the list of the page being built.
#[derive(Clone, Copy)]
pub(super) struct ListQuery {
    path: StoredValue<String>,
    pathname: Memo<String>,
    query: Memo<ParamsMap>,
    navigate: StoredValue<Navigate, LocalStorage>,
}

impl ListQuery {
    pub(super) fn here() -> Self {
        let location = use_location();
        let pathname = use_path();
        Self {
            path: StoredValue::new(pathname.get_untracked()),
            pathname,
            query: location.query,
            navigate: StoredValue::new_local(Rc::new(use_go())),
        }
    }

    /// Path and query; tracked.
    pub(super) fn here_with_query(self) -> String {
        self.address(&self.query.get())
    }

    /// Whether the list is still shown, and no other page is about to be.
    pub(super) fn is_here(self) -> bool {
        let path = self.path.get_value();
        self.pathname.with_untracked(|pathname| *pathname == path)
    }

    /// The value of a filter, empty where it does not restrict; tracked, as everything here that only looks.
    pub(super) fn get(self, name: &str) -> String {
        self.query.with(|query| query.get(name)).unwrap_or_default()
    }

    /// Where the page begins; empty for the first one.
    pub(super) fn cursor(self) -> String {
        self.get(CURSOR)
    }

    /// Whether one of these filters restricts.
    pub(super) fn is_filtered(self, names: &[&str]) -> bool {
        names.iter().any(|name| !self.get(name).is_empty())
    }

    /// Whether anything restricts, or begins later.
    pub(super) fn is_restricted(self) -> bool {
        self.query.with(|query| query.into_iter().next().is_some())
    }

    /// Changes a filter, and begins at the first page.
    pub(super) fn set(self, name: &'static str, value: &str) {
        let value = value.trim();
        let mut query = self.query.get_untracked();
        if query.get(name).unwrap_or_default() == value {
            return;
        }
        query.remove(CURSOR);
        query.remove(name);
        if !value.is_empty() {
            query.insert(name, value.to_owned());
        }
        self.go(&query);
    }

    /// Takes all filters off.
    pub(super) fn clear(self) {
        self.go(&ParamsMap::new());
    }

    /// The address of the first page with these filters.
    pub(super) fn first(self) -> String {
        let mut query = self.query.get();
        query.remove(CURSOR);
        self.address(&query)
    }

    /// The address of the page that the API's address `next` names.
    pub(super) fn after(self, next: &str) -> String {
        let mut query = self.query.get();
        query.remove(CURSOR);
        // Our cursors are of characters that need no escaping.
        if let Some(cursor) = query::parameter(next, CURSOR) {
            query.insert(CURSOR, cursor.to_owned());
        }
        self.address(&query)
    }

    fn go(self, query: &ParamsMap) {
        let address = self.address(query);
        let options = NavigateOptions {
            scroll: false,
            ..NavigateOptions::default()
        };
        self.navigate
            .with_value(|navigate| navigate(&address, options));
    }

    fn address(self, query: &ParamsMap) -> String {
        self.path.get_value() + &query.to_query_string()
    }
}
