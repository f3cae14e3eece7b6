//! Decisions of the library that need no browser: titles, days, filters, keys.

pub mod days;
pub mod filters;
pub mod key_map;
pub mod titles;
