//! Filters and page of a list, kept in the page's address so that Back, reload and links restore them.

use std::rc::Rc;

use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_location;
use leptos_router::params::ParamsMap;

use crate::query;
use crate::web::address::{use_app_navigate, use_path};

type Navigate = Rc<dyn Fn(&str, NavigateOptions)>;

/// Query parameter of the page.
const CURSOR: &str = "cursor";

/// Query of the list on the current page. Getters are tracked.
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
            navigate: StoredValue::new_local(Rc::new(use_app_navigate())),
        }
    }

    pub(super) fn here_with_query(self) -> String {
        self.address(&self.query.get())
    }

    /// Whether the current path is still that of the list.
    pub(super) fn is_here(self) -> bool {
        let path = self.path.get_value();
        self.pathname.with_untracked(|pathname| *pathname == path)
    }

    /// Returns the value of a filter; empty if it is not set.
    pub(super) fn get(self, name: &str) -> String {
        self.query.with(|query| query.get(name)).unwrap_or_default()
    }

    /// Returns the cursor of the page; empty for the first page.
    pub(super) fn cursor(self) -> String {
        self.get(CURSOR)
    }

    /// Whether any of these filters is set.
    pub(super) fn is_filtered(self, names: &[&str]) -> bool {
        names.iter().any(|name| !self.get(name).is_empty())
    }

    /// Whether any filter or a later page is set.
    pub(super) fn is_restricted(self) -> bool {
        self.query.with(|query| query.into_iter().next().is_some())
    }

    /// Sets a filter and returns to the first page.
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

    pub(super) fn clear(self) {
        self.go(&ParamsMap::new());
    }

    /// Address of the first page with the current filters.
    pub(super) fn first(self) -> String {
        let mut query = self.query.get();
        query.remove(CURSOR);
        self.address(&query)
    }

    /// Address of the page after the API path `next`.
    pub(super) fn after(self, next: &str) -> String {
        let mut query = self.query.get();
        query.remove(CURSOR);
        // Cursors consist of characters that need no escaping.
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
