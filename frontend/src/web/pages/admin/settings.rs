use gloo_net::http::Method;
use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_api::{RECORDING_AUTO_RECORD, Settings};

use crate::web::components::{ErrorNotice, Loading};
use crate::web::loaded::Loaded;
use crate::web::session::Session;

const ROUTE: &str = "/api/admin/settings";

/// What an administrator sets while the server runs.
#[component]
pub(super) fn SettingsTab() -> impl IntoView {
    let settings = Loaded::new(|api| async move { api.get::<Settings>(ROUTE).await });
    settings.load();
    let problem = settings.problem();
    view! {
        <h2 class="visually-hidden">"Settings"</h2>
        <Show when=move || problem.with(Option::is_some)>
            <ErrorNotice
                sentence=Signal::derive(move || problem.get().unwrap_or_default())
                on_action=move |()| settings.load()
            />
        </Show>
        <Show when=move || settings.is_waiting()>
            <Loading label="Loading the settings" bars=2 />
        </Show>
        {move || settings.get().map(|settings| view! { <SettingsForm settings=settings /> })}
    }
}

#[component]
fn SettingsForm(settings: Settings) -> impl IntoView {
    let session = Session::expect();
    let auto_record = NodeRef::<html::Input>::new();
    let is_busy = RwSignal::new(false);
    let is_saved = RwSignal::new(false);
    let problem = RwSignal::new(None::<String>);
    let is_on = settings
        .get(RECORDING_AUTO_RECORD)
        .is_some_and(|value| value == "true");

    let save = move |event: ev::SubmitEvent| {
        event.prevent_default();
        let Some(field) = auto_record.get_untracked() else {
            return;
        };
        if is_busy.get_untracked() {
            return;
        }
        is_busy.set(true);
        is_saved.set(false);
        problem.set(None);
        let changes = Settings::from([(
            RECORDING_AUTO_RECORD.to_owned(),
            field.checked().to_string(),
        )]);
        spawn_local(async move {
            let outcome = session.api().tell(Method::PUT, ROUTE, &changes).await;
            if is_busy.try_set(false).is_some() {
                return;
            }
            match outcome {
                Ok(()) => is_saved.set(true),
                Err(error) => problem.set(Some(session.explain(&error))),
            }
        });
    };
    view! {
        <form class="card settings" on:submit=save>
            <div class="check">
                <input
                    node_ref=auto_record
                    id="auto-record"
                    type="checkbox"
                    checked=is_on
                    aria-describedby="auto-record-hint"
                    on:change=move |_| is_saved.set(false)
                />
                <label for="auto-record">"Auto-record sessions"</label>
            </div>
            <p id="auto-record-hint" class="check-hint">
                "When enabled, recording starts automatically for all new sessions"
            </p>
            <div class="settings-actions">
                <button
                    type="submit"
                    class="button button-primary"
                    aria-disabled=move || is_busy.get().to_string()
                >
                    "Save Settings"
                </button>
                <p class="saved" role="status">
                    {move || is_saved.get().then_some("Settings saved successfully")}
                </p>
                <p class="problem-text" role="alert">
                    {problem}
                </p>
            </div>
        </form>
    }
}
