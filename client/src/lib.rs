//! Records in the browser and uploads while recording.
//!
//! A [`Source`] is opened into an `OpenSource` that can be previewed; a `Recorder` takes it, encodes it with the
//! browser's `MediaRecorder` and sends every chunk off at once, to Sortie Recording's own server or to any tus
//! server. What has not been acknowledged is kept and sent again until it is; stopping only has to wait for the
//! last chunk.
//!
//! ```ignore
//! let source = Source::screen(ScreenOptions::default()).with_microphone(true).open().await?;
//! video.set_src_object(Some(source.stream()));               // a preview before anything is recorded
//! let recorder = Recorder::new(Options::new(Target::server("")));
//! recorder.on_event(|event| match event {
//!     Event::Progress(progress) => show(progress.recorded_ms, progress.safe_ms),
//!     Event::Done(done) => open_player(done.recording_id),
//!     Event::Failed(error) => explain(error.code(), &error.to_string()),
//!     _ => {}
//! });
//! recorder.start(source);
//! // later
//! recorder.stop(StopReason::User);
//! ```
//!
//! What it does not do: it does not parse or change the bytes of the container, it makes no decision about
//! sending (that is `sortie_tus::client`), and it draws nothing.
//!
//! The modules that decide something are pure and compile everywhere; those that touch the browser exist on
//! `wasm32` only. With the feature `js` the crate exports a JavaScript class as well.

// Natively only their tests use what is meant for the browser.
#[cfg(any(target_arch = "wasm32", test))]
mod clock;
mod container;
mod error;
mod event;
#[cfg(any(target_arch = "wasm32", test))]
mod ledger;
#[cfg(any(target_arch = "wasm32", test))]
mod limit;
#[cfg(any(target_arch = "wasm32", test))]
mod machine;
mod options;
mod state;

pub use container::{AUDIO_VIDEO_TYPES, VIDEO_TYPES, choose_type, file_extension};
pub use error::{Device, RecorderError};
pub use event::{Done, Event, Progress, Waiting, Warning};
pub use options::{Authorization, Options, Renewal, RenewalFailed, Target};
pub use state::{State, StopReason};

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(target_arch = "wasm32")]
pub use browser::{
    EventListener, OpenSource, Recorder, ScreenOptions, Source, screen_capture_supported,
};
#[cfg(all(target_arch = "wasm32", feature = "js"))]
pub mod js;
