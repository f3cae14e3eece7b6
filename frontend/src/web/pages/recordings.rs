//! Lists of recordings: the user's own, and all recordings in the Admin Panel.

mod keys;
mod list;
mod poster;
mod row;
mod selection;
mod store;
mod toolbar;
mod undo;

use leptos::either::Either;
use leptos::prelude::*;

pub(super) use self::list::RecordingList;
pub(super) use self::store::{RecordingsStore, Scope};
use super::NotFoundPage;
use super::admin::storage::OwnUsage;
use crate::web::address::use_app_navigate;
use crate::web::app_context::AppContext;
use crate::web::components::{Glyph, Heading, Icon, RefreshButton, RequireSignIn};

/// List of the user's own recordings.
#[component]
pub(in crate::web) fn RecordingsPage() -> impl IntoView {
    let app = AppContext::expect();
    // A memo, because an equal response must not rebuild the page.
    let is_off = Memo::new(move |_| app.recording_enabled() == Some(false));
    move || {
        if is_off.get() {
            Either::Left(view! { <NotFoundPage /> })
        } else {
            Either::Right(view! {
                <RequireSignIn>
                    <MyRecordings />
                </RequireSignIn>
            })
        }
    }
}

#[component]
fn MyRecordings() -> impl IntoView {
    let store = RecordingsStore::new(Scope::Mine);
    let navigate = StoredValue::new_local(use_app_navigate());
    let actions = move || {
        view! {
            <RefreshButton state=store.page.fetch_state() />
            <button
                type="button"
                class="button"
                on:click=move |_| navigate.with_value(|navigate| navigate("/", Default::default()))
            >
                <Icon glyph=Glyph::Close />
                "Close"
            </button>
        }
    };
    view! {
        <section class="page page-library" aria-labelledby="page-heading">
            <RecordingList
                store=store
                named_by="page-heading"
                heading=ViewFn::from(|| view! { <Heading title="My Recordings" /> })
                actions=ViewFn::from(actions)
            />
            <OwnUsage />
        </section>
    }
}

/// List of all recordings, for administrators.
#[component]
pub(super) fn AllRecordings() -> impl IntoView {
    let store = RecordingsStore::new(Scope::All);
    view! {
        <RecordingList
            store=store
            named_by="panel-heading"
            heading=ViewFn::from(|| view! { <h2 id="panel-heading">"All Recordings"</h2> })
            actions=ViewFn::from(move || view! { <RefreshButton state=store.page.fetch_state() /> })
        />
    }
}
