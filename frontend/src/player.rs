//! Decisions of the player, without a browser: layout of the timeline, idle spans, seeks, keys, markers.

pub mod block_durations;
pub mod clip_range;
pub mod key_map;
pub mod live;
pub mod marker_list;
pub mod missing_pictures;
pub mod mp4_copy;
pub mod position;
pub mod range_feed;
pub mod seek_queue;
pub mod skip_idle;
pub mod speed;
pub mod timeline;
pub mod timeline_picture;
