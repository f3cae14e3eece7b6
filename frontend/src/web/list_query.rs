//! Filters and page of a list, kept in the page's address so that Back, reload and links restore them.

use std::rc::Rc;

use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_location;
use leptos_router::params::ParamsMap;

use crate::query;
use crate::web::address::{use_app_navigate, use_path};
use crate::web::dom;

type Navigate = Rc<dyn Fn(&str, NavigateOptions)>;

/// Query parameter of the page.
const CURSOR: &str = "cursor";
/// Number of the page, from 1, for people. Absent on the first page.
const PAGE: &str = "page";
/// Tab storage of the previous pages: a line with an address and that of the page before it.
const PREVIOUS: &str = "previous-pages";
/// Longest list of previous pages.
const PREVIOUS_MAX: usize = 200;

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

    pub(super) fn get_untracked(self, name: &str) -> String {
        untrack(|| self.get(name))
    }

    /// Returns the cursor of the page; empty for the first page.
    pub(super) fn cursor(self) -> String {
        self.get(CURSOR)
    }

    /// Number of the page, from 1; `None` if it is not known.
    pub(super) fn page(self) -> Option<u64> {
        match self.cursor().is_empty() {
            true => Some(1),
            false => self.get(PAGE).parse().ok(),
        }
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
        self.set_all(&[(name, value)], false);
    }

    /// Sets filters and returns to the first page; with `replace` without an entry in the browser's history.
    pub(super) fn set_all(self, values: &[(&'static str, &str)], replace: bool) {
        let mut query = self.query.get_untracked();
        let mut is_changed = false;
        for (name, value) in values {
            let value = value.trim();
            if query.get(name).unwrap_or_default() == value {
                continue;
            }
            is_changed = true;
            query.remove(name);
            if !value.is_empty() {
                query.insert(*name, value.to_owned());
            }
        }
        if is_changed {
            query.remove(CURSOR);
            query.remove(PAGE);
            self.go(&query, replace);
        }
    }

    pub(super) fn clear(self) {
        self.go(&ParamsMap::new(), false);
    }

    /// Address of the first page with the current filters.
    pub(super) fn first(self) -> String {
        let mut query = self.query.get();
        query.remove(CURSOR);
        query.remove(PAGE);
        self.address(&query)
    }

    /// Address of the page before this one, if it was left for this one in this tab.
    pub(super) fn previous(self) -> Option<String> {
        let here = self.here_with_query();
        let pages = dom::tab_value(PREVIOUS)?;
        let mut pages = pages.lines().filter_map(|line| line.split_once(' '));
        let (_, previous) = pages.find(|(page, _)| *page == here)?;
        Some(previous.to_owned())
    }

    /// Remembers this page as the one before `next`.
    pub(super) fn leave_for(self, next: &str) {
        let here = untrack(|| self.here_with_query());
        let pages = dom::tab_value(PREVIOUS).unwrap_or_default();
        let newest = format!("{next} {here}");
        let others = pages.lines().filter(|line| *line != newest);
        let lines: Vec<_> = std::iter::once(newest.as_str())
            .chain(others)
            .take(PREVIOUS_MAX)
            .collect();
        dom::set_tab_value(PREVIOUS, Some(&lines.join("\n")));
    }

    /// Address of the page after the API path `next`.
    pub(super) fn after(self, next: &str) -> String {
        let mut query = self.query.get();
        query.remove(CURSOR);
        // Cursors consist of characters that need no escaping.
        if let Some(cursor) = query::parameter(next, CURSOR) {
            query.insert(CURSOR, cursor.to_owned());
        }
        let page = self.page();
        query.remove(PAGE);
        if let Some(page) = page {
            query.insert(PAGE, page.saturating_add(1).to_string());
        }
        self.address(&query)
    }

    fn go(self, query: &ParamsMap, replace: bool) {
        let address = self.address(query);
        let options = NavigateOptions {
            scroll: false,
            replace,
            ..NavigateOptions::default()
        };
        self.navigate
            .with_value(|navigate| navigate(&address, options));
    }

    fn address(self, query: &ParamsMap) -> String {
        self.path.get_value() + &query.to_query_string()
    }
}
