use leptos::html;
use leptos::prelude::*;

use super::schedule::ScheduleForm;
use super::settings::SettingsForm;
use super::store::ApplianceStore;
use crate::web::components::{Glyph, Icon};

const HEADING: &str = "settings-heading";

/// Button that opens the settings, and the sheet with them. The native `<dialog>` traps the focus, closes on Escape and
/// returns the focus to the button.
#[component]
pub(super) fn SettingsSheet(appliance: ApplianceStore) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    let opened = RwSignal::new(0_u32);
    let open = move |_| {
        opened.update(|count| *count = count.wrapping_add(1));
        if let Some(dialog) = dialog.get_untracked()
            && !dialog.open()
        {
            // Fails only for a dialog outside of the document.
            let _ = dialog.show_modal();
        }
    };
    let close = move |_| {
        if let Some(dialog) = dialog.get_untracked() {
            dialog.close();
        }
    };
    view! {
        <button type="button" class="button" aria-haspopup="dialog" on:click=open>
            <Icon glyph=Glyph::Sliders />
            "Settings"
        </button>
        // A click beside the sheet closes it where the browser supports `closedby`.
        <dialog node_ref=dialog class="sheet" closedby="any" aria-labelledby=HEADING>
            <div class="sheet-head">
                <h2 id=HEADING>"Settings"</h2>
                <button type="button" class="button button-quiet" aria-label="Close" title="Close" on:click=close>
                    <Icon glyph=Glyph::Close />
                </button>
            </div>
            <SettingsForm appliance=appliance />
            <ScheduleForm appliance=appliance opened=opened />
        </dialog>
    }
}
