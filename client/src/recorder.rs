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
mod marks;
mod media_time;
mod part_progress;
mod pictures;
mod recorded_clock;
mod schedule;
mod storage_pressure;
mod tus;
mod uploads;
mod watchdog;

pub(crate) use marks::NewMark;
#[cfg(target_arch = "wasm32")]
pub(crate) use {
    begun_upload::BegunUpload,
    command::{
        BeginRequest, Call, Command, Now, RecordingSession, Rest, RestRequest, Sending, TICK_MS,
    },
    encoders::EncoderId,
    machine::RecorderMachine,
    marks::is_temporary,
    media_time::MediaTime,
    pictures::PictureSchedule,
    tus::{creation, failure, last_segment, refused_status, upload_config, waiting_for},
};
