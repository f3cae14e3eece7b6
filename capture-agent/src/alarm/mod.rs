//! Alarms that ask for a person: when they are raised and cleared, and the command that reports them.
//!
//! [`Alarms`] decides from [`Observation`]s; it does no I/O and has no clock.

mod command_line;
mod hook;
mod policy;

pub use command_line::CommandLine;
pub use hook::{Hook, HookRunner};
pub use policy::{Alarms, Limits, Observation, Transition};
