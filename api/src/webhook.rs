//! Webhooks: endpoints of other systems that receive events (<https://www.standardwebhooks.com>).

use serde::{Deserialize, Serialize};

use crate::{Recording, Session};

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Event of a webhook. New events may be added: ignore unknown names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum WebhookEvent {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl WebhookEvent {
            /// All events of this version.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the name in JSON.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

events! {
    /// A session is running.
    SessionStarted = "session.started",
    /// A session was stopped, has expired or has failed.
    SessionEnded = "session.ended",
    /// A recording, or a further part of one, was started.
    RecordingStarted = "recording.started",
    /// A recording is complete and can be played, also after an interruption.
    RecordingReady = "recording.ready",
    /// A recording cannot be played.
    RecordingFailed = "recording.failed",
    /// The sender fell silent, and the server finished the recording. Followed by `recording.ready`.
    RecordingInterrupted = "recording.interrupted",
    /// A recording and its file are deleted.
    RecordingDeleted = "recording.deleted",
    /// The required recording of a running session is missing.
    RecordingMissing = "recording.missing",
    /// The required recording of a session is back.
    RecordingResumed = "recording.resumed",
}

impl WebhookEvent {
    /// Whether the event is about a session: its body is a [`SessionWebhook`], that of others a [`RecordingWebhook`].
    pub fn is_of_session(self) -> bool {
        match self {
            Self::SessionStarted
            | Self::SessionEnded
            | Self::RecordingMissing
            | Self::RecordingResumed => true,
            Self::RecordingStarted
            | Self::RecordingReady
            | Self::RecordingFailed
            | Self::RecordingInterrupted
            | Self::RecordingDeleted => false,
        }
    }
}

/// Body of a webhook request about a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordingWebhook {
    /// Name of the event.
    #[serde(rename = "type")]
    pub event: WebhookEvent,
    /// Time of the event: RFC 3339, UTC.
    pub timestamp: String,
    /// Recording that the event is about.
    pub data: RecordingWebhookData,
}

/// Recording in a webhook request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RecordingWebhookData {
    /// ID of the recording.
    pub id: String,
    /// ID of the owner, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// State when the event was queued, which may be later than the event. Absent if the recording is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Recording>,
}

/// Body of a webhook request about a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionWebhook {
    /// Name of the event.
    #[serde(rename = "type")]
    pub event: WebhookEvent,
    /// Time of the event: RFC 3339, UTC.
    pub timestamp: String,
    /// Session that the event is about.
    pub data: SessionWebhookData,
}

/// Session in a webhook request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SessionWebhookData {
    /// ID of the session.
    pub id: String,
    /// ID of the owner, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// State when the event was queued, which may be later than the event. Absent if the session is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
}

/// Body of the request that `POST /api/admin/webhooks/{id}/test` sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestWebhook {
    /// Name of the event: always `webhook.test`.
    #[serde(rename = "type")]
    pub event: String,
    /// Time of the test: RFC 3339, UTC.
    pub timestamp: String,
    /// Endpoint that is tested.
    pub data: TestWebhookData,
}

/// Endpoint in a test request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TestWebhookData {
    /// ID of the webhook.
    pub webhook_id: String,
}

/// Endpoint that receives events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Webhook {
    /// ID of the webhook, never reused.
    pub id: String,
    /// URL that receives the requests.
    pub url: String,
    /// Description for administrators; may be empty.
    pub description: String,
    /// Events that are sent; empty: all events, also those of later versions.
    pub events: Vec<WebhookEvent>,
    /// Whether events are sent. Events that occur while the webhook is disabled are not sent later.
    pub enabled: bool,
    /// Reason why the server disabled the webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<String>,
    /// Time of creation: RFC 3339, UTC.
    pub created_at: String,
    /// Time until which the secret before the last rotation also signs: RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_secret_until: Option<String>,
    /// Number of deliveries that wait for an attempt.
    pub pending: u64,
    /// Number of failed deliveries.
    pub failed: u64,
}

/// Body of `POST /api/admin/webhooks`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// URL that receives the requests, at most 2,048 characters: `https`, without user name, password and fragment.
    pub url: String,
    /// Description, at most 200 characters.
    #[serde(default)]
    pub description: String,
    /// Events to send; empty: all.
    #[serde(default)]
    pub events: Vec<WebhookEvent>,
}

/// Webhook with its secret: response to `POST /api/admin/webhooks` and `…/rotate-secret`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WebhookWithSecret {
    /// The webhook as in lists.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// Secret that signs the requests: `whsec_` and base64. Returned only once.
    pub secret: String,
}

/// Body of `PATCH /api/admin/webhooks/{id}`; absent fields stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WebhookUpdate {
    /// New URL, as in [`NewWebhook`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// New description, at most 200 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// New list of events; empty: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<WebhookEvent>>,
    /// Enables or disables the webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}

/// Result of a test request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WebhookTestResult {
    /// Whether the receiver answered with a status from 200 to 299.
    pub delivered: bool,
    /// Value of the header `webhook-id`.
    pub event_id: String,
    /// HTTP status of the answer, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Reason for a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// State of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum WebhookDeliveryStatus {
    /// Waits for an attempt, or for an earlier event of the same recording.
    Pending,
    /// The receiver has confirmed the event.
    Delivered,
    /// All attempts failed; the event is not sent again automatically.
    Failed,
}

impl WebhookDeliveryStatus {
    /// Returns the name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}

/// Delivery of an event to a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WebhookDelivery {
    /// ID of the event: the header `webhook-id`, the same for every attempt.
    pub event_id: String,
    /// Name of the event.
    pub event: String,
    /// ID of the recording or session whose events are delivered in order.
    pub subject: String,
    /// State of the delivery.
    pub status: WebhookDeliveryStatus,
    /// Number of attempts since the event was queued or re-sent.
    pub attempts: u32,
    /// Time at which the event was queued: RFC 3339, UTC.
    pub created_at: String,
    /// Time of the next attempt: RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<String>,
    /// Time at which the event was delivered or failed: RFC 3339, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
    /// HTTP status of the last answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_status: Option<u16>,
    /// Reason why the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_has_its_name_in_json() {
        for event in WebhookEvent::ALL {
            let json = serde_json::to_value(event).unwrap();
            assert_eq!(json, event.name());
        }
    }
}
