//! Addresses, links and navigation below the server's path prefix.
//!
//! All other modules write paths from the root of the server; the prefix is added and stripped here.

use std::cell::OnceCell;

use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::{use_location, use_navigate};

use crate::base_path::BasePath;

thread_local! {
    static BASE: OnceCell<BasePath> = const { OnceCell::new() };
}

/// Prefix of the document's `<base>`, which the server writes.
pub(super) fn base() -> BasePath {
    BASE.with(|base| base.get_or_init(read_base).clone())
}

fn read_base() -> BasePath {
    let address = document().base_uri().ok().flatten();
    let address = address.and_then(|address| web_sys::Url::new(&address).ok());
    BasePath::of_base(
        &address
            .map(|address| address.pathname())
            .unwrap_or_default(),
    )
}

/// Converts a path of the server to the browser's address.
pub(super) fn url(path: &str) -> String {
    base().url(path)
}

/// Redirects a page outside of the prefix, for example one opened without the proxy, to the same page below it. Returns
/// whether it did; the caller then renders nothing.
pub(super) fn enter() -> bool {
    let location = window().location();
    let path = location.pathname().unwrap_or_default();
    if base().strip(&path).is_some() {
        return false;
    }
    let query = location.search().unwrap_or_default();
    location.replace(&(url(&path) + &query)).is_ok()
}

/// Path of the page, from the root of the server.
pub(super) fn use_path() -> Memo<String> {
    let pathname = use_location().pathname;
    let base = base();
    Memo::new(move |_| pathname.with(|path| base.strip(path).unwrap_or(path).to_owned()))
}

/// Returns a function that navigates to a path of the server.
pub(super) fn use_app_navigate() -> impl Fn(&str, NavigateOptions) + Clone + 'static {
    let navigate = use_navigate();
    move |path, options| {
        let options = NavigateOptions {
            resolve: false,
            ..options
        };
        navigate(&url(path), options);
    }
}

/// Link to a page. It is the current page on that page and below it.
///
/// Replaces the router's own link, which resolves the start page below `/record/` to `/record`: proxies need not
/// forward that path.
#[component]
pub(in crate::web) fn Link(
    /// Path and query, from the root of the server.
    #[prop(into)]
    to: Signal<String>,
    children: Children,
) -> impl IntoView {
    let path = use_path();
    let is_current = move || {
        to.with(|to| {
            path.with(|path| {
                let below = path.strip_prefix(to.as_str());
                below.is_some_and(|below| below.is_empty() || (to != "/" && below.starts_with('/')))
            })
        })
    };
    view! {
        <a href=move || to.with(|to| url(to)) aria-current=move || is_current().then_some("page")>
            {children()}
        </a>
    }
}
