//! Screen and canvas recorder for the browser that uploads while recording.
//!
//! A `Source` is opened as an `OpenSource`, which can be previewed. A `Recorder` encodes it with the browser's
//! `MediaRecorder` and uploads each chunk immediately, to Sortie Recording's own server or to any tus server. Bytes are
//! kept and sent again until the server has acknowledged them, so `stop` waits for the last chunk only.
//!
#![cfg_attr(target_arch = "wasm32", doc = "```no_run")]
#![cfg_attr(not(target_arch = "wasm32"), doc = "```text")]
//! # use sortie_client::*;
//! # fn show(_: u64, _: u64) {}
//! # fn open_player(_: Option<String>) {}
//! # async fn example(video: web_sys::HtmlVideoElement) -> Result<(), RecorderError> {
//! let source = Source::screen(ScreenOptions::default()).with_microphone(true).open().await?;
//! video.set_src_object(Some(&source.stream())); // a preview before anything is recorded
//! let recorder = Recorder::new(Options::new(Target::server("")));
//! let listener = recorder.on_event(|event| match event {
//!     Event::Progress(progress) => show(progress.recorded_ms, progress.safe_ms),
//!     Event::Done(done) => open_player(done.recording_id),
//!     _ => {}
//! });
//! recorder.start(source)?;
//! // and when the user presses the button again:
//! recorder.stop(StopReason::User)?;
//! # drop(listener);
//! # Ok(())
//! # }
//! ```
//!
//! It changes no recorded byte, reads no more of a container than the start of the next cluster or fragment, makes no
//! decision about sending (`sortie_tus::client` does), and draws nothing.
//!
//! The modules that make decisions are pure and compile everywhere; those that use the browser exist on `wasm32` only.
//! With the features `js-recorder`, `js-recovery`, `js-session-watcher` and `js-playable` the crate exports bindings for
//! JavaScript.

// The following modules serve the browser; native builds use them in tests only.
#[cfg(any(target_arch = "wasm32", test))]
mod auto_record;
mod container;
mod error;
mod error_code;
mod event;
#[cfg(any(target_arch = "wasm32", test))]
mod filler;
#[cfg(all(feature = "finish", any(target_arch = "wasm32", test)))]
mod finish;
mod mark_kind;
mod named;
#[cfg(any(target_arch = "wasm32", test))]
mod numbers;
mod options;
#[cfg(any(target_arch = "wasm32", test))]
mod queue;
#[cfg(any(target_arch = "wasm32", test))]
mod recorder;
mod refusal;
#[cfg(any(target_arch = "wasm32", test))]
mod spool;
mod spool_storage;
#[cfg(any(target_arch = "wasm32", test))]
mod sse;
mod state;
#[cfg(any(target_arch = "wasm32", test))]
mod wire;

pub use container::{AUDIO_VIDEO_TYPES, VIDEO_TYPES, choose_type, file_extension};
pub use error::{Device, RecorderError};
pub use error_code::ErrorCode;
pub use event::{Done, Event, Progress, Waiting, Warning, WarningCode};
pub use mark_kind::MarkKind;
pub use options::{Authorization, Labels, Options, Renewal, RenewalFailed, Target};
pub use refusal::Refusal;
pub use spool_storage::SpoolStorage;
pub use state::{State, StopReason};

#[cfg(any(target_arch = "wasm32", test))]
pub use auto_record::SessionOrder;
#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(all(target_arch = "wasm32", feature = "finish"))]
pub use browser::playable;
#[cfg(all(target_arch = "wasm32", feature = "compose"))]
pub use browser::{CameraOverlay, Composition, Corner, DeviceChoice, Devices, Mask, Region};
#[cfg(target_arch = "wasm32")]
pub use browser::{
    DeviceCopies, EventListener, OnServer, OpenSource, Recorder, RecoverableRecording, Recovery,
    ScreenOptions, SessionWatcher, Source, UploadProgress, create_session, device_copies,
    is_type_supported, preferred_type, recover, screen_capture_supported, upload_file,
};
#[cfg(all(target_arch = "wasm32", feature = "js"))]
pub mod js;
