//! Lists of recordings: the user's own, and all recordings in the Admin Panel.

mod filters;
mod list;
mod row;
mod store;

use leptos::either::Either;
use leptos::prelude::*;

use self::list::RecordingList;
pub(super) use self::row::RecordingRow;
pub(super) use self::store::{LIST, RecordingsStore, Scope};
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
    let navigate = use_app_navigate();
    view! {
        <section class="page" aria-labelledby="page-heading">
            <div class="page-head">
                <Heading title="My Recordings" />
                <div class="page-actions">
                    <RefreshButton state=store.page.fetch_state() />
                    <button
                        type="button"
                        class="button"
                        on:click=move |_| navigate("/", Default::default())
                    >
                        <Icon glyph=Glyph::Close />
                        "Close"
                    </button>
                </div>
            </div>
            <RecordingList store=store named_by="page-heading" />
            <OwnUsage />
        </section>
    }
}

/// List of all recordings, for administrators.
#[component]
pub(super) fn AllRecordings() -> impl IntoView {
    let store = RecordingsStore::new(Scope::All);
    view! {
        <div class="page-head">
            <h2 id="panel-heading">"All Recordings"</h2>
            <div class="page-actions">
                <RefreshButton state=store.page.fetch_state() />
            </div>
        </div>
        <RecordingList store=store named_by="panel-heading" />
    }
}
