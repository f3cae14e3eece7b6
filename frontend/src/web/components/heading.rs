use std::sync::atomic::{AtomicBool, Ordering};

use leptos::prelude::*;

use crate::web::dom;

/// The id of the page's heading.
const HEADING: &str = "page-heading";

/// Whether a page has been shown before; the browser itself places the focus on the first one.
static NAVIGATED: AtomicBool = AtomicBool::new(false);

/// The page's heading. It names the document, and takes the focus when somebody comes here from another page,
/// so that a screen reader tells where they are and the keyboard goes on from here.
#[component]
pub(in crate::web) fn Heading(
    /// What the page is called.
    #[prop(into)]
    title: Signal<String>,
    /// Whether another element of the page takes the focus instead.
    #[prop(optional)]
    keeps_focus_off: bool,
) -> impl IntoView {
    Effect::new(move |_| document().set_title(&format!("{} · Sortie Recording", title.get())));
    Effect::new(move |_| {
        if NAVIGATED.swap(true, Ordering::Relaxed) && !keeps_focus_off {
            dom::focus(HEADING);
        }
    });
    view! {
        <h1 id=HEADING tabindex="-1">
            {title}
        </h1>
    }
}
