use gloo_net::http::Method;
use leptos::ev;
use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_api::{RECORDING_AUTO_RECORD, STORAGE_THRESHOLD_PERCENT, Settings};

use super::store::ApplianceStore;
use crate::web::components::SaveSettings;
use crate::web::dom;

const THRESHOLD: &str = "threshold";

/// Settings form. Follows changes made elsewhere until the user edits a field.
#[component]
pub(super) fn SettingsForm(appliance: ApplianceStore) -> impl IntoView {
    let kept = Memo::new(move |_| {
        let kept = appliance.with(|now| (now.auto_record, now.threshold_percent.unwrap_or(0)));
        kept.unwrap_or_default()
    });
    // Unsaved choice.
    let auto = RwSignal::new(None::<bool>);
    let threshold = RwSignal::new(None::<String>);
    let auto_shown = move || auto.get().unwrap_or_else(|| kept.get().0);
    let threshold_shown = move || threshold.get().unwrap_or_else(|| kept.get().1.to_string());
    let is_busy = RwSignal::new(false);
    let success = RwSignal::new("");
    let problem = RwSignal::new(None::<String>);
    let is_wrong = RwSignal::new(false);

    let save = move |event: ev::SubmitEvent| {
        event.prevent_default();
        if is_busy.get_untracked() || untrack(|| appliance.is_unreachable()) {
            return;
        }
        success.set("");
        problem.set(None);
        let percent = untrack(threshold_shown).trim().parse::<u8>();
        let Some(percent) = percent.ok().filter(|percent| *percent < 100) else {
            is_wrong.set(true);
            problem.set(Some(
                "The storage threshold is a whole number from 0 to 99.".to_owned(),
            ));
            dom::focus(THRESHOLD);
            return;
        };
        is_wrong.set(false);
        let on = untrack(auto_shown);
        is_busy.set(true);
        spawn_local(async move {
            let changes = Settings::from([
                (RECORDING_AUTO_RECORD.to_owned(), on.to_string()),
                (STORAGE_THRESHOLD_PERCENT.to_owned(), percent.to_string()),
            ]);
            let api = appliance.api();
            let outcome = api
                .execute(Method::PUT, "/api/admin/settings", &changes)
                .await;
            if is_busy.is_disposed() {
                return;
            }
            is_busy.set(false);
            match outcome {
                Ok(()) => {
                    // Shown immediately; the device confirms the change with an event.
                    appliance.state.update(|now| {
                        if let Some(now) = now {
                            now.auto_record = on;
                            now.threshold_percent = (percent > 0).then_some(percent);
                        }
                    });
                    auto.set(None);
                    threshold.set(None);
                    success.set("Settings saved successfully");
                    appliance.notify_change();
                }
                Err(error) => problem.set(Some(appliance.explain(&error))),
            }
        });
    };
    view! {
        <form class="appliance-settings" novalidate on:submit=save>
            <div class="switch">
                <label for="auto-record">"Auto-Record Sessions"</label>
                <input
                    id="auto-record"
                    type="checkbox"
                    role="switch"
                    class="toggle"
                    prop:checked=auto_shown
                    aria-describedby="auto-record-hint"
                    on:change=move |event| {
                        success.set("");
                        auto.set(Some(event_target_checked(&event)));
                    }
                />
            </div>
            <p id="auto-record-hint" class="field-hint">
                "Starts when a signal appears, stops when it is lost."
            </p>
            <div class="field">
                <label for=THRESHOLD>"Storage threshold"</label>
                <div class="input-unit">
                    <input
                        id=THRESHOLD
                        class="input"
                        type="number"
                        inputmode="numeric"
                        min="0"
                        max="99"
                        prop:value=threshold_shown
                        aria-invalid=move || is_wrong.get().to_string()
                        aria-describedby="threshold-hint"
                        on:input=move |event| {
                            success.set("");
                            threshold.set(Some(event_target_value(&event)));
                        }
                    />
                    <span aria-hidden="true">"%"</span>
                </div>
                <p id="threshold-hint" class="field-hint">
                    "Delete the oldest recordings above this disk usage. 0 = off."
                </p>
            </div>
            <SaveSettings
                is_off=Signal::derive(move || is_busy.get() || appliance.is_unreachable())
                success=success
                problem=problem
            />
        </form>
    }
}
