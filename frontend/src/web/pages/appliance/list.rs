use leptos::prelude::*;

use super::store::ApplianceStore;
use crate::web::components::RefreshButton;
use crate::web::pages::recordings::RecordingList;

const HEADING: &str = "list-heading";

/// Recordings of the appliance, the growing one first.
#[component]
pub(super) fn List(appliance: ApplianceStore) -> impl IntoView {
    let store = appliance.recordings;
    view! {
        <section class="list" aria-labelledby=HEADING>
            <RecordingList
                store=store
                named_by=HEADING
                heading=ViewFn::from(|| view! { <h2 id=HEADING>"Recordings"</h2> })
                actions=ViewFn::from(move || view! { <RefreshButton state=store.page.fetch_state() /> })
            />
        </section>
    }
}
