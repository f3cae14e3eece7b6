use gloo_timers::callback::Timeout;
use leptos::prelude::*;

use crate::web::dom;

const PERIOD_MS: u64 = 10_000;

/// Live region for a text that changes often: announces the first text immediately and later the newest one, at most
/// every ten seconds.
#[component]
pub(in crate::web) fn LiveRegion(
    /// Text to announce; an empty text is not announced.
    #[prop(into)]
    text: Signal<String>,
) -> impl IntoView {
    let spoken = RwSignal::new(String::new());
    let last_ms = StoredValue::new(None::<u64>);
    let timer = StoredValue::new_local(None::<Timeout>);
    let announce = move || {
        let Some(newest) = text.try_get_untracked() else {
            return;
        };
        if !newest.is_empty() {
            last_ms.try_set_value(Some(dom::monotonic_ms()));
        }
        if spoken.try_with_untracked(|spoken| *spoken != newest) == Some(true) {
            spoken.try_set(newest);
        }
        timer.try_set_value(None);
    };
    Effect::new(move |_| {
        text.track();
        let passed_ms = last_ms
            .get_value()
            .map(|last_ms| dom::monotonic_ms().saturating_sub(last_ms));
        match passed_ms {
            Some(passed_ms) if passed_ms < PERIOD_MS => {
                let is_set = timer.with_value(Option::is_some);
                if !is_set {
                    let wait_ms = u32::try_from(PERIOD_MS - passed_ms).unwrap_or(0);
                    // Deferred to a task: a timer must not be dropped in its own callback.
                    timer.set_value(Some(Timeout::new(wait_ms, move || {
                        leptos::task::spawn_local(async move { announce() });
                    })));
                }
            }
            _ => announce(),
        }
    });
    view! {
        <p class="visually-hidden" role="status">
            {spoken}
        </p>
    }
}
