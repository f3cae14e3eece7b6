use leptos::ev;
use leptos::prelude::*;

use super::store::{RecordingsStore, row_id};
use crate::library::key_map::{self, Action};
use crate::web::dom;
use crate::web::pages::player::shortcuts::{focus, has_modifier};

/// Handles the keys of a list until the component is disposed.
pub(super) fn listen(store: RecordingsStore, help: RwSignal<bool>) {
    let listener = window_event_listener(ev::keydown, move |event| {
        if event.default_prevented() || has_modifier(&event) {
            return;
        }
        let Some(action) = key_map::action(&event.key(), focus(&event)) else {
            return;
        };
        let rows = store.page.get_untracked();
        let rows = rows.map(|page| page.rows).unwrap_or_default();
        let focused = dom::focused_row();
        let place = rows
            .iter()
            .position(|row| Some(&row.id) == focused.as_ref());
        let row = place.and_then(|place| rows.get(place));
        event.prevent_default();
        match action {
            Action::Search => dom::focus("filter-q"),
            Action::Help => help.set(true),
            Action::Next | Action::Previous => {
                let target = match (place, action) {
                    (None, _) => 0,
                    (Some(place), Action::Next) => place + 1,
                    (Some(place), _) => place.saturating_sub(1),
                };
                if let Some(row) = rows.get(target) {
                    dom::focus(&row_id(&row.id));
                }
            }
            Action::Select => {
                if let Some(row) = row {
                    let is_selected = untrack(|| store.is_selected(&row.id));
                    store.select(&row.id, !is_selected, false);
                }
            }
            Action::Rename => {
                if let Some(row) = row {
                    store.renaming.set(Some(row.id.clone()));
                }
            }
            Action::Delete => {
                if untrack(|| store.has_selection()) {
                    store.ask_to_delete_selected();
                } else if let Some(row) = row {
                    store.ask_to_delete(std::slice::from_ref(row));
                }
            }
        }
    });
    on_cleanup(move || listener.remove());
}
