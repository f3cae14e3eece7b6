//! Polling while the page is visible.

use gloo_timers::callback::Interval;
use leptos::ev;
use leptos::prelude::*;

use super::dom;

/// Calls `tick` every `period_ms` while `active` returns `true` and the page is visible, and immediately when the page
/// becomes visible again. Stops with the component.
pub(super) fn poll_while(
    active: impl Fn() -> bool + Send + Sync + 'static,
    period_ms: u32,
    tick: impl Fn() + Copy + 'static,
) {
    let visible = visibility();
    // A memo keeps the timer running while the result does not change.
    let running = Memo::new(move |_| active() && visible.get());
    let timer = StoredValue::new_local(None::<Interval>);
    Effect::new(move |was_running: Option<bool>| {
        let is_running = running.get();
        timer.set_value(is_running.then(|| Interval::new(period_ms, tick)));
        if is_running && was_running == Some(false) {
            tick();
        }
        is_running
    });
}

/// Whether the page is visible; tracked until the component is disposed.
pub(super) fn visibility() -> ReadSignal<bool> {
    let (visible, set_visible) = signal(dom::is_visible());
    let listener = window_event_listener(ev::visibilitychange, move |_| {
        set_visible.set(dom::is_visible());
    });
    on_cleanup(move || listener.remove());
    visible
}
