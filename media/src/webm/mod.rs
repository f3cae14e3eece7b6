//! WebM and Matroska ([RFC 9559](https://www.rfc-editor.org/rfc/rfc9559)).

mod block;
mod cluster;
mod cues;
mod elements;
mod finish;
mod further;
mod head;
mod info;
mod layout;
mod memory;
mod patches;
mod placement;
mod rewrite;
mod scanner;
mod tags;
#[cfg(test)]
mod tests;
mod timeline;
mod tracks;

pub(crate) use head::is_stored_head;
pub(crate) use scanner::Scanner;
