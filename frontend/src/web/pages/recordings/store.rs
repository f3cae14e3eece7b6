use std::collections::BTreeSet;

use gloo_net::http::Method;
use gloo_timers::callback::Timeout;
use leptos::ev;
use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_api::{Event, Recording, RecordingStatus, RecordingUpdate};

use crate::list_page::{self, Page};
use crate::web::api::recording_path;
use crate::web::app_context::AppContext;
use crate::web::components::Confirmation;
use crate::web::dom;
use crate::web::event_stream::subscribe;
use crate::web::last_list::LastList;
use crate::web::list_query::ListQuery;
use crate::web::poll::poll_while;
use crate::web::server_data::ServerData;
use crate::{deletion_texts, query};

/// Rows of one page.
const PAGE_ROWS: u32 = 50;
/// How often rows that move by themselves are asked for while no events come.
const POLL_MS: u32 = 2_000;
/// How long the first question for the list waits for the event stream to open.
const STREAM_PATIENCE_MS: u32 = 1_000;
/// So many recordings that are on other pages are told apart; then they are forgotten.
const OTHER_PAGES_MAX: usize = 1_000;

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
pub(in crate::web) struct RecordingsStore {
    app: AppContext,
    pub(super) scope: Scope,
    pub(in crate::web) query: ListQuery,
    pub(in crate::web) page: ServerData<Page<Recording>>,
    chosen: RwSignal<BTreeSet<String>>,
    announcement: RwSignal<String>,
    /// What the dialog asks.
    pub(in crate::web) asked: RwSignal<Option<Confirmation>>,
    /// Automatic changes, for a screen reader.
    changes: RwSignal<String>,
    /// Whether the list may be asked for: the event stream is open, or has had time enough. What happens between the
    /// answer and the opening of the stream would be missed otherwise, or the list be asked for twice.
    is_due: RwSignal<bool>,
    /// Recordings on other pages that have been heard of, and what they were then.
    other_pages: StoredValue<BTreeSet<(String, &'static str)>>,
}

impl RecordingsStore {
    /// The list at the present address; loads it, and follows the address and the server from then on.
    pub(super) fn new(scope: Scope) -> Self {
        let store = Self::at_address(scope);
        let has_events = subscribe(scope.events(), move |event| store.apply_event(&event));
        poll_while(
            move || !has_events.get() && store.page.with(Page::is_moving).unwrap_or(false),
            POLL_MS,
            move || store.page.poll(),
        );
        store
    }

    /// The same, but somebody else tells it what the server says ([`apply_event`](Self::apply_event)).
    pub(in crate::web) fn at_address(scope: Scope) -> Self {
        let query = ListQuery::here();
        let address = Memo::new(move |_| address(scope, query));
        let is_due = RwSignal::new(!dom::is_visible());
        let patience = Timeout::new(STREAM_PATIENCE_MS, move || {
            is_due.try_set(true);
        });
        let patience = StoredValue::new_local(Some(patience));
        on_cleanup(move || patience.set_value(None));
        let store = Self {
            app: AppContext::expect(),
            scope,
            query,
            page: ServerData::list_when(address, is_due.into()),
            chosen: RwSignal::new(BTreeSet::new()),
            announcement: RwSignal::new(String::new()),
            changes: RwSignal::new(String::new()),
            is_due,
            asked: RwSignal::new(None),
            other_pages: StoredValue::new(BTreeSet::new()),
        };
        Effect::new(move |before: Option<String>| {
            address.track();
            store.chosen.set(BTreeSet::new());
            let cursor = query.cursor();
            // Whoever turned the page goes on reading at its top; whoever set a filter goes on with the filters.
            if before.is_some_and(|before| before != cursor) {
                dom::focus(LIST);
            }
            cursor
        });
        Effect::new(move |before: Option<Option<Page<Recording>>>| {
            let now = store.page.get();
            if let (Some(Some(before)), Some(now)) = (before, &now) {
                let changes = before.changes(now);
                if !changes.is_empty() {
                    store.changes.set(changes);
                }
            }
            now
        });
        Effect::new(move |was_busy: Option<bool>| {
            let is_busy = store.page.is_busy();
            if was_busy == Some(true) && !is_busy {
                store.announcement.set("List updated".to_owned());
            }
            is_busy
        });
        store.return_here();
        store
    }

    /// Keeps rows and scroll position for the way back from a player, and restores them on that way.
    fn return_here(self) {
        let memory = LastList::expect();
        let (query, page) = (self.query, self.page);
        if let Some((rows, scroll_y, opened)) = memory.restore(&untrack(|| query.here_with_query()))
        {
            page.restore(rows);
            // When the rows are drawn, and after the heading has taken the focus.
            request_animation_frame(move || {
                request_animation_frame(move || dom::return_to(scroll_y, &row_id(&opened)));
            });
        }
        Effect::new(move |_| {
            let address = query.here_with_query();
            if let Some(rows) = page.get()
                && query.is_here()
            {
                memory.keep(address, rows);
            }
        });
        let scrolled = window_event_listener(ev::scroll, move |_| {
            // The next page is scrolled to its top before this one is gone.
            if query.is_here() {
                memory.keep_scroll(dom::scroll_y());
            }
        });
        on_cleanup(move || scrolled.remove());
    }

    /// Takes in what the server says.
    pub(in crate::web) fn apply_event(self, event: &Event) {
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
                        let name = crate::status_texts::status_class(recording.status);
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
        self.other_pages
            .try_update_value(|other_pages| {
                if other_pages.len() >= OTHER_PAGES_MAX {
                    other_pages.clear();
                }
                other_pages.insert((id, status))
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
            self.announcement
                .set(deletion_texts::outcome(deleted, count));
            // What had the focus is gone.
            dom::focus(LIST);
            // What follows moves up.
            self.page.poll();
        };
        let forget = move |id: String| self.forget(&id);
        self.asked
            .set(Some(Confirmation::delete(recordings, forget, done)));
    }

    /// Keeps retention off a recording, or lets it have it again.
    pub(super) fn protect(self, id: String, protected: bool) {
        spawn_local(async move {
            let update = RecordingUpdate {
                protected: Some(protected),
                ..RecordingUpdate::default()
            };
            let api = self.app.api();
            let answer = api
                .ask::<Recording>(Method::PATCH, &recording_path(&id), &update)
                .await;
            match answer {
                Ok(fresh) => self.page.edit(|page| page.update(&fresh)),
                Err(error) => {
                    let _ = self.page.problem().try_set(Some(self.app.explain(&error)));
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
        self.query.is_filtered(self.scope.filters())
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
fn address(scope: Scope, query: ListQuery) -> String {
    let (sort, order) = list_page::order(&query.get("sort"));
    let limit = PAGE_ROWS.to_string();
    let mut parameters = vec![
        ("limit", limit),
        ("sort", sort.to_owned()),
        ("order", order.to_owned()),
        ("cursor", query.cursor()),
    ];
    for name in scope.filters() {
        let value = query.get(name);
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
