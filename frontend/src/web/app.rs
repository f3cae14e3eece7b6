//! The application: header, contexts and routes.

use leptos::prelude::*;
use leptos_router::components::{FlatRoutes, Route, Router};
use leptos_router::path;

use super::address;
use super::app_context::AppContext;
use super::components::Header;
use super::last_list::LastList;
use super::pages::{
    AdminPage, NotFoundPage, PasswordPage, PlayerPage, RecordPage, RecordingsPage, SignInPage,
    SignInsPage, TokensPage,
};
use super::recorder_store::RecorderStore;

#[component]
pub(super) fn App() -> impl IntoView {
    AppContext::provide();
    LastList::provide();
    // Outside of the pages, so that a recording continues during navigation.
    RecorderStore::provide();
    view! {
        <Router base=address::base().as_str().to_owned()>
            <a class="skip-link" href="#main" rel="external" on:click=skip>
                "Skip to the content"
            </a>
            <Header />
            <main id="main" tabindex="-1">
                <FlatRoutes fallback=NotFoundPage>
                    <Route path=path!("/") view=RecordPage />
                    <Route path=path!("/login") view=SignInPage />
                    <Route path=path!("/recordings") view=RecordingsPage />
                    <Route path=path!("/account/password") view=PasswordPage />
                    <Route path=path!("/account/tokens") view=TokensPage />
                    <Route path=path!("/account/sign-ins") view=SignInsPage />
                    <Route path=path!("/admin/:tab?") view=AdminPage />
                    <Route path=path!("/recordings/:id") view=PlayerPage />
                </FlatRoutes>
            </main>
        </Router>
    }
}

/// Moves the focus without changing the address, which the return path after sign-in is taken from.
fn skip(event: leptos::ev::MouseEvent) {
    event.prevent_default();
    super::dom::focus("main");
}
