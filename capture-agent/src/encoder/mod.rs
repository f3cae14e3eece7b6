//! H.264 encoders and their trials.
//!
//! An installed element may not work: the driver below it may be missing, busy or broken. Each encoder is therefore
//! tried by opening its device and encoding a few frames.

mod candidate;
mod trial;

pub use candidate::{CANDIDATES, Candidate, Class, Tuning};
pub(crate) use trial::sentence;
pub use trial::{FRAMES, Outcome, Trial, best, first_working, try_all, try_candidate};

#[derive(Debug, thiserror::Error)]
#[error("GStreamer could not be started: {0}")]
pub struct InitError(#[from] gstreamer::glib::Error);

/// Initialises GStreamer. Must be called before anything else in this module; repeated calls are harmless.
///
/// # Errors
///
/// GStreamer refuses, for example because its registry cannot be built.
pub fn init() -> Result<(), InitError> {
    Ok(gstreamer::init()?)
}

/// GStreamer version at run time.
#[must_use]
pub fn version() -> String {
    gstreamer::version_string().into()
}
