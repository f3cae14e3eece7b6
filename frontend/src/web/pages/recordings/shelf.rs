use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_api::Recording;

use crate::listing::{Listing, Page};
use crate::web::api::ApiError;
use crate::web::session::Session;
use crate::words;

/// The list behind the page: what is loaded, what is being loaded, and what went wrong.
#[derive(Clone, Copy)]
pub(super) struct Shelf {
    session: Session,
    listing: RwSignal<Option<Listing>>,
    problem: RwSignal<Option<String>>,
    announcement: RwSignal<String>,
    /// A request that the person asked for is under way.
    is_busy: RwSignal<bool>,
    /// A request that nobody asked for is under way.
    is_polling: StoredValue<bool>,
    /// Counts what the person changed. An answer to a question asked before the last change is out of date: it
    /// would bring a deleted row back.
    edits: StoredValue<u32>,
}

impl Shelf {
    pub(super) fn new() -> Self {
        Self {
            session: Session::expect(),
            listing: RwSignal::new(None),
            problem: RwSignal::new(None),
            announcement: RwSignal::new(String::new()),
            is_busy: RwSignal::new(false),
            is_polling: StoredValue::new(false),
            edits: StoredValue::new(0),
        }
    }

    /// Loads the list, or takes over what is new.
    pub(super) fn load(self) {
        self.fetch(None, "List updated", |listing, page| match listing {
            Some(listing) => listing.refresh(page),
            None => *listing = Some(Listing::new(page)),
        });
    }

    /// Loads the page after the last row.
    pub(super) fn load_more(self) {
        let next = self
            .listing
            .with_untracked(|listing| Some(listing.as_ref()?.next()?.to_owned()));
        if let Some(next) = next {
            self.fetch(Some(next), "More recordings loaded", |listing, page| {
                if let Some(listing) = listing {
                    listing.append(page);
                }
            });
        }
    }

    fn fetch(
        self,
        address: Option<String>,
        done: &'static str,
        take: fn(&mut Option<Listing>, Page),
    ) {
        if self.is_busy.get_untracked() {
            return;
        }
        self.is_busy.set(true);
        self.announcement.set(String::new());
        let edits = self.edits.get_value();
        spawn_local(async move {
            let answer = self.session.api().recordings(address.as_deref()).await;
            if self.is_busy.try_set(false).is_some() {
                return;
            }
            match answer {
                Ok(page) if self.edits.get_value() == edits => {
                    self.problem.set(None);
                    self.listing.update(|listing| take(listing, page));
                    self.announcement.set(done.to_owned());
                }
                Ok(_) => self.load(),
                Err(error) => self.problem.set(Some(self.session.explain(&error))),
            }
        });
    }

    /// Asks for the rows that move by themselves. Silent: the next tick asks again.
    pub(super) fn poll(self) {
        if self.is_polling.get_value() || self.is_busy.get_untracked() {
            return;
        }
        self.is_polling.set_value(true);
        let edits = self.edits.get_value();
        spawn_local(async move {
            let outcome = self.fetch_moving(edits).await;
            // The page may have been left meanwhile.
            let is_left = self.is_polling.try_set_value(false).is_some();
            if let (Err(error), false) = (outcome, is_left) {
                self.problem.set(Some(self.session.explain(&error)));
            }
        });
    }

    async fn fetch_moving(self, edits: u32) -> Result<(), ApiError> {
        let api = self.session.api();
        let page = api.recordings(None).await?;
        let beyond = self
            .listing
            .try_with_untracked(|listing| {
                listing
                    .as_ref()
                    .map(|listing| listing.moving_after(page.rows.len()))
            })
            .flatten()
            .unwrap_or_default();
        let mut fresh = Vec::new();
        for id in beyond {
            match api.recording(&id).await {
                Ok(recording) => fresh.push(recording),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        if self.edits.try_get_value() != Some(edits) {
            return Ok(());
        }
        let changes = self.listing.try_maybe_update(|listing| {
            let Some(listing) = listing else {
                return (false, String::new());
            };
            let before = listing.clone();
            listing.refresh(page);
            for recording in &fresh {
                listing.update(recording);
            }
            // Rows that have not changed must not be drawn again.
            (*listing != before, changes(&before, listing))
        });
        if let Some(changes) = changes
            && !changes.is_empty()
        {
            self.announcement.set(changes);
        }
        if self.problem.with_untracked(Option::is_some) {
            self.problem.set(None);
        }
        Ok(())
    }

    /// Takes a deleted recording out of the list.
    pub(super) fn forget(self, id: &str) {
        self.edits.update_value(|edits| *edits += 1);
        self.listing.update(|listing| {
            if let Some(listing) = listing {
                listing.remove(id);
            }
        });
        self.announcement.set("Recording deleted".to_owned());
    }

    /// The sentence to show, if something went wrong; tracked, as everything below.
    pub(super) fn problem(self) -> Option<String> {
        self.problem.get()
    }

    pub(super) fn report(self) -> RwSignal<Option<String>> {
        self.problem
    }

    pub(super) fn announcement(self) -> String {
        self.announcement.get()
    }

    pub(super) fn is_busy(self) -> bool {
        self.is_busy.get()
    }

    /// Nothing to show yet, and nothing went wrong.
    pub(super) fn is_waiting(self) -> bool {
        self.listing.with(Option::is_none) && self.problem.with(Option::is_none)
    }

    pub(super) fn is_empty(self) -> bool {
        self.ask(|listing| listing.rows().is_empty() && listing.next().is_none())
    }

    pub(super) fn has_rows(self) -> bool {
        self.ask(|listing| !listing.rows().is_empty())
    }

    pub(super) fn has_more(self) -> bool {
        self.ask(|listing| listing.next().is_some())
    }

    pub(super) fn is_moving(self) -> bool {
        self.ask(Listing::is_moving)
    }

    fn ask(self, question: impl Fn(&Listing) -> bool) -> bool {
        self.listing
            .with(|listing| listing.as_ref().is_some_and(question))
    }

    pub(super) fn rows(self) -> Vec<Recording> {
        self.listing.with(|listing| {
            listing
                .as_ref()
                .map(|listing| listing.rows().to_vec())
                .unwrap_or_default()
        })
    }

    /// The row as it is now; `None` when it has gone.
    pub(super) fn row(self, id: &str) -> Option<Recording> {
        self.listing.with(|listing| {
            listing
                .as_ref()?
                .rows()
                .iter()
                .find(|row| row.id == id)
                .cloned()
        })
    }
}

/// What a screen reader is told after a poll: the statuses that have changed, and nothing about growing sizes.
fn changes(before: &Listing, after: &Listing) -> String {
    let sentences = after.rows().iter().filter_map(|row| {
        let old = before.rows().iter().find(|old| old.id == row.id)?;
        (old.status != row.status)
            .then(|| format!("{}: {}.", row.filename, words::status(row.status)))
    });
    sentences.collect::<Vec<_>>().join(" ")
}
