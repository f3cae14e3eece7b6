//! Recordings: lists, downloads, changes, deletion.

mod downloads;
mod lists;
mod recordings;
#[path = "../support/mod.rs"]
mod support;
