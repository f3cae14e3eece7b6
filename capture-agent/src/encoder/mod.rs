//! H.264 encoders: which there are, and which of them work.
//!
//! That an element is installed says little: the driver below it may be missing, busy or broken.
//! So each is really tried: its device is opened, and a few frames are pushed through it.

mod candidate;
mod trial;

pub use candidate::{CANDIDATES, Candidate, Class, Tuning};
pub(crate) use trial::sentence;
pub use trial::{FRAMES, Outcome, Trial, best, first_working, try_all, try_candidate};

/// GStreamer could not be started.
#[derive(Debug, thiserror::Error)]
#[error("GStreamer could not be started: {0}")]
pub struct InitError(#[from] gstreamer::glib::Error);

/// Starts GStreamer; must come before anything else here, may come again.
///
/// # Errors
///
/// When GStreamer refuses, for example because its registry cannot be built.
pub fn init() -> Result<(), InitError> {
    Ok(gstreamer::init()?)
}

/// The version of GStreamer that was found at run time.
#[must_use]
pub fn version() -> String {
    gstreamer::version_string().into()
}
