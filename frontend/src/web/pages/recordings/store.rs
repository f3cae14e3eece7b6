use std::collections::BTreeSet;

use gloo_net::http::Method;
use leptos::ev;
use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_api::{
    DeleteRecordings, DeletionStatus, Event, Recording, RecordingCount, RecordingQuery,
    RecordingStatus, RecordingUpdate,
};

use crate::library::days::{self, Day};
use crate::library::filters as library_filters;
use crate::list_page::{self, Page};
use crate::web::api::{ApiError, recording_path};
use crate::web::app_context::{AppContext, FIRST_LIST};
use crate::web::components::Confirmation;
use crate::web::dom;
use crate::web::download;
use crate::web::event_stream::{recording_event, subscribe};
use crate::web::last_list::LastList;
use crate::web::list_query::ListQuery;
use crate::web::poll::poll_while;
use crate::web::server_data::ServerData;
use crate::{deletion_texts, query, status_texts};

const PAGE_ROWS: u32 = 50;
/// Value of the preference of the view.
const GRID: &str = "grid";
/// Polling interval of unfinished recordings without an event stream.
const POLL_MS: u32 = 2_000;
/// Maximum number of remembered recordings on other pages; the set is cleared beyond it.
const OTHER_PAGES_MAX: usize = 1_000;

const FILTERS: [&str; 9] = [
    "user_id",
    "q",
    "status",
    "date",
    "from",
    "to",
    "length",
    "source",
    "unwatched",
];
/// Narrowest window whose default is the grid, in CSS pixels.
const GRID_WIDTH: f64 = 900.0;
/// Interval of updates of the displayed ages.
const AGE_MS: u32 = 60_000;

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

    /// API path that counts the recordings; `None` if the list shows no total.
    fn count_route(self) -> Option<&'static str> {
        match self {
            Self::Mine => Some("/api/recordings/count"),
            Self::All | Self::Appliance => Some("/api/admin/recordings/count"),
        }
    }

    /// Names of the filters in the page's address.
    pub(super) fn filters(self) -> &'static [&'static str] {
        match self {
            // On an appliance, all recordings belong to one user.
            Self::Mine | Self::Appliance => &FILTERS[1..],
            Self::All => &FILTERS,
        }
    }

    /// Name of the preference whether the list is a grid.
    fn view_preference(self) -> &'static str {
        match self {
            Self::Mine => "library-view",
            Self::All | Self::Appliance => "library-view-all",
        }
    }
}

/// Numbers of the last change before a list and before an event stream, if known.
#[derive(Clone, Copy, Default)]
struct LastEvents {
    list: Option<i64>,
    stream: Option<i64>,
}

impl LastEvents {
    /// Whether no change can be missing in both.
    fn list_is_current(self) -> bool {
        self.stream.is_none() || self.list >= self.stream
    }
}

