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

const PAGE_ROWS: u32 = 50;
/// Polling interval of unfinished recordings without an event stream.
const POLL_MS: u32 = 2_000;
/// Time that the first request waits for the event stream to open.
const STREAM_TIMEOUT_MS: u32 = 1_000;
/// Maximum number of remembered recordings on other pages; the set is cleared beyond it.
const OTHER_PAGES_MAX: usize = 1_000;

/// List, which takes the focus when a focused row was deleted.
pub(in crate::web) const LIST: &str = "recordings-list";

/// Recordings that a list contains.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::web) enum Scope {
    /// Recordings of the signed-in user.
    Mine,
    /// Recordings of all users.
    All,
    /// Recordings of an appliance, which belong to no user.
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

    /// Names of the filters.
    pub(super) fn filters(self) -> &'static [&'static str] {
        match self {
            Self::Mine => &["q", "status", "from", "to"],
            Self::All => &["q", "status", "user_id", "from", "to"],
            Self::Appliance => &[],
        }
    }
}

/// State of a list of recordings: rows, selection and dialogs.
#[derive(Clone, Copy)]
pub(in crate::web) struct RecordingsStore {
    app: AppContext,
    pub(super) scope: Scope,
    pub(in crate::web) query: ListQuery,
    pub(in crate::web) page: ServerData<Page<Recording>>,
    selected: RwSignal<BTreeSet<String>>,
    announcement: RwSignal<String>,
    /// Action of the confirmation dialog.
    pub(in crate::web) confirmation: RwSignal<Option<Confirmation>>,
    /// Announcement of automatic changes for screen readers.
    changes: RwSignal<String>,
    /// Whether the list may be requested: the event stream is open or its timeout has passed. Otherwise changes between
    /// the response and the opening of the stream would be lost, or the list requested twice.
    is_due: RwSignal<bool>,
    /// Recordings on other pages that events mentioned, with their status.
    other_pages: StoredValue<BTreeSet<(String, &'static str)>>,
}

impl RecordingsStore {
    /// Creates the store for the current address and subscribes to events.
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

    /// Like [`new`](Self::new), but the caller passes events to [`apply_event`](Self::apply_event).
    pub(in crate::web) fn at_address(scope: Scope) -> Self {
        let query = ListQuery::here();
        let address = Memo::new(move |_| address(scope, query));
        let is_due = RwSignal::new(!dom::is_visible());
        let timeout = Timeout::new(STREAM_TIMEOUT_MS, move || {
            is_due.try_set(true);
        });
        let timeout = StoredValue::new_local(Some(timeout));
        on_cleanup(move || timeout.set_value(None));
        let store = Self {
            app: AppContext::expect(),
            scope,
            query,
            page: ServerData::list_when(address, is_due.into()),
            selected: RwSignal::new(BTreeSet::new()),
            announcement: RwSignal::new(String::new()),
            changes: RwSignal::new(String::new()),
            is_due,
            confirmation: RwSignal::new(None),
            other_pages: StoredValue::new(BTreeSet::new()),
        };
        Effect::new(move |before: Option<String>| {
            address.track();
            store.selected.set(BTreeSet::new());
            let cursor = query.cursor();
            // After a page change the focus moves to the top of the list; after a filter change it stays in the
            // filters.
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
            let announcement = store.announcement;
            if is_busy {
                announcement.set(String::new());
            } else if was_busy == Some(true) && announcement.with_untracked(String::is_empty) {
                // A deletion during the request has been announced.
                announcement.set("List updated".to_owned());
            }
            is_busy
        });
        store.return_here();
        store
    }

