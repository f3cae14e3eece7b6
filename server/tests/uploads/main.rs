//! Uploads: tus and the single-request form, limits, concurrency, recovery.

mod checksum;
mod concatenation;
mod errors;
mod expiration;
mod interleavings;
mod limits;
mod parts;
mod patch;
mod preemption;
mod races;
mod silence;
#[path = "../support/mod.rs"]
mod support;
