use gloo_timers::callback::Timeout;
use leptos::html;
use leptos::prelude::*;
use leptos::wasm_bindgen::{JsCast, JsValue};

/// Time in milliseconds after which the controls of the fullscreen view disappear.
const REST_MS: u32 = 3_000;

/// Fullscreen view of the stage. Its controls disappear while pointer and keyboard rest.
#[derive(Clone, Copy)]
pub(super) struct Fullscreen {
    /// Element that fills the screen.
    pub(super) element: NodeRef<html::Div>,
    video: NodeRef<html::Video>,
    is_on: RwSignal<bool>,
    hides_controls: RwSignal<bool>,
    timer: StoredValue<Option<Timeout>, LocalStorage>,
}

impl Fullscreen {
    pub(super) fn new(video: NodeRef<html::Video>) -> Self {
        let fullscreen = Self {
            element: NodeRef::new(),
            video,
            is_on: RwSignal::new(false),
            hides_controls: RwSignal::new(false),
            timer: StoredValue::new_local(None),
        };
        on_cleanup(move || fullscreen.timer.set_value(None));
        fullscreen
    }

    /// Tracked, like the other getter.
    pub(super) fn is_on(self) -> bool {
        self.is_on.get()
    }

    pub(super) fn hides_controls(self) -> bool {
        self.hides_controls.get()
    }

    /// Enters or leaves the fullscreen view. The browser may refuse.
    pub(super) fn toggle(self) {
        if document().fullscreen_element().is_some() {
            document().exit_fullscreen();
            return;
        }
        let Some(element) = self.element.get_untracked() else {
            return;
        };
        if element.request_fullscreen().is_err() {
            self.enter_on_iphone();
        }
    }

    /// Safari on an iPhone shows only video elements in fullscreen, by a method of its own.
    fn enter_on_iphone(self) {
        let Some(video) = self.video.get_untracked() else {
            return;
        };
        let method = js_sys::Reflect::get(&video, &JsValue::from_str("webkitEnterFullscreen"));
        if let Ok(method) = method.and_then(|method| method.dyn_into::<js_sys::Function>()) {
            let _ = method.call0(&video);
        }
    }

    /// Handles the event `fullscreenchange` of the element.
    pub(super) fn update(self) {
        self.is_on.set(document().fullscreen_element().is_some());
        self.show_controls();
    }

    /// Shows the controls and hides them later.
    pub(super) fn show_controls(self) {
        if self.hides_controls.get_untracked() {
            self.hides_controls.set(false);
        }
        let rest = self.is_on.get_untracked().then(|| {
            Timeout::new(REST_MS, move || {
                self.hides_controls.try_set(true);
            })
        });
        self.timer.set_value(rest);
    }
}
