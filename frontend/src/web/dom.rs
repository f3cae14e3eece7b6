//! Access to the document and to browser APIs.

use leptos::prelude::*;
use leptos::wasm_bindgen::closure::Closure;
use leptos::wasm_bindgen::{JsCast, JsValue};
use sortie_api::Recording;
use web_sys::ResizeObserver;

use crate::library::{days, titles};

/// Removes what `index.html` shows before the application runs.
pub(super) fn remove_boot_notice() {
    if let Some(notice) = document().get_element_by_id("boot") {
        notice.remove();
    }
}

/// Focuses the element with this ID, if it exists.
pub(super) fn focus(id: &str) {
    let element = document().get_element_by_id(id);
    if let Some(element) =
        element.and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok())
    {
        // Fails only for an element outside of the document.
        let _ = element.focus();
    }
}

/// Restores a scroll position and focuses an element without scrolling.
pub(super) fn return_to(scroll_y: f64, id: &str) {
    window().scroll_to_with_x_and_y(0.0, scroll_y);
    focus_in_place(id);
}

/// Focuses an element without scrolling.
pub(super) fn focus_in_place(id: &str) {
    let element = document().get_element_by_id(id);
    if let Some(element) =
        element.and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok())
    {
        let options = web_sys::FocusOptions::new();
        options.set_prevent_scroll(true);
        let _ = element.focus_with_options(&options);
    }
}

pub(super) fn scroll_y() -> f64 {
    window().scroll_y().unwrap_or(0.0)
}

/// Scrolls the parent of an element horizontally to center the element.
pub(super) fn reveal(id: &str) {
    let element = document().get_element_by_id(id);
    let Some(element) = element.and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok())
    else {
        return;
    };
    let around = element.parent_element();
    if let Some(around) = around.and_then(|around| around.dyn_into::<web_sys::HtmlElement>().ok()) {
        let left = element.offset_left() - around.offset_left();
        around.set_scroll_left(left - (around.client_width() - element.offset_width()) / 2);
    }
}

pub(super) fn is_visible() -> bool {
    !document().hidden()
}

/// Returns the monotonic milliseconds since the page was opened.
pub(super) fn monotonic_ms() -> u64 {
    let now = window().performance().map_or(0.0, |clock| clock.now());
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    #[expect(clippy::cast_sign_loss, reason = "never negative")]
    let now_ms = now as u64;
    now_ms
}

pub(super) fn reload() {
    // Fails only where navigation is forbidden, as in a sandboxed frame.
    let _ = window().location().reload();
}

/// Reads a value of the tab's session storage.
pub(super) fn tab_value(name: &str) -> Option<String> {
    tab_storage()?.get_item(name).ok()?
}

/// Writes a value to the tab's session storage; `None` removes it. Does nothing if the browser blocks storage.
pub(super) fn set_tab_value(name: &str, value: Option<&str>) {
    if let Some(storage) = tab_storage() {
        let _ = match value {
            Some(value) => storage.set_item(name, value),
            None => storage.remove_item(name),
        };
    }
}

/// Reads a preference of this browser.
pub(super) fn preference(name: &str) -> Option<String> {
    window().local_storage().ok()??.get_item(name).ok()?
}

/// Saves a preference of this browser. Does nothing if the browser blocks storage.
pub(super) fn set_preference(name: &str, value: &str) {
    if let Ok(Some(storage)) = window().local_storage() {
        let _ = storage.set_item(name, value);
    }
}

fn tab_storage() -> Option<web_sys::Storage> {
    window().session_storage().ok()?
}

/// Formats an RFC 3339 time in the user's time zone and language: `21 Nov 2026, 09:52`.
///
/// Returns text that is no time unchanged.
pub(super) fn local_time(moment: &str) -> String {
    let date = js_sys::Date::new(&JsValue::from_str(moment));
    if date.get_time().is_nan() {
        return moment.to_owned();
    }
    format_date_with(&date, &[("dateStyle", "medium"), ("timeStyle", "short")])
}

