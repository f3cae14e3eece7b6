use std::collections::BTreeSet;

use gloo_net::http::Method;
use gloo_timers::callback::Timeout;
use leptos::ev;
use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_api::{Event, Recording, RecordingStatus, RecordingUpdate};

use crate::listing::{self, Page};
use crate::web::api::recording_path;
use crate::web::components::Question;
use crate::web::dom;
use crate::web::loaded::Loaded;
use crate::web::memory::ListMemory;
use crate::web::news::follow;
use crate::web::place::Place;
use crate::web::poll::poll_while;
use crate::web::session::Session;
use crate::{deletion, query};

/// Rows of one page.
const PAGE_ROWS: u32 = 50;
/// How often rows that move by themselves are asked for while no events come.
const POLL_MS: u32 = 2_000;
/// How long the first question for the list waits for the event stream to open.
const STREAM_PATIENCE_MS: u32 = 1_000;
/// So many recordings that are on other pages are told apart; then they are forgotten.
const MOST_STRANGERS: usize = 1_000;

/// The list, which takes the focus when what had it is gone.
pub(in crate::web) const LIST: &str = "recordings-list";

/// Whose recordings a list has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum Scope {
    /// The person's own.
    Mine,
    /// Everybody's.
    All,
    /// Those of an appliance, which are everybody's.
    Appliance,
}

impl Scope {
    fn route(self) -> &'static str {
        match self {
            Self::Mine => "/api/recordings",
            Self::All | Self::Appliance => "/api/admin/recordings",
        }
    }

    pub(in crate::web) fn events(self) -> &'static str {
        match self {
            Self::Mine => "/api/events",
            Self::All | Self::Appliance => "/api/events?all=true",
        }
    }

    /// The filters that this list has.
    pub(super) fn filters(self) -> &'static [&'static str] {
        match self {
            Self::Mine => &["q", "status", "from", "to"],
            Self::All => &["q", "status", "user_id", "from", "to"],
            Self::Appliance => &[],
        }
    }
}

/// The list behind the page: what is shown, what is chosen, and what is asked.
#[derive(Clone, Copy)]
pub(in crate::web) struct Shelf {
    session: Session,
    pub(super) scope: Scope,
    pub(in crate::web) place: Place,
    pub(in crate::web) page: Loaded<Page<Recording>>,
    chosen: RwSignal<BTreeSet<String>>,
    announcement: RwSignal<String>,
    /// What the dialog asks.
    pub(in crate::web) asked: RwSignal<Option<Question>>,
    /// Automatic changes, for a screen reader.
    changes: RwSignal<String>,
    /// Whether the list may be asked for: the event stream is open, or has had time enough. What happens between the
    /// answer and the opening of the stream would be missed otherwise, or the list be asked for twice.
    is_due: RwSignal<bool>,
    /// Recordings on other pages that have been heard of, and what they were then.
    strangers: StoredValue<BTreeSet<(String, &'static str)>>,
}

impl Shelf {
    /// The list at the present address; loads it, and follows the address and the server from then on.
    pub(super) fn new(scope: Scope) -> Self {
        let shelf = Self::at_address(scope);
        let is_told = follow(scope.events(), move |event| shelf.hear(&event));
        poll_while(
            move || !is_told.get() && shelf.page.with(Page::is_moving).unwrap_or(false),
            POLL_MS,
            move || shelf.page.poll(),
        );
        shelf
    }

