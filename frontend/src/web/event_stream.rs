//! Server-sent events (`GET /api/events`).

use std::rc::Rc;

use gloo_timers::callback::Interval;
use leptos::prelude::*;
use leptos::task::spawn_local;
use leptos::wasm_bindgen::JsCast;
use leptos::wasm_bindgen::closure::Closure;
use sortie_api::Event;
use web_sys::{EventSource, MessageEvent};

use super::address::url;
use super::app_context::AppContext;
use super::poll::visibility;

/// Retry interval of a refused stream. The browser itself reconnects broken streams.
const AGAIN_MS: u32 = 30_000;

/// Event types that pages use.
const NAMES: [&str; 7] = [
    "hello",
    "settings",
    "session",
    "session_deleted",
    "recording",
    "recording_deleted",
    "appliance",
];

/// Parses an event by its name and data; `None` for an event that the caller does not use.
type Parse = fn(&str, &str) -> Option<Event>;

/// Parses the events of recordings. The library uses no other, so the code that reads the others is not part of it.
pub(super) fn recording_event(name: &str, data: &str) -> Option<Event> {
    match name {
        "hello" => serde_json::from_str(data).ok().map(Event::Hello),
        "recording" => serde_json::from_str(data).ok().map(Event::Recording),
        "recording_deleted" => serde_json::from_str(data).ok().map(Event::RecordingDeleted),
        _ => None,
    }
}

/// Parses all events.
pub(super) fn any_event(name: &str, data: &str) -> Option<Event> {
    Event::parse(name, data).ok().flatten()
}

/// Subscribes to the stream at a path and passes its events to `on_event`. Returns whether the stream is open;
/// otherwise the caller polls.
///
/// Only visible pages hold a stream: browsers allow six connections per host for all tabs.
pub(super) fn subscribe(
    address: &'static str,
    parse: Parse,
    on_event: impl Fn(Event) + 'static,
) -> ReadSignal<bool> {
    subscribe_with(address, parse, Rc::new(on_event))
}

/// Not generic, so that it is compiled once.
fn subscribe_with(
    address: &'static str,
    parse: Parse,
    on_event: Rc<dyn Fn(Event)>,
) -> ReadSignal<bool> {
    let on_event = StoredValue::new_local(on_event);
    let app = AppContext::expect();
    let (is_open, set_open) = signal(false);
    let stream = StoredValue::new_local(None::<Stream>);
    let visible = visibility();
    let open = move || {
        if let Some(on_event) = on_event.try_get_value() {
            stream.try_set_value(Stream::open(address, set_open, parse, on_event));
        }
    };
    Effect::new(move |_| {
        if visible.get() {
            open();
        } else {
            stream.set_value(None);
            set_open.set(false);
        }
    });
    let again = Interval::new(AGAIN_MS, move || {
        let is_refused = stream
            .try_with_value(|stream| stream.as_ref().is_some_and(Stream::is_refused))
            .unwrap_or(false);
        if is_refused {
            spawn_local(async move {
                // Renews an expired sign-in.
                if app.api().me().await.is_ok() {
                    open();
                }
            });
        }
    });
    let again = StoredValue::new_local(Some(again));
    on_cleanup(move || {
        stream.set_value(None);
        again.set_value(None);
    });
    is_open
}

/// Open stream; closed on drop.
struct Stream {
    source: EventSource,
    _listener: Closure<dyn Fn(MessageEvent)>,
    _on_open: Closure<dyn Fn()>,
    _on_error: Closure<dyn Fn()>,
}

impl Stream {
    fn open(
        address: &str,
        is_open: WriteSignal<bool>,
        parse: Parse,
        on_event: Rc<dyn Fn(Event)>,
    ) -> Option<Self> {
        let source = EventSource::new(&url(address)).ok()?;
        let listener = Closure::new(move |message: MessageEvent| {
            let data = message.data().as_string().unwrap_or_default();
            if let Some(event) = parse(&message.type_(), &data) {
                on_event(event);
            }
        });
        for name in NAMES {
            // Cannot fail for these names.
            let _ =
                source.add_event_listener_with_callback(name, listener.as_ref().unchecked_ref());
        }
        let on_open = Closure::new(move || is_open.set(true));
        source.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        let on_error = Closure::new(move || is_open.set(false));
        source.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        Some(Self {
            source,
            _listener: listener,
            _on_open: on_open,
            _on_error: on_error,
        })
    }

    /// Whether the browser will not reconnect.
    fn is_refused(&self) -> bool {
        self.source.ready_state() == EventSource::CLOSED
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.source.set_onopen(None);
        self.source.set_onerror(None);
        self.source.close();
    }
}
