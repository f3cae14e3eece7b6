//! The person's own recordings.

mod row;
mod shelf;

use leptos::either::Either;
use leptos::prelude::*;
use leptos_router::hooks::use_navigate;

use self::row::RecordingRow;
use self::shelf::Shelf;
use super::NotFoundPage;
use crate::web::components::{ConfirmDelete, ErrorNotice, Gate, Glyph, Heading, Icon, Loading};
use crate::web::dom;
use crate::web::poll::poll_while;
use crate::web::session::Session;

/// How often rows that move by themselves are asked for.
const POLL_MS: u32 = 2_000;

/// The list of the person's own recordings.
#[component]
pub(in crate::web) fn RecordingsPage() -> impl IntoView {
    let session = Session::expect();
    // A memo, so that the page stays when the same answer comes again.
    let is_off = Memo::new(move |_| session.recording_enabled() == Some(false));
    move || {
        if is_off.get() {
            Either::Left(view! { <NotFoundPage /> })
        } else {
            Either::Right(view! {
                <Gate>
                    <Recordings />
                </Gate>
            })
        }
    }
}

#[component]
fn Recordings() -> impl IntoView {
    let shelf = Shelf::new();
    let navigate = use_navigate();
    let asked = RwSignal::new(None);
    shelf.load();
    poll_while(move || shelf.is_moving(), POLL_MS, move || shelf.poll());

    let on_deleted = move |id: String| {
        shelf.forget(&id);
        // The row that had the focus is gone.
        dom::focus("recordings-list");
    };

    view! {
        <section class="page" aria-labelledby="page-heading">
            <div class="page-head">
                <Heading title="My Recordings" />
                <div class="page-actions">
                    <button
                        type="button"
                        class="button"
                        aria-busy=move || shelf.is_busy().to_string()
                        on:click=move |_| shelf.load()
                    >
                        <span class:spinning=move || shelf.is_busy()>
                            <Icon glyph=Glyph::Refresh />
                        </span>
                        "Refresh"
                    </button>
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
            <p class="visually-hidden" role="status">
                {move || shelf.announcement()}
            </p>
            <Show when=move || shelf.problem().is_some()>
                <ErrorNotice
                    sentence=Signal::derive(move || shelf.problem().unwrap_or_default())
                    on_action=move |()| shelf.load()
                />
            </Show>
            <div id="recordings-list" tabindex="-1">
                <Show when=move || shelf.is_waiting()>
                    <Loading label="Loading your recordings" bars=5 />
                </Show>
                <Show when=move || shelf.is_empty()>
                    <div class="empty card">
                        <Icon glyph=Glyph::Film />
                        <h2>"No recordings"</h2>
                        <p class="quiet">"What you record appears here, even while it is still running."</p>
                    </div>
                </Show>
                <Show when=move || shelf.has_rows()>
                    <Table shelf=shelf asked=asked />
                </Show>
            </div>
            <Show when=move || shelf.has_more()>
                <button
                    type="button"
                    class="button button-wide load-more"
                    aria-disabled=move || shelf.is_busy().to_string()
                    on:click=move |_| shelf.load_more()
                >
                    "Load more"
                </button>
            </Show>
            <ConfirmDelete asked=asked on_deleted=on_deleted />
        </section>
    }
}

/// The rows. The roles are spelled out because narrow screens show the table as cards, and browsers forget that a
/// table is one when its `display` changes.
#[component]
fn Table(shelf: Shelf, asked: RwSignal<Option<sortie_api::Recording>>) -> impl IntoView {
    view! {
        <table class="table" role="table" aria-labelledby="page-heading">
            <thead role="rowgroup">
                <tr role="row">
                    <th role="columnheader" scope="col">
                        "Name"
                    </th>
                    <th role="columnheader" scope="col">
                        "Status"
                    </th>
                    <th role="columnheader" scope="col" class="number">
                        "Duration"
                    </th>
                    <th role="columnheader" scope="col" class="number">
                        "Size"
                    </th>
                    <th role="columnheader" scope="col" class="number">
                        <span class="visually-hidden">"Actions"</span>
                    </th>
                </tr>
            </thead>
            <tbody role="rowgroup">
                <For each=move || shelf.rows() key=|row| row.id.clone() let:row>
                    <RecordingRow shelf=shelf first=row asked=asked />
                </For>
            </tbody>
        </table>
    }
}
