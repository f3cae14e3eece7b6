//! Commands of the program.

mod check_config;
mod commands;
#[path = "../support/mod.rs"]
mod support;