/// State of a list of recordings: rows, selection and dialogs.
#[derive(Clone, Copy)]
pub(in crate::web) struct RecordingsStore {
    pub(super) app: AppContext,
    pub(super) scope: Scope,
    pub(in crate::web) query: ListQuery,
    pub(in crate::web) page: ServerData<Page<Recording>>,
    /// Recording in progress that no list of the server contains.
    pub(in crate::web) growing: RwSignal<Option<Recording>>,
    /// Number of recordings that the filters select.
    count: ServerData<RecordingCount>,
    selected: RwSignal<BTreeSet<String>>,
    /// Whether all recordings that the filters select are selected, also those of other pages.
    is_all_matching: RwSignal<bool>,
    /// Row whose check box was clicked last, from which Shift selects.
    last_selected: StoredValue<Option<String>>,
    /// Whether the rows are cards.
    pub(super) is_grid: RwSignal<bool>,
    /// Row whose title is edited.
    pub(super) renaming: RwSignal<Option<String>>,
    /// Row whose menu is open.
    pub(in crate::web) open_menu: RwSignal<Option<String>>,
    /// Current time in Unix ms, for ages.
    pub(super) now_ms: RwSignal<f64>,
    announcement: RwSignal<String>,
    /// Recordings that were just moved to the trash.
    pub(super) undo: RwSignal<Vec<String>>,
    /// Action of the confirmation dialog.
    pub(in crate::web) confirmation: RwSignal<Option<Confirmation>>,
    /// Announcement of automatic changes for screen readers.
    changes: RwSignal<String>,
    /// Numbers of the last change before the list, and before the event stream.
    last_events: StoredValue<LastEvents>,
    /// Recordings on other pages that events mentioned, with their status.
    other_pages: StoredValue<BTreeSet<(String, &'static str)>>,
}

impl RecordingsStore {
    /// Creates the store for the current address and subscribes to events.
    pub(super) fn new(scope: Scope) -> Self {
        let store = Self::at_address(scope);
        let has_events = subscribe(scope.events(), recording_event, move |event| {
            store.apply_event(&event)
        });
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
        let count_address = Memo::new(move |_| {
            let route = scope.count_route()?;
            Some(with_filters(route, &[], &filters(scope, query)))
        });
        let count = ServerData::new(move |api| {
            let address = count_address.get_untracked().unwrap_or_default();
            async move { api.get(&address).await }
        });
        let last_events = StoredValue::new(LastEvents::default());
        let page = ServerData::new(move |api| {
            let address = address.get_untracked();
            let is_first =
                scope == Scope::Mine && !untrack(|| query.here_with_query()).contains('?');
            async move {
                loop {
                    let (page, last_event) = api.page_and_last_event(&address).await?;
                    let is_current = last_events.try_update_value(|it| {
                        it.list = last_event;
                        it.list_is_current()
                    });
                    if is_current != Some(false) {
                        if is_first {
                            dom::set_preference(FIRST_LIST, &address);
                        }
                        return Ok(page);
                    }
                }
            }
        });
        page.load_at(address);
        let is_grid = dom::preference(scope.view_preference()).map_or_else(
            // The table of all recordings has columns for IDs.
            || scope == Scope::Mine && dom::window_width() >= GRID_WIDTH,
            |view| view == GRID,
        );
        let store = Self {
            app: AppContext::expect(),
            scope,
            query,
            page,
            growing: RwSignal::new(None),
            count,
            selected: RwSignal::new(BTreeSet::new()),
            is_all_matching: RwSignal::new(false),
            last_selected: StoredValue::new(None),
            is_grid: RwSignal::new(is_grid),
            renaming: RwSignal::new(None),
            open_menu: RwSignal::new(None),
            now_ms: RwSignal::new(dom::now_ms()),
            announcement: RwSignal::new(String::new()),
            changes: RwSignal::new(String::new()),
            last_events,
            undo: RwSignal::new(Vec::new()),
            confirmation: RwSignal::new(None),
            other_pages: StoredValue::new(BTreeSet::new()),
        };
        Effect::new(move |_| {
            if count_address.with(Option::is_some) {
                count.poll();
            }
        });
        poll_while(|| true, AGE_MS, move || store.now_ms.set(dom::now_ms()));
        Effect::new(move |before: Option<String>| {
            address.track();
            store.clear_selection();
            store.renaming.set(None);
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
            Event::Hello(hello) => self.begin_events(hello.last_event),
            Event::Recording(recording)
                if recording.status == RecordingStatus::Trashed && !untrack(|| self.is_trash()) =>
            {
                self.remove_row(&recording.id);
                self.poll_count();
            }
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
                        let name = status_texts::status_class(recording.status);
                        if self.is_new_status(recording.id.clone(), name) {
                            self.poll();
                        }
                    }
                }
            }
            Event::RecordingDeleted(deleted) => {
                self.remove_row(&deleted.id);
                self.poll_count();
            }
            _ => {}
        }
    }

    /// Handles the beginning of the event stream: loads again what may have changed since it was loaded.
    fn begin_events(self, last_event: Option<i64>) {
        let is_current = self.last_events.try_update_value(|it| {
            it.stream = last_event;
            it.list_is_current()
        });
        if last_event.is_none() || is_current == Some(false) && !self.page.is_in_flight() {
            self.page.poll();
        }
        if is_current == Some(false) {
            self.poll_count();
        }
    }

    /// Loads rows and total in the background.
    fn poll(self) {
        self.page.poll();
        self.poll_count();
    }

    fn poll_count(self) {
        if self.scope.count_route().is_some() {
            self.count.poll();
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

    /// Name of a recording in dialogs.
    fn name(self, recording: &Recording) -> String {
        match self.scope {
            Scope::Appliance => recording.filename.clone(),
            Scope::Mine | Scope::All => dom::title(recording),
        }
    }

    /// Whether the list is that of the trash. Tracked.
    pub(super) fn is_trash(self) -> bool {
        self.query.get("status") == status_texts::status_class(RecordingStatus::Trashed)
    }

    /// Days that recordings of this list stay in the trash after a deletion; 0 if a deletion is final. Tracked.
    pub(super) fn trash_days(self) -> u32 {
        match self.is_trash() {
            true => 0,
            false => self.app.trash_days(),
        }
    }

    /// Moves recordings to the trash, and offers to undo it.
    fn move_to_trash(self, recordings: &[Recording]) {
        let ids: Vec<_> = recordings.iter().map(|row| row.id.clone()).collect();
        spawn_local(async move {
            let request = DeleteRecordings {
                ids,
                ..DeleteRecordings::default()
            };
            let (mut moved, mut problem) = (Vec::new(), None);
            let api = self.app.api();
            let sent = api.delete_recordings(&request, None, |deletion| {
                match deletion.status {
                    DeletionStatus::Trashed => moved.push(deletion.id.clone()),
                    DeletionStatus::Deleted => {}
                    DeletionStatus::Failed => {
                        problem = problem.take().or(deletion.problem);
                        return;
                    }
                }
                self.remove_row(&deletion.id);
            });
            if let Err(error) = sent.await {
                self.report(&error);
            }
            if let Some(problem) = problem {
                self.report(&ApiError::Problem(problem));
            }
            if moved.is_empty() || self.undo.try_set(moved).is_some() {
                return;
            }
            // The focused row was removed.
            dom::focus(LIST);
            self.poll();
        });
    }

    /// Restores recordings from the trash.
    pub(super) fn restore(self, ids: Vec<String>) {
        spawn_local(async move {
            let mut count = 0;
            for id in ids {
                let path = recording_path(&id) + "/restore";
                let api = self.app.api();
                match api.request::<Recording>(Method::POST, &path, &()).await {
                    Ok(_) => count += 1,
                    Err(error) => {
                        self.report(&error);
                        break;
                    }
                }
                if untrack(|| self.is_trash()) {
                    self.remove_row(&id);
                }
            }
            if self.undo.try_set(Vec::new()).is_some() {
                return;
            }
            self.announcement.set(deletion_texts::restored(count));
            dom::focus(LIST);
            self.poll();
        });
    }

    /// Moves recordings to the trash; without a trash, or if it does not take all of them, opens the confirmation dialog.
    pub(in crate::web) fn ask_to_delete(self, recordings: &[Recording]) {
        let trash_days = untrack(|| self.trash_days());
        let are_restorable = recordings
            .iter()
            .all(|row| deletion_texts::goes_to_trash(row) && !row.forward_pending);
        if trash_days > 0 && are_restorable {
            return self.move_to_trash(recordings);
        }
        let on_deleted = move |id: String| self.remove_row(&id);
        self.confirmation.set(Some(Confirmation::delete(
            recordings,
            trash_days,
            move |recording| self.name(recording),
            on_deleted,
            self.after_deletion(recordings.len()),
        )));
    }

    /// Returns the function that is called with the number of deleted recordings of `total`.
    fn after_deletion(self, total: usize) -> impl Fn(usize) + Send + Sync + 'static {
        move |deleted| {
            self.announcement
                .set(deletion_texts::outcome(deleted, total));
            self.is_all_matching.set(false);
            // The focused row was removed.
            dom::focus(LIST);
            // Following rows move up to this page.
            self.poll();
        }
    }

    /// Opens the confirmation dialog for the deletion of the selected recordings.
    pub(super) fn ask_to_delete_selected(self) {
        if !self.is_all_matching.get_untracked() {
            return self.ask_to_delete(&untrack(|| self.selected()));
        }
        let Some(route) = self.scope.count_route() else {
            return;
        };
        // The dialog counts what the request deletes: recordings that begin later are kept.
        let mut filters = untrack(|| filters(self.scope, self.query));
        if filters
            .iter()
            .all(|(name, to)| *name != "to" || to.is_empty())
        {
            filters.retain(|(name, _)| *name != "to");
            filters.push(("to", dom::now()));
        }
        spawn_local(async move {
            let path = with_filters(route, &[("totals", "true")], &filters);
            match self.app.api().get::<RecordingCount>(&path).await {
                // The recordings were deleted elsewhere.
                Ok(count) if count.count == 0 => self.poll(),
                Ok(count) => {
                    let confirmation = Confirmation::delete_matching(
                        &count,
                        untrack(|| self.trash_days()),
                        recording_query(filters),
                        self.scope == Scope::All,
                        move |id| self.remove_row(&id),
                        self.after_deletion(usize::try_from(count.count).unwrap_or(usize::MAX)),
                    );
                    let _ = self.confirmation.try_set(Some(confirmation));
                }
                Err(error) => self.report(&error),
            }
        });
    }

    fn report(self, error: &ApiError) {
        // The page may have been closed.
        let _ = self.page.problem().try_set(Some(self.app.explain(error)));
    }

    /// Sends a change of a recording; returns whether it succeeded.
    async fn change(self, id: &str, update: RecordingUpdate) -> bool {
        let api = self.app.api();
        let answer = api
            .request::<Recording>(Method::PATCH, &recording_path(id), &update)
            .await;
        match answer {
            Ok(fresh) => {
                self.page.edit(|page| page.update(&fresh));
                true
            }
            Err(error) => {
                self.report(&error);
                false
            }
        }
    }

    /// Sets the title of a recording; an empty one restores the default.
    pub(super) fn rename(self, id: String, title: &str) {
        let title = title.trim();
        let title = (!title.is_empty()).then(|| title.to_owned());
        let before = self.page.get_untracked();
        let before = before.as_ref().and_then(|page| page.row(&id));
        if before.is_none_or(|row| row.title == title || title.as_ref() == Some(&dom::title(row))) {
            return;
        }
        spawn_local(async move {
            let update = RecordingUpdate {
                title: Some(title),
                ..RecordingUpdate::default()
            };
            self.change(&id, update).await;
        });
    }

    /// Protects the selected recordings from automatic deletion; if all are protected, removes the protection.
    pub(super) fn protect_selected(self) {
        let rows = untrack(|| self.selected());
        let protected = !rows.iter().all(|row| row.protected);
        spawn_local(async move {
            let mut count = 0;
            for row in rows {
                if row.protected == protected {
                    continue;
                }
                if !self.change(&row.id, protection(protected)).await {
                    return;
                }
                count += 1;
            }
            let plural = if count == 1 { "" } else { "s" };
            let word = if protected {
                "protected"
            } else {
                "no longer protected"
            };
            let _ = self
                .announcement
                .try_set(format!("{count} recording{plural} {word}"));
        });
    }

    /// Downloads the files of the selected recordings.
    pub(super) fn download_selected(self) {
        let ids = untrack(|| self.selected()).into_iter();
        let ids = ids.filter(has_file).map(|row| row.id).collect();
        download::start_all(self.app, ids, self.page.problem());
    }

    /// Protects a recording from automatic deletion, or removes the protection.
    pub(in crate::web) fn protect(self, id: String, protected: bool) {
        spawn_local(async move {
            self.change(&id, protection(protected)).await;
        });
    }

    pub(super) fn set_grid(self, is_grid: bool) {
        self.is_grid.set(is_grid);
        dom::set_preference(
            self.scope.view_preference(),
            if is_grid { GRID } else { "list" },
        );
    }

    pub(super) fn is_selected(self, id: &str) -> bool {
        self.selected.with(|selected| selected.contains(id))
    }

    /// Selects a row or removes it from the selection; with `is_range` also the rows up to the one clicked before.
    pub(super) fn select(self, id: &str, is_selected: bool, is_range: bool) {
        let ids: Vec<_> = untrack(|| self.page.rows())
            .into_iter()
            .map(|row| row.id)
            .collect();
        let place = |id: &str| ids.iter().position(|it| it == id);
        let last = self.last_selected.get_value();
        let start = last.as_deref().filter(|_| is_range).and_then(place);
        self.last_selected.set_value(Some(id.to_owned()));
        self.is_all_matching.set(false);
        let Some(end) = place(id) else { return };
        let start = start.unwrap_or(end);
        self.selected.update(|selected| {
            for id in &ids[start.min(end)..=start.max(end)] {
                if is_selected {
                    selected.insert(id.clone());
                } else {
                    selected.remove(id);
                }
            }
        });
    }

    pub(super) fn select_all(self, is_selected: bool) {
        self.is_all_matching.set(false);
        let ids = untrack(|| self.page.rows()).into_iter();
        let ids = ids.filter(|_| is_selected).map(|row| row.id);
        self.selected.set(ids.collect());
    }

    /// Selects all recordings that the filters select, also those of other pages.
    pub(super) fn select_all_matching(self) {
        self.select_all(true);
        self.is_all_matching.set(true);
    }

    pub(super) fn clear_selection(self) {
        self.is_all_matching.set(false);
        self.last_selected.set_value(None);
        self.selected.set(BTreeSet::new());
    }

    /// Tracked by Leptos, like all getters below.
    pub(super) fn is_all_matching(self) -> bool {
        self.is_all_matching.get()
    }

    /// Number of recordings that the filters select, and whether it is exact; `None` while loading.
    pub(super) fn total(self) -> Option<(u64, bool)> {
        self.count.with(|count| (count.count, count.complete))
    }

    /// Place of the page in the list: `1–50 of 522`.
    pub(super) fn range(self) -> String {
        let rows = self.page.with(|page| page.rows.len()).unwrap_or(0);
        if rows == 0 {
            return String::new();
        }
        match self.query.page() {
            Some(page) => list_page::range(page, rows, PAGE_ROWS, self.total()),
            None => String::new(),
        }
    }

    /// Rows, grouped by day if the list is in the order of time.
    pub(super) fn days(self) -> Vec<Day> {
        let is_by_time = matches!(list_page::order(&self.query.get("sort")).0, "" | "created");
        let mut rows = self.page.rows();
        if let Some(growing) = self.shown_growing() {
            rows.insert(0, growing);
        }
        days::days(&rows, |moment| match is_by_time {
            true => dom::local_date(moment),
            false => String::new(),
        })
    }

    pub(super) fn has_selection(self) -> bool {
        !self.selected().is_empty()
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
        let row = self.page.with(|page| page.row(id).cloned()).flatten();
        row.or_else(|| self.growing.get().filter(|growing| growing.id == id))
    }

    /// The recording in progress, if this page of the list contains it: it is the newest.
    fn shown_growing(self) -> Option<Recording> {
        let is_listed = self.query.cursor().is_empty()
            && self.query.get("sort").is_empty()
            && !self.is_filtered();
        let growing = self.growing.get().filter(|_| is_listed)?;
        let is_row = self.page.with(|page| page.row(&growing.id).is_some());
        (is_row != Some(true)).then_some(growing)
    }

    pub(in crate::web) fn is_empty(self) -> bool {
        // A page can be empty and have a next page.
        self.page
            .with(|page| page.rows.is_empty() && page.next.is_none())
            .unwrap_or(false)
            && self.shown_growing().is_none()
    }

    pub(in crate::web) fn has_rows(self) -> bool {
        self.page
            .with(|page| !page.rows.is_empty())
            .unwrap_or(false)
            || self.shown_growing().is_some()
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
pub(in crate::web) fn row_id(id: &str) -> String {
    format!("recording-{id}")
}

/// API path of the list with its filters.
fn address(scope: Scope, query: ListQuery) -> String {
    let (sort, order) = list_page::order(&query.get("sort"));
    let limit = PAGE_ROWS.to_string();
    let cursor = query.cursor();
    let paging = [
        ("limit", &*limit),
        ("sort", sort),
        ("order", order),
        ("cursor", &*cursor),
    ];
    with_filters(scope.route(), &paging, &filters(scope, query))
}

fn with_filters(route: &str, paging: &[(&str, &str)], filters: &[(&str, String)]) -> String {
    let filters = filters.iter().map(|(name, value)| (*name, value.as_str()));
    let parameters: Vec<_> = paging.iter().copied().chain(filters).collect();
    query::address(route, &parameters)
}

/// Filters of the page's address as parameters of the API. Tracked.
fn filters(scope: Scope, query: ListQuery) -> Vec<(&'static str, String)> {
    let mut parameters = Vec::new();
    for name in scope.filters() {
        let value = query.get(name);
        match *name {
            "date" => {
                if let Some(days) = library_filters::days_back(&value) {
                    parameters.push(("from", dom::days_ago(days)));
                }
            }
            "from" => parameters.push(("from", dom::start_of_day(&value, 0))),
            // The end date is inclusive.
            "to" => parameters.push(("to", dom::start_of_day(&value, 1))),
            "length" => {
                let (min, max) = library_filters::length(&value);
                parameters.push(("min_seconds", min.to_owned()));
                parameters.push(("max_seconds", max.to_owned()));
            }
            name => parameters.push((name, value)),
        }
    }
    parameters.retain(|(_, value)| !value.is_empty());
    // A period of the address takes precedence over a date: each parameter may occur once.
    let mut known = BTreeSet::new();
    parameters.retain(|(name, _)| known.insert(*name));
    parameters
}

/// The same parameters in the body of a request.
fn recording_query(filters: Vec<(&'static str, String)>) -> RecordingQuery {
    let mut query = RecordingQuery::default();
    for (name, value) in filters {
        let field = match name {
            "q" => &mut query.q,
            "status" => &mut query.status,
            "user_id" => &mut query.user_id,
            "from" => &mut query.from,
            "to" => &mut query.to,
            "source" => &mut query.source,
            "min_seconds" => &mut query.min_seconds,
            "max_seconds" => &mut query.max_seconds,
            _ => &mut query.unwatched,
        };
        *field = Some(value);
    }
    query
}

fn protection(protected: bool) -> RecordingUpdate {
    RecordingUpdate {
        protected: Some(protected),
        ..RecordingUpdate::default()
    }
}

/// Whether the server has a file, or received bytes, of the recording.
fn has_file(recording: &Recording) -> bool {
    match recording.status {
        RecordingStatus::Ready => true,
        RecordingStatus::Failed => !recording.deleting,
        _ => false,
    }
}

/// Whether the user has to wait for the recording to finish.
pub(super) fn is_in_progress(status: RecordingStatus) -> bool {
    matches!(
        status,
        RecordingStatus::Uploading | RecordingStatus::Processing
    )
}
