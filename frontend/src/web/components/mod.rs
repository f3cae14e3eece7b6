//! The parts that pages are made of.

mod confirm;
mod filters;
mod gate;
mod header;
mod heading;
mod icon;
mod notice;
mod pager;
mod recording_facts;
mod save_settings;
mod sheet;
mod spoken;
mod status_badge;
mod table;
mod user_menu;

pub(super) use confirm::{Confirm, Question, removing};
pub(super) use filters::{Choice, DayField, Filters, SearchField};
pub(super) use gate::Gate;
pub(super) use header::Header;
pub(super) use heading::Heading;
pub(super) use icon::{Glyph, Icon};
pub(super) use notice::{ErrorNotice, Loading};
pub(super) use pager::Pager;
pub(super) use recording_facts::{Duration, Moment};
pub(super) use save_settings::SaveSettings;
pub(super) use sheet::{CheckField, Sheet, SheetEnd, TextField};
pub(super) use spoken::Spoken;
pub(super) use status_badge::StatusBadge;
pub(super) use table::{Cell, Fetching, Listing, Refresh, Table};
