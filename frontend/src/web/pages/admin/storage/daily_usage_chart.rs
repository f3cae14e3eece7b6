use leptos::prelude::*;
use sortie_api::StorageReport;

use crate::daily_usage::{Bar, Chart, FULL, chart, days_left};
use crate::format;
use crate::web::components::{Cell, Table};
use crate::web::dom;

/// Days in the chart.
const DAYS: u16 = 90;
/// Days over which the daily rate is averaged.
const RECENT: usize = 30;
/// Days between two labels of the axis.
const MARKS: usize = 15;
/// Width of a day; its bar takes three quarters.
const DAY: usize = 4;

/// Bytes recorded per day, with a forecast of the remaining disk space.
#[component]
pub(super) fn DailyUsageChart(report: StorageReport) -> impl IntoView {
    let chart = chart(&report.growth, &dom::today(), DAYS);
    let summary = format!(
        "{} recorded in the last {DAYS} days (deleted ones not counted)",
        format::size(chart.bytes)
    );
    // With automatic deletion, the disk does not fill up.
    let forecast = report
        .free_bytes
        .filter(|_| report.retention.high_percent.is_none() && report.retention.days == 0)
        .and_then(|free| days_left(&chart, RECENT, free))
        .filter(|days| *days < 1_000)
        .map(|days| {
            format!("At the rate of the last {RECENT} days the disk will be full in {days} days.")
        });
    let recorded: Vec<_> = chart
        .bars
        .iter()
        .rev()
        .filter(|bar| bar.recordings > 0)
        .cloned()
        .collect();
    let rows = move || recorded.iter().cloned().map(day_row).collect_view();
    view! {
        <figure class="card growth">
            <figcaption>
                <h3 id="growth-heading">"Recorded per day"</h3>
                <p class="quiet">{summary.clone()}</p>
            </figcaption>
            <Plot chart=chart summary=summary />
            {forecast.map(|forecast| view! { <p class="forecast">{forecast}</p> })}
            <details>
                <summary>"As a table"</summary>
                <Table named_by="growth-heading" columns=&["Day", "#Size", "#Recordings"] rows=rows />
            </details>
        </figure>
    }
}

fn day_row(bar: Bar) -> impl IntoView {
    view! {
        <tr role="row">
            <Cell label="Day">{dom::local_day(&bar.day)}</Cell>
            <Cell label="Size" class="number">
                {format::size(bar.bytes)}
            </Cell>
            <Cell label="Recordings" class="number">
                {bar.recordings.to_string()}
            </Cell>
        </tr>
    }
}

#[component]
fn Plot(chart: Chart, summary: String) -> impl IntoView {
    let scale = [chart.top, chart.top / 2, 0].map(|bytes| {
        let text = if chart.bytes == 0 {
            String::new()
        } else {
            format::round_size(bytes)
        };
        view! { <span>{text}</span> }
    });
    let width = chart.bars.len() * DAY;
    let days = chart.bars.iter().step_by(MARKS).map(|bar| {
        view! { <span>{dom::local_day(&bar.day)}</span> }
    });
    let days = days.collect_view();
    let bars = chart.bars.iter().enumerate().map(|(position, bar)| {
        let (x, height) = (position * DAY, bar.height);
        let text = format!(
            "{}: {}, {} recordings",
            dom::local_day(&bar.day),
            format::size(bar.bytes),
            bar.recordings
        );
        // The tooltip covers the full height of a day.
        view! {
            <g class="day">
                <rect class="day-hit" x=x.to_string() width=DAY.to_string() height=FULL.to_string() />
                <rect
                    class="share-part"
                    x=x.to_string()
                    y=(FULL - height).to_string()
                    width=(DAY - 1).to_string()
                    height=height.to_string()
                />
                <title>{text}</title>
            </g>
        }
    });
    let bars = bars.collect_view();
    view! {
        <div class="chart">
            <div class="chart-scale" aria-hidden="true">
                {scale}
            </div>
            <svg
                class="chart-plot"
                role="img"
                aria-label=format!("Recorded per day: {summary}")
                viewBox=format!("0 0 {width} {FULL}")
                preserveAspectRatio="none"
            >
                <path
                    class="chart-grid"
                    d=format!("M0 0H{width}M0 {0}H{width}", FULL / 2)
                    vector-effect="non-scaling-stroke"
                />
                {bars}
            </svg>
            <div class="chart-days" aria-hidden="true">
                {days}
            </div>
        </div>
    }
}
