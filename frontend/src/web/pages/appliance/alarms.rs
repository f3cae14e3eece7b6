use leptos::prelude::*;

use super::store::ApplianceStore;
use crate::web::components::{Glyph, Icon};

/// Raised alarms of the appliance, each announced once.
#[component]
pub(super) fn AlarmNotices(appliance: ApplianceStore) -> impl IntoView {
    let alarms = Memo::new(move |_| appliance.with(|now| now.alarms.clone()).unwrap_or_default());
    view! {
        <For each=move || alarms.get() key=|raised| (raised.alarm, raised.message.clone()) let:raised>
            <div class="notice notice-problem" role="alert">
                <Icon glyph=Glyph::Alert />
                <p>
                    <strong>{raised.message}</strong>
                    " "
                    {raised.advice}
                </p>
            </div>
        </For>
    }
}
