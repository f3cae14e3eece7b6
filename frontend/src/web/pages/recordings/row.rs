use leptos::prelude::*;
use leptos_router::components::A;
use sortie_api::{Recording, RecordingStatus};

use super::shelf::Shelf;
use crate::format;
use crate::web::api;
use crate::web::components::{Duration, Glyph, Icon, Moment, StatusBadge};
use crate::web::download;
use crate::web::session::Session;
use crate::words;

/// One recording. Follows the list by itself, so that a change neither moves the focus nor draws other rows.
#[component]
pub(super) fn RecordingRow(
    /// The list.
    shelf: Shelf,
    /// The recording as it was when its row appeared.
    first: Recording,
    /// Asks whether to delete.
    asked: RwSignal<Option<Recording>>,
) -> impl IntoView {
    let session = Session::expect();
    let id = StoredValue::new(first.id.clone());
    let last = StoredValue::new(first.clone());
    let row = Memo::new(move |_| {
        // A row that has gone keeps its last words until it is taken off the page.
        shelf
            .row(&id.get_value())
            .unwrap_or_else(|| last.get_value())
    });
    let status = Memo::new(move |_| row.with(|row| row.status));
    let failure = Memo::new(move |_| {
        row.with(|row| (row.status == RecordingStatus::Failed).then(|| words::failure(row)))
    });
    let duration_ms =
        Memo::new(move |_| row.with(|row| format::seconds_to_ms(row.duration_seconds)));
    let size_bytes = Memo::new(move |_| row.with(|row| row.size_bytes));

    let player = format!("/recordings/{}", first.id);
    let file = StoredValue::new(api::download_path(&first.id));
    let filename = StoredValue::new(first.filename);
    view! {
        <tr role="row">
            <td role="cell" class="cell-name">
                <A href=player attr:class="row-link">
                    {filename.get_value()}
                </A>
                <span class="quiet">
                    <Moment at=first.created_at />
                </span>
            </td>
            <td role="cell" class="cell-status">
                <StatusBadge recording=row.into() />
                <Show when=move || failure.get().is_some()>
                    <p class="cell-failure">{failure}</p>
                </Show>
            </td>
            <td role="cell" class="number cell-duration">
                <Duration duration_ms=duration_ms />
            </td>
            <td role="cell" class="number cell-size">
                {move || format::size(size_bytes.get())}
            </td>
            <td role="cell" class="number cell-actions">
                <Show when=move || status.get() == RecordingStatus::Ready>
                    <a
                        class="button button-quiet"
                        aria-label=format!("Download {}", filename.get_value())
                        href=file.get_value()
                        download=filename.get_value()
                        on:click=move |event| download::start(&event, session, id.get_value(), shelf.report())
                    >
                        <Icon glyph=Glyph::Download />
                        "Download"
                    </a>
                </Show>
                <button
                    type="button"
                    class="button button-quiet"
                    aria-label=format!("Delete {}", filename.get_value())
                    on:click=move |_| asked.set(Some(row.get_untracked()))
                >
                    <Icon glyph=Glyph::Trash />
                    "Delete"
                </button>
            </td>
        </tr>
    }
}
