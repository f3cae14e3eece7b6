//! Everything that needs a browser: the application, its pages and the API client.

mod address;
mod api;
mod app;
mod app_context;
mod components;
mod device_copies;
mod dom;
mod download;
mod event_stream;
mod last_list;
mod list_query;
mod load;
mod media_buffer;
mod pages;
mod poll;
mod recorder_status;
mod recorder_store;
mod server_data;
mod submission;

/// Renders the application into the document's body.
pub fn start() {
    console_error_panic_hook::set_once();
    if address::enter() {
        return;
    }
    dom::remove_boot_notice();
    leptos::mount::mount_to_body(app::App);
}
