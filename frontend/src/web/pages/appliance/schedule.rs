use gloo_net::http::Method;
use leptos::ev;
use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_api::{
    ApplianceSchedule, InvalidSchedule, Schedule, ScheduleField, ScheduleWindow, Weekday,
};

use super::store::ApplianceStore;
use crate::appliance::schedule_status;
use crate::web::components::{Glyph, Icon};
use crate::web::dom;

const ROUTE: &str = "/api/appliance/schedule";
const ADD: &str = "schedule-add";
const ZONE: &str = "schedule-zone";
/// Beginning of the server's message about this field.
const ZONE_FAULT: &str = "time_zone: ";

const DAYS: [(Weekday, &str, &str); 7] = [
    (Weekday::Monday, "Mon", "Monday"),
    (Weekday::Tuesday, "Tue", "Tuesday"),
    (Weekday::Wednesday, "Wed", "Wednesday"),
    (Weekday::Thursday, "Thu", "Thursday"),
    (Weekday::Friday, "Fri", "Friday"),
    (Weekday::Saturday, "Sat", "Saturday"),
    (Weekday::Sunday, "Sun", "Sunday"),
];

/// Fields of a window.
#[derive(Clone, Copy)]
struct Row {
    key: u32,
    days: RwSignal<Vec<Weekday>>,
    start: RwSignal<String>,
    end: RwSignal<String>,
}

impl Row {
    fn new(key: u32, window: ScheduleWindow) -> Self {
        // A time field has no 24:00; see `window`.
        let end = if window.end == "24:00" {
            "00:00".to_owned()
        } else {
            window.end
        };
        Self {
            key,
            days: RwSignal::new(window.days),
            start: RwSignal::new(window.start),
            end: RwSignal::new(end),
        }
    }

    fn window(self) -> ScheduleWindow {
        let end = self.end.get_untracked();
        ScheduleWindow {
            days: self.days.get_untracked(),
            start: self.start.get_untracked(),
            end: if end == "00:00" {
                "24:00".to_owned()
            } else {
                end
            },
        }
    }

    fn id(self, part: &str) -> String {
        format!("schedule-{}-{part}", self.key)
    }
}

/// Form of the schedule; shared by its parts.
#[derive(Clone, Copy)]
struct Form {
    is_on: RwSignal<bool>,
    zone: RwSignal<String>,
    rows: RwSignal<Vec<Row>>,
    next_key: StoredValue<u32>,
    /// Whether the fields show the appliance's schedule or edits of it. Before, nothing can be edited or saved.
    is_loaded: RwSignal<bool>,
    /// Whether the user has changed a field since the schedule was loaded or saved.
    is_edited: RwSignal<bool>,
    fault: RwSignal<Option<InvalidSchedule>>,
    success: RwSignal<&'static str>,
}

impl Form {
    fn edit(self) {
        self.is_edited.set(true);
        self.success.set("");
    }

    fn show(self, schedule: ApplianceSchedule) {
        self.is_on.set(schedule.enabled);
        self.zone.set(schedule.time_zone.unwrap_or_default());
        let rows = schedule.windows.into_iter().map(|window| self.row(window));
        self.rows.set(rows.collect());
        self.is_loaded.set(true);
        self.is_edited.set(false);
        self.fault.set(None);
    }

    fn row(self, window: ScheduleWindow) -> Row {
        let key = self.next_key.get_value();
        self.next_key.set_value(key.wrapping_add(1));
        Row::new(key, window)
    }

    fn schedule(self) -> Schedule {
        let zone = self.zone.get_untracked().trim().to_owned();
        Schedule {
            enabled: self.is_on.get_untracked(),
            time_zone: (!zone.is_empty()).then_some(zone),
            windows: self
                .rows
                .with_untracked(|rows| rows.iter().map(|row| row.window()).collect()),
        }
    }

    fn add(self) {
        let row = self.row(ScheduleWindow {
            days: DAYS.iter().take(5).map(|(day, _, _)| *day).collect(),
            start: "08:00".to_owned(),
            end: "18:00".to_owned(),
        });
        self.rows.update(|rows| rows.push(row));
        self.edit();
        // After the fields are in the document.
        request_animation_frame(move || dom::focus(&row.id("start")));
    }

    fn remove(self, key: u32) {
        self.rows.update(|rows| rows.retain(|row| row.key != key));
        self.fault.set(None);
        self.edit();
        dom::focus(ADD);
    }

    fn index(self, key: u32) -> Option<usize> {
        self.rows
            .with(|rows| rows.iter().position(|row| row.key == key))
    }

