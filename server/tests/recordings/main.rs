//! Recordings: lists, downloads, changes, deletion.

mod activity;
mod clips;
mod downloads;
mod library;
mod lists;
mod live;
mod markers;
mod mp4_copies;
mod pictures;
mod playback_url;
mod recordings;
mod shares;
#[path = "../support/mod.rs"]
mod support;
