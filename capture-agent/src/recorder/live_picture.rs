//! Branch of a pipeline that makes the frames of the live picture.

use std::sync::Arc;

use sortie_server::LivePicture;

use crate::pipeline::{Still, StillTaker};

/// Limits of a frame's sides.
const SIDES: (u32, u32) = (640, 360);
/// Size of a desktop at this quality: 30–50 kB.
const QUALITY: u8 = 75;

struct Taker(LivePicture);

impl StillTaker for Taker {
    fn wants(&self, _pts_ns: i64) -> bool {
        self.0.wants_frame()
    }

    fn take(&self, _pts_ns: i64, jpeg: Vec<u8>) {
        self.0.show(jpeg);
    }
}

/// Returns the branch, which costs nothing while no viewer waits.
pub(super) fn still(picture: &LivePicture) -> Still {
    Still {
        name: "live",
        sides: SIDES,
        quality: QUALITY,
        taker: Arc::new(Taker(picture.clone())),
    }
}
