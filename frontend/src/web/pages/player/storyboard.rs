use std::collections::BTreeMap;

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::parts::TimelinePart;
use crate::player::timeline::part_at;
use crate::storyboard::{self, Frame};
use crate::web::api::{frame_url, storyboard_path};
use crate::web::app_context::AppContext;

/// Pictures of all parts, loaded when they are first needed.
#[derive(Clone, Copy)]
pub(super) struct Storyboard {
    timeline: Memo<Vec<TimelinePart>>,
    /// Pictures of each part, by recording ID.
    by_part: RwSignal<BTreeMap<String, Vec<Frame>>>,
    is_needed: RwSignal<bool>,
}

impl Storyboard {
    pub(super) fn new(timeline: Memo<Vec<TimelinePart>>) -> Self {
        let app = AppContext::expect();
        let (by_part, is_needed) = (RwSignal::new(BTreeMap::new()), RwSignal::new(false));
        let loaded = Memo::new(move |_| match is_needed.get() {
            true => timeline.get(),
            false => Vec::new(),
        });
        super::for_each_part(loaded, move |id| {
            spawn_local(async move {
                // A recording without pictures is answered with an error.
                if let Ok(text) = app.api().get_text(&storyboard_path(&id)).await {
                    by_part.try_update(|by_part| by_part.insert(id, storyboard::parse(&text)));
                }
            });
        });
        Self {
            timeline,
            by_part,
            is_needed,
        }
    }

    /// Loads the pictures, if that was not done yet.
    pub(super) fn load(self) {
        if !self.is_needed.get_untracked() {
            self.is_needed.set(true);
        }
    }

    /// Returns the URL of the picture at a position.
    pub(super) fn url_at(self, position_ms: u64) -> Option<String> {
        self.timeline.with(|parts| {
            let (part, inside_ms) = part_at(parts, position_ms)?;
            self.by_part.with(|by_part| {
                let frame = storyboard::frame_at(by_part.get(&part.id)?, inside_ms)?;
                Some(frame_url(&part.id, &frame.address))
            })
        })
    }
}
