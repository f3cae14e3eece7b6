use std::collections::BTreeMap;

use leptos::ev;
use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use sortie_api::{Activity, Recording};

use crate::parts;
use crate::player::timeline::Review;
use crate::player::timeline_picture;
use crate::storyboard::{self, Frame};
use crate::web::api::{self, recording_path};
use crate::web::app_context::AppContext;
use crate::web::components::{Glyph, Icon};

/// Largest number of parts whose activity is loaded.
const PARTS_MAX: usize = 10;

/// Picture of a recording. While the pointer is on it, it shows the moment that corresponds to the pointer's position.
#[derive(Clone, Copy)]
pub(super) struct Poster {
    app: AppContext,
    row: Memo<Recording>,
    element: NodeRef<html::Span>,
    /// Pictures by time; `None` until the pointer is on the poster for the first time.
    frames: StoredValue<Option<Vec<Frame>>>,
    /// Moment in milliseconds, while the pointer is on it.
    moment_ms: RwSignal<Option<u64>>,
    /// Address of the picture at that moment.
    frame: RwSignal<Option<String>>,
    /// Activity of the recording as SVG markup; empty until it is loaded.
    bars: RwSignal<String>,
}

impl Poster {
    pub(super) fn new(row: Memo<Recording>) -> Self {
        Self {
            app: AppContext::expect(),
            row,
            element: NodeRef::new(),
            frames: StoredValue::new(None),
            moment_ms: RwSignal::new(None),
            frame: RwSignal::new(None),
            bars: RwSignal::new(String::new()),
        }
    }

    /// Handles a movement of the pointer anywhere in the row: the link of the row lies above the picture.
    pub(super) fn on_pointer(self, event: &ev::PointerEvent) {
        let Some(element) = self.element.get_untracked() else {
            return;
        };
        let bounds = element.get_bounding_client_rect();
        let (x, y) = (f64::from(event.client_x()), f64::from(event.client_y()));
        let is_inside = (bounds.left()..bounds.right()).contains(&x)
            && (bounds.top()..bounds.bottom()).contains(&y);
        let is_scrubbed = is_inside
            && event.pointer_type() != "touch"
            && self.row.with_untracked(|row| row.pictures > 1);
        if !is_scrubbed {
            return self.leave();
        }
        let share = (x - bounds.left()) / bounds.width();
        #[expect(clippy::cast_precision_loss, reason = "exact below 285,000 years")]
        let duration_ms = self.row.with_untracked(parts::duration_ms) as f64;
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        #[expect(clippy::cast_sign_loss, reason = "inside of the element")]
        let moment_ms = (share * duration_ms) as u64;
        self.moment_ms.set(Some(moment_ms));
        self.show_frame();
        if self.frames.with_value(Option::is_none) {
            self.frames.set_value(Some(Vec::new()));
            self.load();
        }
    }

    pub(super) fn leave(self) {
        if self.moment_ms.with_untracked(Option::is_some) {
            self.moment_ms.set(None);
            self.frame.set(None);
        }
    }

    fn load(self) {
        let id = self.row.with_untracked(|row| row.id.clone());
        spawn_local(async move {
            // Without a storyboard the poster stays.
            if let Ok(text) = self.app.api().get_text(&api::storyboard_path(&id)).await {
                self.frames.try_set_value(Some(storyboard::parse(&text)));
                if self.moment_ms.try_get_untracked().flatten().is_some() {
                    self.show_frame();
                }
            }
        });
        let timeline = self.row.with_untracked(parts::timeline);
        spawn_local(async move {
            let mut by_part = BTreeMap::<String, Activity>::new();
            for part in timeline
                .iter()
                .filter(|part| part.is_playable())
                .take(PARTS_MAX)
            {
                let path = recording_path(&part.id) + "/activity";
                // A part without it is drawn as idle.
                if let Ok(activity) = self.app.api().get(&path).await {
                    by_part.insert(part.id.clone(), activity);
                }
            }
            let bars = timeline_picture::small_bars(&Review::new(&timeline, &by_part));
            self.bars.try_set(bars);
        });
    }

    fn show_frame(self) {
        let Some(moment_ms) = self.moment_ms.get_untracked() else {
            return;
        };
        let found = self.frames.with_value(|frames| {
            let frame = storyboard::frame_at(frames.as_deref()?, moment_ms)?;
            let id = self.row.with_untracked(|row| row.id.clone());
            Some(api::frame_url(&id, &frame.address))
        });
        if found.is_some() && self.frame.with_untracked(|frame| *frame != found) {
            self.frame.set(found);
        }
    }
}

/// The picture of a [`Poster`]; an icon of the source without one. Decorative: the title is beside it.
#[component]
pub(super) fn PosterPicture(poster: Poster) -> impl IntoView {
    let row = poster.row;
    let glyph = Memo::new(move |_| {
        row.with(|row| match row.source.as_deref() {
            Some("camera") => Glyph::Camera,
            Some("tab" | "window" | "screen" | "canvas" | "hdmi") => Glyph::Screen,
            _ => Glyph::Film,
        })
    });
    // A growing recording has more pictures with time, and its poster is the newest one.
    let address = Memo::new(move |_| {
        row.with(|row| (row.pictures > 0).then(|| api::poster_url(&row.id, row.pictures)))
    });
    let is_missing = RwSignal::new(false);
    let source = Memo::new(move |_| poster.frame.get().or_else(|| address.get()));
    Effect::new(move |_| {
        address.track();
        is_missing.set(false);
    });
    let has_picture = Memo::new(move |_| !is_missing.get() && source.with(Option::is_some));
    view! {
        <span class="poster" aria-hidden="true" node_ref=poster.element>
            <Show when=move || has_picture.get() fallback=move || view! { <Icon glyph=glyph.get() /> }>
                <img
                    class="poster-picture"
                    alt=""
                    loading="lazy"
                    decoding="async"
                    draggable="false"
                    src=move || source.get()
                    on:error=move |_| is_missing.set(true)
                />
            </Show>
            <span
                class="poster-activity"
                hidden=move || poster.moment_ms.with(Option::is_none)
                inner_html=move || poster.bars.get()
            ></span>
            <progress
                class="poster-moment"
                hidden=move || poster.moment_ms.with(Option::is_none)
                max=move || row.with(parts::duration_ms)
                value=move || poster.moment_ms.get().unwrap_or(0)
            ></progress>
        </span>
    }
}
