//! Records an HDMI input; a power cut costs at most the last second.
//!
//! - [`signal`]: debounced state machine of the input signal, without I/O.
//! - [`device`]: V4L2 capabilities, formats and DV timings.
//! - [`encoder`]: trials of the H.264 encoders that GStreamer offers.
//! - [`source`]: choice of a capture format, and a test source.
//! - [`pipeline`]: GStreamer pipeline from a source to encoded frames.
//! - [`pictures`]: storyboard of a recording, in a file beside it.
//! - [`writer`]: crash-safe files, in a thread of its own.
//! - [`recorder`]: automatic and manual recording, file after file.
//! - [`schedule`]: weekly windows in which auto-record is armed, without I/O.
//! - [`forward`]: upload of recordings to a central server.
//! - [`serve`]: the recorder inside a server with accounts, pages and a catalog.
//! - [`record`]: one recording without a server; [`probe`]: report on devices and encoders.
//! - [`problem`]: reasons that prevent a recording.
//!
//! ```
//! use std::time::Duration;
//! use sortie_capture_agent::signal::{
//!     Config, Evidence, FrameRate, Input, Mode, Monitor, Output, Reading, Signal,
//! };
//!
//! let mode = Mode::progressive(1920, 1080, FrameRate::from_hertz(60));
//! let mut monitor = Monitor::new(Config::default());
//! monitor.handle_input(Duration::ZERO, Input::DeviceFound(Evidence::Timings));
//! assert_eq!(monitor.poll_output(), Some(Output::Query));
//!
//! monitor.handle_input(Duration::ZERO, Input::Timings(Reading::Locked(mode)));
//! assert_eq!(monitor.signal(), Signal::NoDevice, "debounced");
//! monitor.handle_timeout(Duration::from_millis(300));
//! assert_eq!(monitor.signal(), Signal::Steady(mode));
//! ```
#![expect(
    missing_docs,
    reason = "not a published interface: comments only where a name does not say it"
)]

pub mod alarm;
mod child;
pub mod clock;
pub mod device;
pub mod encoder;
pub mod forward;
pub mod pictures;
pub mod pipeline;
pub mod probe;
pub mod problem;
pub mod record;
pub mod recorder;
pub mod schedule;
pub mod serve;
pub mod signal;
pub mod source;
pub mod writer;