/// Formats a date (`2026-11-21`) in the user's language without the year: `21 Nov`. Returns text that is no date
/// unchanged.
pub(super) fn local_day(day: &str) -> String {
    let date = js_sys::Date::new(&JsValue::from_str(day));
    if date.get_time().is_nan() {
        return day.to_owned();
    }
    // A date without a time is midnight UTC (ECMA-262, section 21.4.1.32).
    format_date_with(
        &date,
        &[("day", "numeric"), ("month", "short"), ("timeZone", "UTC")],
    )
}

fn format_date_with(date: &js_sys::Date, styles: &[(&str, &str)]) -> String {
    let options = js_sys::Object::new();
    for (name, style) in styles {
        // Cannot fail on an ordinary object.
        let _ = js_sys::Reflect::set(&options, &(*name).into(), &(*style).into());
    }
    let language = window().navigator().language();
    let language = language.as_deref().unwrap_or("en");
    date.to_locale_string(language, &options).into()
}

/// Title of a recording, with the local time of its start if it has no name.
pub(super) fn title(recording: &Recording) -> String {
    titles::title(recording, &local_moment(&recording.created_at))
}

/// Formats an RFC 3339 time without seconds, and without the year if it is the current one: `30 Nov 12:00`.
fn local_moment(moment: &str) -> String {
    let date = js_sys::Date::new(&JsValue::from_str(moment));
    if date.get_time().is_nan() {
        return moment.to_owned();
    }
    let is_of_this_year = date.get_full_year() == js_sys::Date::new_0().get_full_year();
    let day: &[_] = match is_of_this_year {
        true => &[("day", "numeric"), ("month", "short")],
        false => &[("day", "numeric"), ("month", "short"), ("year", "numeric")],
    };
    let time = [("hour", "2-digit"), ("minute", "2-digit")];
    format_date_with(&date, day) + " " + &format_date_with(&date, &time)
}

/// Formats an RFC 3339 time as an age, `2 h ago`, or from a week on as a date, `21 Nov 2026`. Returns text that is no
/// time unchanged.
pub(super) fn local_age(moment: &str, now_ms: f64) -> String {
    let date = js_sys::Date::new(&JsValue::from_str(moment));
    if date.get_time().is_nan() {
        return moment.to_owned();
    }
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    let age_ms = (now_ms - date.get_time()) as i64;
    days::ago(age_ms).unwrap_or_else(|| format_date_with(&date, &[("dateStyle", "medium")]))
}

/// Local date of an RFC 3339 time: `2026-11-21`.
pub(super) fn local_date(moment: &str) -> String {
    date_text(&js_sys::Date::new(&JsValue::from_str(moment)))
}

fn date_text(date: &js_sys::Date) -> String {
    format!(
        "{:04}-{:02}-{:02}",
        date.get_full_year(),
        date.get_month() + 1,
        date.get_date()
    )
}

/// Formats a local date as a heading: `Today`, `Yesterday`, `Monday, 30 November`.
pub(super) fn day_heading(day: &str) -> String {
    let now = js_sys::Date::new_0();
    if day == date_text(&now) {
        return "Today".to_owned();
    }
    now.set_date(now.get_date().wrapping_sub(1));
    if day == date_text(&now) {
        return "Yesterday".to_owned();
    }
    let date = js_sys::Date::new(&JsValue::from_str(&format!("{day}T00:00:00")));
    let names: &[_] = match date.get_full_year() == now.get_full_year() {
        true => &[("weekday", "long"), ("day", "numeric"), ("month", "long")],
        false => &[("day", "numeric"), ("month", "long"), ("year", "numeric")],
    };
    format_date_with(&date, names)
}

/// Unix time in ms of an RFC 3339 time; 0 for text that is no time.
pub(super) fn time_ms(moment: &str) -> i64 {
    let ms = js_sys::Date::new(&JsValue::from_str(moment)).get_time();
    #[expect(clippy::cast_possible_truncation, reason = "saturates; 0 for NaN")]
    let ms = ms as i64;
    ms
}

