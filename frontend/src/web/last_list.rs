//! Snapshot of the last list of recordings, which Back from the player restores.

use leptos::prelude::*;
use sortie_api::Recording;

use crate::list_page::Page;

#[derive(Clone)]
struct Kept {
    address: String,
    page: Page<Recording>,
    scroll_y: f64,
}

/// Context of lists and player.
#[derive(Clone, Copy)]
pub(super) struct LastList {
    kept: StoredValue<Option<Kept>>,
    /// ID of the recording that was opened from the list.
    opened: StoredValue<Option<String>>,
}

impl LastList {
    pub(super) fn provide() {
        provide_context(Self {
            kept: StoredValue::new(None),
            opened: StoredValue::new(None),
        });
    }

    pub(super) fn expect() -> Self {
        expect_context()
    }

    /// Saves the rows of the list at `address`.
    pub(super) fn keep(self, address: String, page: Page<Recording>) {
        self.kept.update_value(|kept| {
            let scroll_y = kept
                .as_ref()
                .filter(|kept| kept.address == address)
                .map_or(0.0, |kept| kept.scroll_y);
            *kept = Some(Kept {
                address,
                page,
                scroll_y,
            });
        });
    }

    pub(super) fn keep_scroll(self, scroll_y: f64) {
        self.kept.update_value(|kept| {
            if let Some(kept) = kept {
                kept.scroll_y = scroll_y;
            }
        });
    }

    /// Saves the ID of the opened recording.
    pub(super) fn open(self, id: &str) {
        self.opened.set_value(Some(id.to_owned()));
    }

    /// Removes a deleted recording.
    pub(super) fn forget_row(self, id: &str) {
        self.kept.update_value(|kept| {
            if let Some(kept) = kept {
                kept.page.remove(id);
            }
        });
    }

    pub(super) fn clear(self) {
        self.kept.set_value(None);
        self.opened.set_value(None);
    }

    /// Path and query of the last list.
    pub(super) fn address(self) -> Option<String> {
        self.kept
            .with_value(|kept| kept.as_ref().map(|kept| kept.address.clone()))
    }

    /// Rows, scroll position and opened recording of the list at `address`, if a recording was opened from it.
    pub(super) fn restore(self, address: &str) -> Option<(Page<Recording>, f64, String)> {
        let opened = self.opened.try_update_value(Option::take).flatten()?;
        self.kept.with_value(|kept| {
            let kept = kept.as_ref().filter(|kept| kept.address == address)?;
            Some((kept.page.clone(), kept.scroll_y, opened))
        })
    }
}