    /// Returns the fault of a window; tracked.
    fn fault_of(self, key: u32) -> Option<InvalidSchedule> {
        let index = self.index(key);
        self.fault
            .get()
            .filter(|fault| fault.window.is_some() && fault.window == index)
    }

    /// Moves the focus to the faulty field.
    fn focus_fault(self, fault: &InvalidSchedule) {
        let row = fault
            .window
            .and_then(|index| self.rows.with_untracked(|rows| rows.get(index).copied()));
        match (row, fault.field) {
            (None, _) => dom::focus(ADD),
            (Some(row), ScheduleField::Days) => dom::focus(&row.id("day-0")),
            (Some(row), ScheduleField::End) => dom::focus(&row.id("end")),
            (Some(row), _) => dom::focus(&row.id("start")),
        }
    }
}

/// Windows of the week in which auto-record is armed. Loaded when the settings are opened, unless the user has edits.
#[component]
pub(super) fn ScheduleForm(appliance: ApplianceStore, opened: RwSignal<u32>) -> impl IntoView {
    let form = Form {
        is_on: RwSignal::new(false),
        zone: RwSignal::new(String::new()),
        rows: RwSignal::new(Vec::new()),
        next_key: StoredValue::new(0),
        is_loaded: RwSignal::new(false),
        is_edited: RwSignal::new(false),
        fault: RwSignal::new(None),
        success: RwSignal::new(""),
    };
    let zone_in_force = RwSignal::new(None::<String>);
    let is_busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<String>);
    let zone_problem = RwSignal::new(None::<String>);
    Effect::new(move |_| {
        if opened.get() == 0 || form.is_edited.get_untracked() {
            return;
        }
        problem.set(None);
        form.success.set("");
        spawn_local(async move {
            let answer = appliance.api().get::<ApplianceSchedule>(ROUTE).await;
            // The page may have been closed, or the user was faster.
            if is_busy.is_disposed() || form.is_edited.get_untracked() {
                return;
            }
            match answer {
                Ok(schedule) => {
                    zone_in_force.set(Some(schedule.status.zone.clone()));
                    form.show(schedule);
                }
                Err(error) => problem.set(Some(appliance.explain(&error))),
            }
        });
    });
    let status = Memo::new(move |_| {
        appliance
            .with(|now| {
                let always = "No window applies: auto-record is always armed.";
                let status = now.schedule.as_ref();
                let status = status.map_or_else(|| always.to_owned(), schedule_status);
                let without = match now.auto_record {
                    true => "",
                    false => " Auto-Record Sessions is off.",
                };
                format!("{status}{without}")
            })
            .unwrap_or_default()
    });
    let save = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let is_off = is_busy.get_untracked() || !form.is_loaded.get_untracked();
        if is_off || untrack(|| appliance.is_unreachable()) {
            return;
        }
        form.success.set("");
        problem.set(None);
        zone_problem.set(None);
        let schedule = form.schedule();
        let fault = schedule.check().err();
        form.fault.set(fault.clone());
        if let Some(fault) = fault {
            form.focus_fault(&fault);
            return;
        }
        is_busy.set(true);
        spawn_local(async move {
            let api = appliance.api();
            let outcome = api
                .request::<ApplianceSchedule>(Method::PUT, ROUTE, &schedule)
                .await;
            if is_busy.is_disposed() {
                return;
            }
            is_busy.set(false);
            match outcome {
                Ok(saved) => {
                    zone_in_force.set(Some(saved.status.zone));
                    // Edits during the request are not saved.
                    if form.schedule() == schedule {
                        form.is_edited.set(false);
                        form.success.set("Schedule saved successfully");
                    }
                }
                Err(error) => {
                    let message = appliance.explain(&error);
                    match message.strip_prefix(ZONE_FAULT) {
                        Some(reason) => {
                            zone_problem.set(Some(sentence(reason)));
                            dom::focus(ZONE);
                        }
                        None => problem.set(Some(message)),
                    }
                }
            }
        });
    };
    let is_off = move || is_busy.get() || !form.is_loaded.get() || appliance.is_unreachable();
    let general = move || {
        form.fault
            .get()
            .filter(|fault| fault.window.is_none())
            .map(|fault| fault.reason)
    };
    view! {
        <form class="schedule" aria-labelledby="schedule-heading" novalidate on:submit=save>
            <h3 id="schedule-heading">"Schedule"</h3>
            <fieldset class="schedule-fields" disabled=move || !form.is_loaded.get()>
            <div class="switch">
                <label for="schedule-on">"Auto-record only at these times"</label>
                <input
                    id="schedule-on"
                    type="checkbox"
                    role="switch"
                    class="toggle"
                    prop:checked=move || form.is_on.get()
                    aria-describedby="schedule-status schedule-hint"
                    on:change=move |event| {
                        form.is_on.set(event_target_checked(&event));
                        form.edit();
                    }
                />
            </div>
            <p id="schedule-status">{status}</p>
            <p id="schedule-hint" class="field-hint">
                "When a window ends, an automatic recording ends; one started by hand continues. A window may end on the next day; for a whole day, enter 00:00 twice."
            </p>
            <For each=move || form.rows.get() key=|row| row.key let:row>
                <Window form=form row=row />
            </For>
            <button id=ADD type="button" class="button" on:click=move |_| form.add()>
                "Add window"
            </button>
            <p class="problem-text" role="alert">
                {general}
            </p>
            <div class="field">
                <label for=ZONE>"Time zone"</label>
                <input
                    id=ZONE
                    class="input"
                    type="text"
                    autocomplete="off"
                    autocapitalize="none"
                    spellcheck="false"
                    prop:value=move || form.zone.get()
                    aria-invalid=move || zone_problem.with(Option::is_some).to_string()
                    aria-describedby="schedule-zone-problem schedule-zone-hint"
                    on:input=move |event| {
                        form.zone.set(event_target_value(&event));
                        form.edit();
                    }
                />
                <p id="schedule-zone-problem" class="problem-text" role="alert">
                    {zone_problem}
                </p>
                <p id="schedule-zone-hint" class="field-hint">
                    {move || {
                        let zone = zone_in_force.get();
                        zone.map(|zone| format!("In use: {zone}. Empty: the appliance's own."))
                    }}
                </p>
            </div>
            </fieldset>
            <button type="submit" class="button button-primary" aria-disabled=move || is_off().to_string()>
                "Save Schedule"
            </button>
            <p class="saved" role="status">
                {form.success}
            </p>
            <p class="problem-text" role="alert">
                {problem}
            </p>
        </form>
    }
}

