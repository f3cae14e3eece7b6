use leptos::either::Either;
use leptos::prelude::*;
use sortie_api::{RecorderState, SignalState};

use super::store::ApplianceStore;
use crate::appliance::{Button, button, recorder, remedy, signal, state_by_schedule};
use crate::format;
use crate::web::components::{Duration, Glyph, Icon};

/// Signal, file and encoder.
#[component]
pub(super) fn Status(appliance: ApplianceStore) -> impl IntoView {
    view! {
        <div class="card device">
            <Signal appliance=appliance />
            <Facts appliance=appliance />
        </div>
    }
}

/// Input signal as text, colour and icon.
#[component]
fn Signal(appliance: ApplianceStore) -> impl IntoView {
    let state = Memo::new(move |_| {
        let state = appliance.with(|now| now.signal.state);
        state.unwrap_or(SignalState::NoDevice)
    });
    let text = Memo::new(move |_| {
        appliance
            .with(|now| signal(&now.signal))
            .unwrap_or_default()
    });
    let device = Memo::new(move |_| appliance.with(|now| now.device.clone()).flatten());
    let glyph = move || match state.get() {
        SignalState::Steady => Glyph::Screen,
        SignalState::NoDevice => Glyph::Unplugged,
        _ => Glyph::Alert,
    };
    let class = move || match state.get() {
        SignalState::Steady => "signal signal-steady",
        _ => "signal signal-missing",
    };
    view! {
        <div class=class>
            <span class="signal-icon">{move || view! { <Icon glyph=glyph() /> }}</span>
            <div class="signal-words">
                <p class="signal-state">
                    <span class="visually-hidden">"Signal: "</span>
                    {text}
                </p>
                <p class="quiet">{device}</p>
            </div>
            {move || remedy(state.get()).map(|remedy| view! { <p class="signal-remedy">{remedy}</p> })}
        </div>
    }
}

/// State and duration of the recorder, with the record button.
#[component]
pub(super) fn Recorder(appliance: ApplianceStore) -> impl IntoView {
    let text = Memo::new(move |_| appliance.with(recorder).unwrap_or_default());
    let is_recording = Memo::new(move |_| appliance.is_recording());
    let has_duration = Memo::new(move |_| {
        let state = appliance.with(|now| now.recorder != RecorderState::Idle);
        state.unwrap_or(false) && appliance.duration_ms.get() > 0 || is_recording.get()
    });
    let offered = Memo::new(move |_| appliance.with(button).unwrap_or(Button::Stop));
    let schedule = Memo::new(move |_| appliance.with(state_by_schedule).flatten());
    let is_busy = RwSignal::new(false);
    let is_off = move || {
        is_busy.get()
            || appliance.is_unreachable()
            || matches!(offered.get(), Button::CannotStart(_))
    };
    let is_stop = Memo::new(move |_| offered.get() == Button::Stop);
    // One button with a changing label keeps the focus after a click.
    let press = move |_| {
        if untrack(is_off) {
            return;
        }
        is_busy.set(true);
        let order = if is_stop.get_untracked() {
            "stop"
        } else {
            "start"
        };
        appliance.control_recording(order, move |_| {
            is_busy.try_set(false);
        });
    };
    let reason = move || match offered.get() {
        Button::CannotStart(reason) => Some(reason),
        _ if appliance.is_unreachable() => Some("The device cannot be reached."),
        _ => None,
    };
    view! {
        <div class="recorder">
            <p class="recorder-state" class:is-on-air=move || is_recording.get()>
                <span class="live-dot" aria-hidden="true"></span>
                <span>{text}</span>
                <Show when=move || has_duration.get()>
                    <span class="clock">
                        <Duration duration_ms=appliance.duration_ms />
                    </span>
                </Show>
            </p>
            <button
                type="button"
                class="button button-round"
                class:button-record=move || !is_stop.get()
                class:button-strong=move || is_stop.get()
                aria-disabled=move || is_off().to_string()
                aria-describedby="recorder-reason"
                on:click=press
            >
                {move || {
                    if is_stop.get() {
                        Either::Left(view! { <Icon glyph=Glyph::Stop /> "Stop Recording" })
                    } else {
                        Either::Right(view! { <Icon glyph=Glyph::Record /> "Start Recording" })
                    }
                }}
            </button>
            <p id="recorder-reason" class="recorder-reason quiet">
                {reason}
            </p>
            {move || schedule.get().map(|text| view! { <p class="recorder-schedule quiet">{text}</p> })}
            <p class="problem-text" role="alert">
                {appliance.problem}
            </p>
        </div>
    }
}

/// Growing file and encoder.
#[component]
fn Facts(appliance: ApplianceStore) -> impl IntoView {
    let file = Memo::new(move |_| {
        let file = appliance.with(|now| now.file.clone()).flatten()?;
        Some((file.filename, format::size(file.size_bytes)))
    });
    let encoder = Memo::new(move |_| appliance.with(|now| now.encoder.clone()).flatten());
    let fact = |name: &'static str, value: String| {
        view! {
            <div>
                <dt>{name}</dt>
                <dd>{value}</dd>
            </div>
        }
    };
    view! {
        <dl class="facts device-facts">
            {move || {
                file.get()
                    .map(|(name, size)| {
                        view! {
                            <div class="fact-file">
                                <dt>"File"</dt>
                                <dd>{name} " " <span class="quiet digits">{size}</span></dd>
                            </div>
                        }
                    })
            }}
            {move || encoder.get().map(|name| fact("Encoder", name))}
        </dl>
    }
}
