//! Bindings for JavaScript: classes, plain objects and real `Error`s.
//!
//! The npm package has four WebAssembly modules, each built from this crate with one feature: `js-recorder` is all that
//! a page needs to record, `js-recovery` uploads recoverable recordings and files, `js-session-watcher` follows a
//! session, and `js-playable` turns a recoverable recording into a playable file. The bindings decide nothing.

mod error;
#[cfg(feature = "js-recorder")]
mod event;
#[cfg(feature = "js-requests")]
mod options;
#[cfg(feature = "js-playable")]
mod playable;
#[cfg(any(
    feature = "js-recorder",
    feature = "js-recovery",
    feature = "js-playable"
))]
mod promise;
#[cfg(feature = "js-recorder")]
mod recorder;
#[cfg(feature = "js-recorder")]
mod recorder_options;
#[cfg(feature = "js-recovery")]
mod recovery;
#[cfg(feature = "js-session-watcher")]
mod session_watcher;
#[cfg(any(feature = "js-recorder", feature = "js-recovery"))]
mod value;

#[cfg(feature = "js-playable")]
pub use self::playable::playable;
#[cfg(feature = "js-recorder")]
pub use self::recorder::Recorder;
#[cfg(feature = "js-recovery")]
pub use self::recovery::{DeviceCopies, RecoverableRecording, device_copies, recover, upload_file};
#[cfg(feature = "js-session-watcher")]
pub use self::session_watcher::SessionWatcher;

/// Smaller than the default allocator of the standard library (dlmalloc).
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();
