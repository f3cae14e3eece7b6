//! Retention: deletes recordings older than the configured days, and the oldest when the disk is too full.
//!
//! [`Planner`] is the pure decision: it maps rows, time and disk usage to verdicts. Preview and run (and so the button
//! Clean Up Storage) use the same planner.

mod clock_guard;
mod clock_watch;
mod planner;
mod runner;

pub(crate) use clock_watch::ClockWatch;
pub(crate) use planner::{Marks, Owners, Planner, Rules, Verdict};
pub(crate) use runner::{Retention, RunError};
