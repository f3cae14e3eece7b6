//! Snapshot of the last list of recordings, which Back from the player restores.

use leptos::prelude::*;
use sortie_api::Recording;

use crate::list_page::Page;

#[derive(Clone)]
struct Snapshot {
    address: String,
    page: Page<Recording>,
    scroll_y: f64,
}

/// Context of lists and player.
#[derive(Clone, Copy)]
pub(super) struct LastList {
    snapshot: StoredValue<Option<Snapshot>>,
    /// ID of the recording that was opened from the list.
    opened: StoredValue<Option<String>>,
}

impl LastList {
    pub(super) fn provide() {
        provide_context(Self {
            snapshot: StoredValue::new(None),
            opened: StoredValue::new(None),
        });
    }

    pub(super) fn expect() -> Self {
        expect_context()
    }

    /// Saves the rows of the list at `address`.
    pub(super) fn save(self, address: String, page: Page<Recording>) {
        self.snapshot.update_value(|snapshot| {
            let scroll_y = snapshot
                .as_ref()
                .filter(|snapshot| snapshot.address == address)
                .map_or(0.0, |snapshot| snapshot.scroll_y);
            *snapshot = Some(Snapshot {
                address,
                page,
                scroll_y,
            });
        });
    }

    pub(super) fn save_scroll(self, scroll_y: f64) {
        self.snapshot.update_value(|snapshot| {
            if let Some(snapshot) = snapshot {
                snapshot.scroll_y = scroll_y;
            }
        });
    }

    /// Saves the ID of the opened recording.
    pub(super) fn mark_opened(self, id: &str) {
        self.opened.set_value(Some(id.to_owned()));
    }

    /// Removes a deleted recording.
    pub(super) fn remove_row(self, id: &str) {
        self.snapshot.update_value(|snapshot| {
            if let Some(snapshot) = snapshot {
                snapshot.page.remove(id);
            }
        });
    }

    pub(super) fn clear(self) {
        self.snapshot.set_value(None);
        self.opened.set_value(None);
    }

    /// Rows before and after a recording on the last page of the list.
    pub(super) fn neighbours(self, id: &str) -> (Option<Recording>, Option<Recording>) {
        self.snapshot.with_value(|snapshot| {
            let rows = snapshot
                .as_ref()
                .map_or(&[][..], |snapshot| &snapshot.page.rows);
            let Some(index) = rows.iter().position(|row| row.id == id) else {
                return (None, None);
            };
            let before = index.checked_sub(1).and_then(|before| rows.get(before));
            (before.cloned(), rows.get(index + 1).cloned())
        })
    }

    /// Whether the last list contains a recording.
    pub(super) fn has_row(self, id: &str) -> bool {
        self.snapshot.with_value(|snapshot| {
            snapshot
                .as_ref()
                .is_some_and(|snapshot| snapshot.page.row(id).is_some())
        })
    }

    /// User name of the owner of a recording in the last list.
    pub(super) fn username(self, id: &str) -> Option<String> {
        self.snapshot
            .with_value(|snapshot| snapshot.as_ref()?.page.row(id)?.username.clone())
    }

    /// Path and query of the last list.
    pub(super) fn address(self) -> Option<String> {
        self.snapshot
            .with_value(|snapshot| snapshot.as_ref().map(|snapshot| snapshot.address.clone()))
    }

    /// Rows, scroll position and opened recording of the list at `address`, if a recording was opened from it.
    pub(super) fn restore(self, address: &str) -> Option<(Page<Recording>, f64, String)> {
        let opened = self.opened.try_update_value(Option::take).flatten()?;
        self.snapshot.with_value(|snapshot| {
            let snapshot = snapshot
                .as_ref()
                .filter(|snapshot| snapshot.address == address)?;
            Some((snapshot.page.clone(), snapshot.scroll_y, opened))
        })
    }
}
