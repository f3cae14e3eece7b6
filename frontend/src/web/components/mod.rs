//! The parts that pages are made of.

mod confirm_delete;
mod gate;
mod header;
mod heading;
mod icon;
mod notice;
mod recording_facts;
mod status_badge;
mod user_menu;

pub(super) use confirm_delete::ConfirmDelete;
pub(super) use gate::Gate;
pub(super) use header::Header;
pub(super) use heading::Heading;
pub(super) use icon::{Glyph, Icon};
pub(super) use notice::{ErrorNotice, Loading};
pub(super) use recording_facts::{Duration, Moment};
pub(super) use status_badge::StatusBadge;
