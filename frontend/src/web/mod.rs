//! What only exists in a browser: the application, its pages and the calls to the server.

mod address;
mod api;
mod app;
mod app_context;
mod components;
mod dom;
mod download;
mod event_stream;
mod last_list;
mod list_query;
mod pages;
mod poll;
mod recorder_store;
mod server_data;
mod submission;

/// Shows the application in the document's body; called once, when the page has loaded.
pub fn start() {
    console_error_panic_hook::set_once();
    if address::enter() {
        return;
    }
    dom::remove_boot_notice();
    leptos::mount::mount_to_body(app::App);
}
