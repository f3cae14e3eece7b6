use gloo_net::http::Method;
use leptos::ev;
use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_api::{Event, RECORDING_AUTO_RECORD, Settings};

use crate::web::app_context::AppContext;
use crate::web::components::{FetchStatus, SaveSettings};
use crate::web::event_stream::{any_event, subscribe};
use crate::web::server_data::ServerData;

const ROUTE: &str = "/api/admin/settings";

/// Settings that take effect immediately. Follows changes of other administrators.
#[component]
pub(super) fn SettingsTab() -> impl IntoView {
    let settings = ServerData::new(|api| async move { api.get::<Settings>(ROUTE).await });
    settings.load();
    let is_known = Memo::new(move |_| settings.with(|_| ()).is_some());
    view! {
        <h2 class="visually-hidden">"Settings"</h2>
        <FetchStatus state=settings.fetch_state() bars=2 />
        <Show when=move || is_known.get()>
            <SettingsForm settings=settings />
        </Show>
    }
}

fn is_on(settings: &Settings) -> bool {
    settings
        .get(RECORDING_AUTO_RECORD)
        .is_some_and(|value| value == "true")
}

/// Stores a new value; returns `false` if it is the old one.
fn turn(settings: &mut Settings, on: bool) -> bool {
    let is_new = is_on(settings) != on;
    settings.insert(RECORDING_AUTO_RECORD.to_owned(), on.to_string());
    is_new
}

#[component]
fn SettingsForm(settings: ServerData<Settings>) -> impl IntoView {
    let app = AppContext::expect();
    let kept = Memo::new(move |_| settings.with(is_on).unwrap_or(false));
    // Unsaved choice; `None` shows the server's value.
    let unsaved = RwSignal::new(None::<bool>);
    let shown = move || unsaved.get().unwrap_or_else(|| kept.get());
    let is_busy = RwSignal::new(false);
    let success = RwSignal::new("");
    let problem = RwSignal::new(None::<String>);

    subscribe("/api/events", any_event, move |event| match event {
        Event::Hello(_) => settings.poll(),
        Event::Settings(now) => {
            let on = now.recording_auto_record;
            let mut is_new = false;
            settings.amend(|settings| {
                is_new = turn(settings, on);
                is_new
            });
            settings.mark_outdated();
            // Events of the own change can arrive before the response.
            if is_new && !is_busy.get_untracked() {
                success.set(if on {
                    "Turned on by another administrator"
                } else {
                    "Turned off by another administrator"
                });
            }
        }
        _ => {}
    });

    let save = move |event: ev::SubmitEvent| {
        event.prevent_default();
        if is_busy.get_untracked() {
            return;
        }
        let on = untrack(shown);
        is_busy.set(true);
        success.set("");
        problem.set(None);
        let changes = Settings::from([(RECORDING_AUTO_RECORD.to_owned(), on.to_string())]);
        spawn_local(async move {
            let outcome = app.api().execute(Method::PUT, ROUTE, &changes).await;
            if is_busy.is_disposed() {
                return;
            }
            match outcome {
                Ok(()) => {
                    settings.edit(|settings| turn(settings, on));
                    unsaved.set(None);
                    success.set("Settings saved successfully");
                }
                Err(error) => problem.set(Some(app.explain(&error))),
            }
            is_busy.set(false);
        });
    };
    view! {
        <form class="card settings" on:submit=save>
            <div class="check">
                <input
                    id="auto-record"
                    type="checkbox"
                    prop:checked=shown
                    aria-describedby="auto-record-hint"
                    on:change=move |event| {
                        success.set("");
                        unsaved.set(Some(event_target_checked(&event)));
                    }
                />
                <label for="auto-record">"Auto-record sessions"</label>
            </div>
            <p id="auto-record-hint" class="check-hint">
                "When enabled, recording starts automatically for all new sessions"
            </p>
            <div class="settings-actions">
                <SaveSettings is_off=is_busy success=success problem=problem />
            </div>
        </form>
    }
}