    /// The same, but somebody else tells it what the server says ([`hear`](Self::hear)).
    pub(in crate::web) fn at_address(scope: Scope) -> Self {
        let place = Place::here();
        let address = Memo::new(move |_| address(scope, place));
        let is_due = RwSignal::new(!dom::is_visible());
        let patience = Timeout::new(STREAM_PATIENCE_MS, move || {
            is_due.try_set(true);
        });
        let patience = StoredValue::new_local(Some(patience));
        on_cleanup(move || patience.set_value(None));
        let shelf = Self {
            session: Session::expect(),
            scope,
            place,
            page: Loaded::list_when(address, is_due.into()),
            chosen: RwSignal::new(BTreeSet::new()),
            announcement: RwSignal::new(String::new()),
            changes: RwSignal::new(String::new()),
            is_due,
            asked: RwSignal::new(None),
            strangers: StoredValue::new(BTreeSet::new()),
        };
        Effect::new(move |before: Option<String>| {
            address.track();
            shelf.chosen.set(BTreeSet::new());
            let cursor = place.cursor();
            // Whoever turned the page goes on reading at its top; whoever set a filter goes on with the filters.
            if before.is_some_and(|before| before != cursor) {
                dom::focus(LIST);
            }
            cursor
        });
        Effect::new(move |before: Option<Option<Page<Recording>>>| {
            let now = shelf.page.get();
            if let (Some(Some(before)), Some(now)) = (before, &now) {
                let changes = before.changes(now);
                if !changes.is_empty() {
                    shelf.changes.set(changes);
                }
            }
            now
        });
        Effect::new(move |was_busy: Option<bool>| {
            let is_busy = shelf.page.is_busy();
            if was_busy == Some(true) && !is_busy {
                shelf.announcement.set("List updated".to_owned());
            }
            is_busy
        });
        shelf.return_here();
        shelf
    }

    /// Keeps rows and scroll position for the way back from a player, and restores them on that way.
    fn return_here(self) {
        let memory = ListMemory::expect();
        let (place, page) = (self.place, self.page);
        if let Some((rows, scroll_y, opened)) = memory.restore(&untrack(|| place.here_with_query()))
        {
            page.restore(rows);
            // When the rows are drawn, and after the heading has taken the focus.
            request_animation_frame(move || {
                request_animation_frame(move || dom::return_to(scroll_y, &row_id(&opened)));
            });
        }
        Effect::new(move |_| {
            let address = place.here_with_query();
            if let Some(rows) = page.get()
                && place.is_here()
            {
                memory.keep(address, rows);
            }
        });
        let scrolled = window_event_listener(ev::scroll, move |_| {
            // The next page is scrolled to its top before this one is gone.
            if place.is_here() {
                memory.keep_scroll(dom::scroll_y());
            }
        });
        on_cleanup(move || scrolled.remove());
    }

    /// Takes in what the server says.
    pub(in crate::web) fn hear(self, event: &Event) {
        match event {
            Event::Hello if self.is_due.get_untracked() => self.page.poll(),
            Event::Hello => self.is_due.set(true),
            Event::Recording(recording) => {
                let mut before = None;
                self.page.amend(|page| {
                    before = page.row(&recording.id).map(|row| row.status);
                    page.update(recording)
                });
                match before {
                    // An answer that is still on its way may have an older status. An older size does not matter:
                    // the next event has a newer one.
                    Some(status) if status != recording.status => {
                        self.page.overtake();
                    }
                    Some(_) => {}
                    None => {
                        let name = crate::words::status_class(recording.status);
                        if self.is_news(recording.id.clone(), name) {
                            self.page.poll();
                        }
                    }
                }
            }
            Event::RecordingDeleted(deleted) => self.forget(&deleted.id),
            _ => {}
        }
    }

    /// Whether a recording that is not on this page may have come onto it: asked for once for each of its statuses,
    /// not every second while it grows.
    fn is_news(self, id: String, status: &'static str) -> bool {
        self.strangers
            .try_update_value(|strangers| {
                if strangers.len() >= MOST_STRANGERS {
                    strangers.clear();
                }
                strangers.insert((id, status))
            })
            .unwrap_or(false)
    }

    /// Takes a deleted recording out of the list.
    pub(super) fn forget(self, id: &str) {
        self.page.edit(|page| page.remove(id));
        self.chosen.try_update(|chosen| chosen.remove(id));
    }