fn date_of(ms: i64) -> js_sys::Date {
    #[expect(clippy::cast_precision_loss, reason = "exact below 285,000 years")]
    js_sys::Date::new(&JsValue::from_f64(ms as f64))
}

/// Formats a Unix time in ms as the local time of day: `14:32`, or with seconds `14:32:10`.
pub(super) fn local_clock(ms: i64, has_seconds: bool) -> String {
    let mut time = vec![("hour", "2-digit"), ("minute", "2-digit")];
    if has_seconds {
        time.push(("second", "2-digit"));
    }
    format_date_with(&date_of(ms), &time)
}

/// Returns the beginnings of the full local hours between two Unix times in ms, at most a day apart, each with the hour
/// of the day.
pub(super) fn local_hours(from_ms: i64, to_ms: i64) -> Vec<(i64, u32)> {
    let date = date_of(from_ms);
    let into_hour_ms = i64::from(date.get_minutes()) * 60_000
        + i64::from(date.get_seconds()) * 1_000
        + i64::from(date.get_milliseconds());
    let first_ms = from_ms - into_hour_ms + 3_600_000;
    (0..25)
        .map(|hour| first_ms + hour * 3_600_000)
        .take_while(|ms| *ms <= to_ms)
        .map(|ms| (ms, date_of(ms).get_hours()))
        .collect()
}

/// Current time in Unix milliseconds.
pub(super) fn now_ms() -> f64 {
    js_sys::Date::now()
}

/// Current time: RFC 3339.
pub(super) fn now() -> String {
    js_sys::Date::new_0().to_iso_string().into()
}

/// Start of the local day `days` before today, as RFC 3339.
pub(super) fn days_ago(days: i32) -> String {
    start_of_day(&date_text(&js_sys::Date::new_0()), -days)
}

/// Value of `data-row` of the row that contains the focus.
pub(super) fn focused_row() -> Option<String> {
    let row = document().active_element()?.closest("[data-row]").ok()??;
    row.get_attribute("data-row")
}

/// Width of the window in CSS pixels.
pub(super) fn window_width() -> f64 {
    let width = window().inner_width().ok();
    width.and_then(|width| width.as_f64()).unwrap_or(0.0)
}

/// Start of a local date (`2026-11-21`) plus `days`, as RFC 3339; empty for text that is no date.
pub(super) fn start_of_day(day: &str, days: i32) -> String {
    // A time without a zone is local time (ECMA-262, section 21.4.1.32).
    let date = js_sys::Date::new(&JsValue::from_str(&format!("{day}T00:00:00")));
    if day.len() != 10 || date.get_time().is_nan() {
        return String::new();
    }
    // Adding seconds would be wrong: a day can have 23 or 25 hours.
    date.set_date(date.get_date().saturating_add_signed(days));
    date.to_iso_string().into()
}

/// Current date in UTC: `2026-11-21`.
pub(super) fn today() -> String {
    let now = String::from(js_sys::Date::new_0().to_iso_string());
    now.split('T').next().unwrap_or_default().to_owned()
}

/// Calls a function with the width of an element in pixels, now and after every change; ends on drop.
pub(super) struct WidthObserver {
    observer: ResizeObserver,
    _on_change: Closure<dyn Fn(js_sys::Array)>,
}

impl WidthObserver {
    pub(super) fn new(
        element: &web_sys::Element,
        on_width: impl Fn(i64) + 'static,
    ) -> Option<Self> {
        let observed = element.clone();
        on_width(width(&observed));
        let on_change = Closure::new(move |_| on_width(width(&observed)));
        let observer = ResizeObserver::new(on_change.as_ref().unchecked_ref()).ok()?;
        observer.observe(element);
        Some(Self {
            observer,
            _on_change: on_change,
        })
    }
}

impl Drop for WidthObserver {
    fn drop(&mut self) {
        self.observer.disconnect();
    }
}

fn width(element: &web_sys::Element) -> i64 {
    i64::from(element.client_width())
}