/// Days, start and end of one window.
#[component]
fn Window(form: Form, row: Row) -> impl IntoView {
    let fault = Memo::new(move |_| form.fault_of(row.key));
    let is_wrong =
        move |field| fault.with(|fault| fault.as_ref().is_some_and(|fault| fault.field == field));
    let label = move || {
        format!(
            "Window {}",
            form.index(row.key).map_or(1, |index| index + 1)
        )
    };
    let problem_id = row.id("problem");
    let days = DAYS.iter().enumerate().map(|(index, (day, short, long))| {
        let day = *day;
        let is_chosen = move || row.days.with(|days| days.contains(&day));
        view! {
            <button
                id=row.id(&format!("day-{index}"))
                type="button"
                class="button button-segment"
                aria-pressed=move || is_chosen().to_string()
                on:click=move |_| {
                    row.days
                        .update(|days| {
                            match days.iter().position(|it| *it == day) {
                                Some(index) => {
                                    days.remove(index);
                                }
                                None => days.push(day),
                            }
                        });
                    form.edit();
                }
            >
                <span aria-hidden="true">{*short}</span>
                <span class="visually-hidden">{*long}</span>
            </button>
        }
    });
    let time =
        |name: &'static str, part: &'static str, value: RwSignal<String>, field: ScheduleField| {
            view! {
                <input
                    id=row.id(part)
                    class="input"
                    type="time"
                    aria-label=name
                    // Once: writing the value of an incomplete time back clears the whole field in Chromium.
                    value=value.get_untracked()
                    aria-invalid=move || is_wrong(field).to_string()
                    aria-describedby=row.id("problem")
                    on:input=move |event| {
                        value.set(event_target_value(&event));
                        form.edit();
                    }
                />
            }
        };
    view! {
        <div class="schedule-window" role="group" aria-label=label>
            <div class="schedule-head">
                <span class="schedule-name" aria-hidden="true">{label}</span>
                <button
                    type="button"
                    class="button button-quiet"
                    aria-label=move || format!("Remove {}", label().to_lowercase())
                    title="Remove"
                    on:click=move |_| form.remove(row.key)
                >
                    <Icon glyph=Glyph::Trash />
                </button>
            </div>
            <div class="schedule-days" role="group" aria-label="Days" aria-describedby=problem_id.clone()>
                {days.collect_view()}
            </div>
            <div class="schedule-times">
                {time("Start", "start", row.start, ScheduleField::Start)}
                <span aria-hidden="true">"–"</span>
                {time("End", "end", row.end, ScheduleField::End)}
            </div>
            <p id=problem_id class="problem-text" role="alert">
                {move || fault.get().map(|fault| fault.reason)}
            </p>
        </div>
    }
}

/// Capitalises the first letter.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
