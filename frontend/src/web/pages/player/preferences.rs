use leptos::prelude::*;

use crate::player::speed;
use crate::web::dom;

const SPEED: &str = "player-speed";
const SKIPS_IDLE: &str = "player-skip-idle";
const VOLUME: &str = "player-volume";
const THEATRE: &str = "player-theatre";

/// Preferences of the player, kept in the browser. The sound is muted for one page only.
#[derive(Clone, Copy)]
pub(super) struct Preferences {
    /// In percent.
    speed: RwSignal<u32>,
    skips_idle: RwSignal<Option<bool>>,
    /// In percent, 0–100.
    volume: RwSignal<u32>,
    is_theatre: RwSignal<bool>,
}

impl Preferences {
    pub(super) fn load() -> Self {
        let parse_switch = |name| match dom::preference(name)?.as_str() {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        };
        let speed = dom::preference(SPEED).and_then(|text| speed::parse(&text));
        let volume = dom::preference(VOLUME).and_then(|text| text.parse().ok());
        Self {
            speed: RwSignal::new(speed.unwrap_or(speed::NORMAL)),
            skips_idle: RwSignal::new(parse_switch(SKIPS_IDLE)),
            volume: RwSignal::new(volume.unwrap_or(100).min(100)),
            is_theatre: RwSignal::new(parse_switch(THEATRE) == Some(true)),
        }
    }

    /// Tracked by Leptos, like all getters.
    pub(super) fn speed(self) -> u32 {
        self.speed.get()
    }

    /// Choice of the user; `None` without one.
    pub(super) fn skips_idle(self) -> Option<bool> {
        self.skips_idle.get()
    }

    pub(super) fn volume(self) -> u32 {
        self.volume.get()
    }

    pub(super) fn is_theatre(self) -> bool {
        self.is_theatre.get()
    }

    pub(super) fn set_speed(self, speed: u32) {
        self.speed.set(speed);
        dom::set_preference(SPEED, &speed.to_string());
    }

    pub(super) fn set_skips_idle(self, skips_idle: bool) {
        self.skips_idle.set(Some(skips_idle));
        dom::set_preference(SKIPS_IDLE, switch(skips_idle));
    }

    pub(super) fn set_volume(self, volume: u32) {
        self.volume.set(volume);
        dom::set_preference(VOLUME, &volume.to_string());
    }

    pub(super) fn toggle_theatre(self) {
        let is_theatre = !self.is_theatre.get_untracked();
        self.is_theatre.set(is_theatre);
        dom::set_preference(THEATRE, switch(is_theatre));
    }
}

fn switch(is_on: bool) -> &'static str {
    if is_on { "on" } else { "off" }
}
