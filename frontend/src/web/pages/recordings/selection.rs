use leptos::prelude::*;

use super::store::RecordingsStore;
use crate::format;
use crate::parts;
use crate::web::components::{Glyph, Icon};

/// Actions on the selected rows, at the bottom of the window.
#[component]
pub(super) fn SelectionBar(store: RecordingsStore) -> impl IntoView {
    let selected = Memo::new(move |_| {
        let rows = store.selected();
        (rows.len(), rows.iter().map(parts::size_bytes).sum::<u64>())
    });
    let has_any = Memo::new(move |_| selected.get().0 > 0);
    let is_all_matching = Memo::new(move |_| store.is_all_matching());
    let count = Memo::new(move |_| match (is_all_matching.get(), store.total()) {
        (true, Some((total, true))) => format!("{} selected", format::count(total)),
        (true, Some((total, false))) => format!("First {} selected", format::count(total)),
        _ => match selected.get().0 {
            0 => String::new(),
            count => format!("{count} selected"),
        },
    });
    // Offered once the page is selected and the list is longer.
    let offer = Memo::new(move |_| {
        let (total, is_exact) = store.total()?;
        let (count, _) = selected.get();
        let is_page = count > 0 && count == store.page.rows().len();
        if !is_page || is_all_matching.get() || total <= count as u64 {
            return None;
        }
        let total = format::count(total);
        Some(match is_exact {
            true => format!("Select all {total} matching"),
            false => format!("Select the first {total} matching"),
        })
    });
    view! {
        <div class="selection" role="region" aria-label="Selection" hidden=move || !has_any.get()>
            <p class="selection-count" role="status">
                {count}
            </p>
            <span class="quiet digits" hidden=move || is_all_matching.get()>
                {move || format::size(selected.get().1)}
            </span>
            {move || {
                offer
                    .get()
                    .map(|text| {
                        view! {
                            <button
                                type="button"
                                class="button button-quiet"
                                on:click=move |_| store.select_all_matching()
                            >
                                {text}
                            </button>
                        }
                    })
            }}
            <div class="selection-actions">
                <span hidden=move || is_all_matching.get() || !store.is_trash()>
                    <button
                        type="button"
                        class="button"
                        on:click=move |_| store.restore(store.selected().into_iter().map(|row| row.id).collect())
                    >
                        "Restore"
                    </button>
                </span>
                <span hidden=move || is_all_matching.get() || store.is_trash()>
                    <button
                        type="button"
                        class="button"
                        aria-label="Download selected"
                        on:click=move |_| store.download_selected()
                    >
                        <Icon glyph=Glyph::Download />
                        <span class="action-word">"Download"</span>
                    </button>
                    <button
                        type="button"
                        class="button"
                        aria-label="Protect selected"
                        title="Protected from automatic deletion"
                        on:click=move |_| store.protect_selected()
                    >
                        <Icon glyph=Glyph::Lock />
                        <span class="action-word">"Protect"</span>
                    </button>
                </span>
                <button
                    type="button"
                    class="button"
                    aria-label="Delete selected"
                    on:click=move |_| store.ask_to_delete_selected()
                >
                    <Icon glyph=Glyph::Trash />
                    <span class="action-word">"Delete"</span>
                </button>
                <button
                    type="button"
                    class="button button-quiet"
                    aria-label="Clear the selection"
                    title="Clear the selection"
                    on:click=move |_| store.clear_selection()
                >
                    <Icon glyph=Glyph::Close />
                </button>
            </div>
        </div>
    }
}
