//! Everything that touches the browser. What it does is decided elsewhere: by `machine` and by
//! `sortie_tus::client`.

mod access;
mod awake;
mod capture;
mod checksum;
mod fetch;
mod hub;
mod json;
mod leftover;
#[cfg(feature = "finish")]
mod playable;
mod quota;
mod recorder;
mod run;
mod server;
mod session_watcher;
mod source;
mod spool;
mod thrown;
mod time;
mod transfer;
mod uploader;
mod worker;

pub use hub::EventListener;
pub use leftover::{Leftover, OnServer, Recovery, recover};
#[cfg(feature = "finish")]
pub use playable::playable;
pub use recorder::Recorder;
pub use server::create_session;
pub use session_watcher::SessionWatcher;
pub use source::{OpenSource, ScreenOptions, Source, screen_capture_supported};
pub use transfer::{UploadProgress, upload_file};

/// Milliseconds of a clock that does not jump.
fn now_ms() -> f64 {
    web_sys::window()
        .and_then(|window| window.performance())
        .map_or_else(js_sys::Date::now, |it| it.now())
}
