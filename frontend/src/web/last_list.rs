//! State of the list of recordings that was shown last: the way back from a player restores it.

use leptos::prelude::*;
use sortie_api::Recording;

use crate::list_page::Page;

/// The list as it was.
#[derive(Clone)]
struct Kept {
    /// Path and query.
    address: String,
    page: Page<Recording>,
    scroll_y: f64,
}

/// Context of lists and player.
#[derive(Clone, Copy)]
pub(super) struct LastList {
    kept: StoredValue<Option<Kept>>,
    /// The recording that was opened from it.
    opened: StoredValue<Option<String>>,
}

impl LastList {
    /// Provides the context.
    pub(super) fn provide() {
        provide_context(Self {
            kept: StoredValue::new(None),
            opened: StoredValue::new(None),
        });
    }

    /// The context.
    pub(super) fn expect() -> Self {
        expect_context()
    }

    /// Keeps what the list at `address` shows.
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

    /// Keeps how far the list is scrolled.
    pub(super) fn keep_scroll(self, scroll_y: f64) {
        self.kept.update_value(|kept| {
            if let Some(kept) = kept {
                kept.scroll_y = scroll_y;
            }
        });
    }

    /// Marks the recording that is opened.
    pub(super) fn open(self, id: &str) {
        self.opened.set_value(Some(id.to_owned()));
    }

    /// Takes a deleted recording out.
    pub(super) fn forget_row(self, id: &str) {
        self.kept.update_value(|kept| {
            if let Some(kept) = kept {
                kept.page.remove(id);
            }
        });
    }

    /// Lets the next list begin at its top.
    pub(super) fn clear(self) {
        self.kept.set_value(None);
        self.opened.set_value(None);
    }

    /// Path and query of the list that was shown last.
    pub(super) fn address(self) -> Option<String> {
        self.kept
            .with_value(|kept| kept.as_ref().map(|kept| kept.address.clone()))
    }

    /// Rows, scroll position and opened recording for the list at `address`, if a recording was opened from it.
    pub(super) fn restore(self, address: &str) -> Option<(Page<Recording>, f64, String)> {
        let opened = self.opened.try_update_value(Option::take).flatten()?;
        self.kept.with_value(|kept| {
            let kept = kept.as_ref().filter(|kept| kept.address == address)?;
            Some((kept.page.clone(), kept.scroll_y, opened))
        })
    }
}
