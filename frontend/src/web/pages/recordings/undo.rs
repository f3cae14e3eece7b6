use leptos::prelude::*;

use super::store::RecordingsStore;
use crate::deletion_texts;
use crate::web::components::{Glyph, Icon};

/// Message that recordings were moved to the trash, with a button to restore them. It stays until it is closed or the page
/// is left, because a message that vanishes is too fast for some users.
#[component]
pub(super) fn UndoBar(store: RecordingsStore) -> impl IntoView {
    let message = Memo::new(move |_| {
        store.undo.with(|ids| match ids.len() {
            0 => String::new(),
            count => deletion_texts::moved_to_trash(count),
        })
    });
    view! {
        <div class="selection undo" hidden=move || message.with(String::is_empty)>
            <p class="selection-count" role="status">
                {message}
            </p>
            <div class="selection-actions">
                <button type="button" class="button" on:click=move |_| store.restore(store.undo.get_untracked())>
                    "Undo"
                </button>
                <button
                    type="button"
                    class="button button-quiet"
                    aria-label="Close this message"
                    title="Close"
                    on:click=move |_| store.undo.set(Vec::new())
                >
                    <Icon glyph=Glyph::Close />
                </button>
            </div>
        </div>
    }
}
