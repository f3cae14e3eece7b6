//! What goes by itself: recordings older than the days set, and the oldest when the disk is too full.
//!
//! [`Planner`] decides, and is pure: rows, time and disk come in, verdicts come out. The preview and the run (and so
//! the button Clean Up Storage) are two users of the one planner.

mod clock_guard;
mod clock_watch;
mod planner;
mod runner;

pub(crate) use clock_guard::{EARLIEST_MS, latest_ms};
pub(crate) use clock_watch::ClockWatch;
pub(crate) use planner::{Candidate, Marks, Owners, Planner, Rules, Verdict};
pub(crate) use runner::{Retention, RunError};
