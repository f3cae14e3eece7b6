//! Last 24 hours of the recorder.

use axum::Json;
use axum::extract::State;
use sortie_api::{ApplianceHistory, DroppedSpan, RecordedSpan, SignalSpan};

use super::recorder;
use crate::clock::rfc3339;
use crate::http::{ApiResult, HttpState};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

pub(super) async fn show(State(state): State<HttpState>) -> ApiResult<Json<ApplianceHistory>> {
    let appliance = recorder(&state)?;
    let now_ms = state.clock.now_ms();
    let from_ms = now_ms - DAY_MS;
    let history = appliance.signal_history(now_ms);
    let growing = appliance.growing().filter(|growing| growing.is_growing);
    let recorded = state.database.imported().recorded(from_ms, now_ms).await?;
    let mut recordings: Vec<_> = recorded
        .into_iter()
        .map(|(id, span)| RecordedSpan {
            id,
            from: rfc3339(span.start),
            to: rfc3339(span.end),
            growing: false,
        })
        .collect();
    recordings.extend(growing.map(|growing| {
        let duration_ms = i64::try_from(growing.duration_ms).unwrap_or(DAY_MS);
        RecordedSpan {
            id: growing.id,
            from: rfc3339(growing.created_ms),
            to: rfc3339(growing.created_ms.saturating_add(duration_ms)),
            growing: true,
        }
    }));
    let signal = history
        .signal
        .into_iter()
        .map(|(span, has_signal)| SignalSpan {
            from: rfc3339(span.start),
            to: rfc3339(span.end),
            has_signal,
        });
    let dropped = history
        .dropped
        .into_iter()
        .map(|(span, frames)| DroppedSpan {
            from: rfc3339(span.start),
            to: rfc3339(span.end),
            frames,
        });
    Ok(Json(ApplianceHistory {
        from: rfc3339(from_ms),
        to: rfc3339(now_ms),
        signal: signal.collect(),
        dropped: dropped.collect(),
        recordings,
    }))
}
