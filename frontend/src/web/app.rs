//! The application: header, contexts and routes.

use leptos::prelude::*;
use leptos_router::components::{FlatRoutes, Route, Router};
use leptos_router::path;

use super::address;
use super::app_context::AppContext;
use super::components::Header;
use super::last_list::LastList;
use super::load::{self, LoadedPage};
use super::pages::{NotFoundPage, RecordPage, RecordingsPage, SignInPage};
use super::recorder_status::RecorderStatus;

#[component]
pub(super) fn App() -> impl IntoView {
    AppContext::provide();
    LastList::provide();
    // Outside of the pages, so that a recording continues during navigation.
    RecorderStatus::provide();
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
                    <Route path=path!("/account/password") view=|| view! { <LoadedPage load=load::password /> } />
                    <Route path=path!("/account/tokens") view=|| view! { <LoadedPage load=load::tokens /> } />
                    <Route path=path!("/account/sign-ins") view=|| view! { <LoadedPage load=load::sign_ins /> } />
                    <Route path=path!("/admin/:tab?") view=|| view! { <LoadedPage load=load::admin /> } />
                    <Route path=path!("/recordings/:id") view=|| view! { <LoadedPage load=load::player /> } />
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
