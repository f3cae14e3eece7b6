use std::collections::BTreeMap;

use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_api::Activity;

use crate::parts::TimelinePart;
use crate::player::timeline::Review;
use crate::web::api::recording_path;
use crate::web::app_context::AppContext;

/// Loads the activity of every playable part. Without an answer, as from an older server, a part has none.
pub(super) fn load(timeline: Memo<Vec<TimelinePart>>) -> Memo<Review> {
    let app = AppContext::expect();
    let by_part = RwSignal::new(BTreeMap::<String, Activity>::new());
    super::for_each_part(timeline, move |id| {
        spawn_local(async move {
            let answer = app.api().get(&(recording_path(&id) + "/activity")).await;
            if let Ok(activity) = answer {
                by_part.try_update(|by_part| by_part.insert(id, activity));
            }
        });
    });
    Memo::new(move |_| by_part.with(|by_part| timeline.with(|parts| Review::new(parts, by_part))))
}