    /// Asks whether to delete these.
    pub(super) fn ask_to_delete(self, recordings: &[Recording]) {
        let count = recordings.len();
        let done = move |deleted: usize| {
            self.announcement.set(deletion::outcome(deleted, count));
            // What had the focus is gone.
            dom::focus(LIST);
            // What follows moves up.
            self.page.poll();
        };
        let forget = move |id: String| self.forget(&id);
        self.asked
            .set(Some(Question::delete(recordings, forget, done)));
    }

    /// Keeps retention off a recording, or lets it have it again.
    pub(super) fn protect(self, id: String, protected: bool) {
        spawn_local(async move {
            let update = RecordingUpdate {
                protected: Some(protected),
                ..RecordingUpdate::default()
            };
            let api = self.session.api();
            let answer = api
                .ask::<Recording>(Method::PATCH, &recording_path(&id), &update)
                .await;
            match answer {
                Ok(fresh) => self.page.edit(|page| page.update(&fresh)),
                Err(error) => {
                    let _ = self
                        .page
                        .problem()
                        .try_set(Some(self.session.explain(&error)));
                }
            }
        });
    }

    /// Whether a row is chosen; tracked, as everything below.
    pub(super) fn is_chosen(self, id: &str) -> bool {
        self.chosen.with(|chosen| chosen.contains(id))
    }

    pub(super) fn choose(self, id: &str, is_chosen: bool) {
        self.chosen.update(|chosen| {
            if is_chosen {
                chosen.insert(id.to_owned());
            } else {
                chosen.remove(id);
            }
        });
    }

    pub(super) fn choose_all(self, is_chosen: bool) {
        let ids = self
            .page
            .rows()
            .into_iter()
            .filter(|_| is_chosen)
            .map(|row| row.id);
        self.chosen.set(ids.collect());
    }

    /// The chosen rows that are on the page.
    pub(super) fn chosen(self) -> Vec<Recording> {
        let mut rows = self.page.rows();
        self.chosen
            .with(|chosen| rows.retain(|row| chosen.contains(&row.id)));
        rows
    }

    /// The row as it is now; `None` when it has gone.
    pub(in crate::web) fn row(self, id: &str) -> Option<Recording> {
        self.page.with(|page| page.row(id).cloned()).flatten()
    }

    pub(in crate::web) fn is_empty(self) -> bool {
        // A page may be empty and still have a next one.
        self.page
            .with(|page| page.rows.is_empty() && page.next.is_none())
            .unwrap_or(false)
    }

    pub(in crate::web) fn has_rows(self) -> bool {
        self.page
            .with(|page| !page.rows.is_empty())
            .unwrap_or(false)
    }

    pub(super) fn is_filtered(self) -> bool {
        self.place.is_filtered(self.scope.filters())
    }

    pub(in crate::web) fn announcement(self) -> String {
        self.announcement.get()
    }

    /// Automatic changes, for a screen reader.
    pub(in crate::web) fn changes(self) -> Signal<String> {
        self.changes.into()
    }
}

/// ID of the link in the row of a recording.
pub(super) fn row_id(id: &str) -> String {
    format!("recording-{id}")
}

/// What is asked for at this place.
fn address(scope: Scope, place: Place) -> String {
    let (sort, order) = listing::order(&place.get("sort"));
    let limit = PAGE_ROWS.to_string();
    let mut parameters = vec![
        ("limit", limit),
        ("sort", sort.to_owned()),
        ("order", order.to_owned()),
        ("cursor", place.cursor()),
    ];
    for name in scope.filters() {
        let value = place.get(name);
        parameters.push((
            name,
            match *name {
                "from" => dom::start_of_day(&value, 0),
                // The last day counts.
                "to" => dom::start_of_day(&value, 1),
                _ => value,
            },
        ));
    }
    let parameters: Vec<_> = parameters
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    query::address(scope.route(), &parameters)
}

/// Whether somebody has to wait for it.
pub(super) fn is_in_progress(status: RecordingStatus) -> bool {
    matches!(
        status,
        RecordingStatus::Uploading | RecordingStatus::Processing
    )
}
