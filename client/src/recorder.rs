//! Decisions of a recorder as one state machine without I/O: lifecycle, limits, watchdog, encoder restart, storage
//! pressure, parts and their uploads. `browser::recorder` carries them out.

mod acknowledgements;
mod begun_upload;
mod capture_monitor;
mod command;
mod device_storage;
mod encoders;
mod lifecycle;
mod limits;
mod machine;
mod media_time;
mod part_progress;
mod recorded_clock;
mod schedule;
mod storage_pressure;
mod tus;
mod uploads;
mod watchdog;

#[cfg(target_arch = "wasm32")]
pub(crate) use {
    begun_upload::BegunUpload,
    command::{Call, Command, Now, RestRequest, Sending, TICK_MS},
    encoders::EncoderId,
    machine::RecorderMachine,
    media_time::MediaTime,
    tus::{creation, failure, last_segment, refused_status, upload_config, waiting_for},
};
