//! Components shared by the pages.

mod confirm_dialog;
mod filters;
mod form_dialog;
mod header;
mod heading;
mod icon;
mod live_region;
mod notice;
mod pager;
mod recording_facts;
mod require_sign_in;
mod save_settings;
mod status_badge;
mod table;
mod user_menu;

pub(super) use confirm_dialog::{ConfirmDialog, Confirmation, removing};
pub(super) use filters::{Choice, DayField, Filters, SearchField};
pub(super) use form_dialog::{CheckField, FormActions, FormDialog, TextField};
pub(super) use header::Header;
pub(super) use heading::Heading;
pub(super) use icon::{Glyph, Icon};
pub(super) use live_region::LiveRegion;
pub(super) use notice::{ErrorNotice, Loading};
pub(super) use pager::Pager;
pub(super) use recording_facts::{Duration, LocalTime};
pub(super) use require_sign_in::RequireSignIn;
pub(super) use save_settings::SaveSettings;
pub(super) use status_badge::StatusBadge;
pub(super) use table::{Cell, FetchStatus, PagedTable, RefreshButton, Table};