    /// Saves rows and scroll position for the return from the player, and restores them.
    fn return_here(self) {
        let last_list = LastList::expect();
        let (query, page) = (self.query, self.page);
        if let Some((rows, scroll_y, opened)) =
            last_list.restore(&untrack(|| query.here_with_query()))
        {
            page.restore(rows);
            // After the rows are rendered and the heading has taken the focus.
            request_animation_frame(move || {
                request_animation_frame(move || dom::return_to(scroll_y, &row_id(&opened)));
            });
        }
        Effect::new(move |_| {
            let address = query.here_with_query();
            if let Some(rows) = page.get()
                && query.is_here()
            {
                last_list.save(address, rows);
            }
        });
        let scrolled = window_event_listener(ev::scroll, move |_| {
            // Navigation scrolls the next page to the top before this one is disposed.
            if query.is_here() {
                last_list.save_scroll(dom::scroll_y());
            }
        });
        on_cleanup(move || scrolled.remove());
    }

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
                    // A response in flight may contain an older status. An older size is harmless: the next event
                    // corrects it.
                    Some(status) if status != recording.status => {
                        self.page.mark_outdated();
                    }
                    Some(_) => {}
                    None => {
                        let name = crate::status_texts::status_class(recording.status);
                        if self.is_new_status(recording.id.clone(), name) {
                            self.page.poll();
                        }
                    }
                }
            }
            Event::RecordingDeleted(deleted) => self.remove_row(&deleted.id),
            _ => {}
        }
    }

    /// Whether a recording of another page may have moved to this page. Returns `true` once for each status, not for
    /// every event of a growing recording.
    fn is_new_status(self, id: String, status: &'static str) -> bool {
        self.other_pages
            .try_update_value(|other_pages| {
                if other_pages.len() >= OTHER_PAGES_MAX {
                    other_pages.clear();
                }
                other_pages.insert((id, status))
            })
            .unwrap_or(false)
    }

    /// Removes a deleted recording from the list.
    pub(super) fn remove_row(self, id: &str) {
        self.page.edit(|page| page.remove(id));
        self.selected.try_update(|selected| selected.remove(id));
    }

    /// Opens the confirmation dialog for a deletion.
    pub(super) fn ask_to_delete(self, recordings: &[Recording]) {
        let count = recordings.len();
        let done = move |deleted: usize| {
            self.announcement
                .set(deletion_texts::outcome(deleted, count));
            // The focused row was removed.
            dom::focus(LIST);
            // Following rows move up to this page.
            self.page.poll();
        };
        let on_deleted = move |id: String| self.remove_row(&id);
        self.confirmation
            .set(Some(Confirmation::delete(recordings, on_deleted, done)));
    }

    /// Protects a recording from automatic deletion, or removes the protection.
    pub(super) fn protect(self, id: String, protected: bool) {
        spawn_local(async move {
            let update = RecordingUpdate {
                protected: Some(protected),
                ..RecordingUpdate::default()
            };
            let api = self.app.api();
            let answer = api
                .request::<Recording>(Method::PATCH, &recording_path(&id), &update)
                .await;
            match answer {
                Ok(fresh) => self.page.edit(|page| page.update(&fresh)),
                Err(error) => {
                    let _ = self.page.problem().try_set(Some(self.app.explain(&error)));
                }
            }
        });
    }

    /// Tracked by Leptos, like all getters below.
    pub(super) fn is_selected(self, id: &str) -> bool {
        self.selected.with(|selected| selected.contains(id))
    }

    pub(super) fn select(self, id: &str, is_selected: bool) {
        self.selected.update(|selected| {
            if is_selected {
                selected.insert(id.to_owned());
            } else {
                selected.remove(id);
            }
        });
    }

    pub(super) fn select_all(self, is_selected: bool) {
        let ids = self
            .page
            .rows()
            .into_iter()
            .filter(|_| is_selected)
            .map(|row| row.id);
        self.selected.set(ids.collect());
    }

    /// Selected rows on this page.
    pub(super) fn selected(self) -> Vec<Recording> {
        let mut rows = self.page.rows();
        self.selected
            .with(|selected| rows.retain(|row| selected.contains(&row.id)));
        rows
    }

    /// Current state of a row; `None` if it is not on this page.
    pub(in crate::web) fn row(self, id: &str) -> Option<Recording> {
        self.page.with(|page| page.row(id).cloned()).flatten()
    }

    pub(in crate::web) fn is_empty(self) -> bool {
        // A page can be empty and have a next page.
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

    /// Announcement of automatic changes for screen readers.
    pub(in crate::web) fn changes(self) -> Signal<String> {
        self.changes.into()
    }
}

/// Returns the ID of the link in a row.
pub(super) fn row_id(id: &str) -> String {
    format!("recording-{id}")
}

/// API path of the list with its filters.
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
                // The end date is inclusive.
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

/// Whether the user has to wait for the recording to finish.
pub(super) fn is_in_progress(status: RecordingStatus) -> bool {
    matches!(
        status,
        RecordingStatus::Uploading | RecordingStatus::Processing
    )
}
