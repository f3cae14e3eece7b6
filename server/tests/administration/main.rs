//! Administration and platform API: settings, sessions, events, retention, the audit log.

mod appliance;
mod audit;
mod clock_guard;
mod erasure;
mod events;
mod faketime;
mod labels;
mod operations;
mod recordings;
mod required;
mod retention;
mod sessions;
mod settings;
#[path = "../support/mod.rs"]
mod support;
mod sweep;
mod trash;
#[cfg(feature = "webhooks")]
mod webhook_receiver;
#[cfg(feature = "webhooks")]
mod webhooks;
#[cfg(all(feature = "webhooks", unix))]
mod webhooks_program;

use std::time::Duration;

use serde_json::Value;
use support::{Client, json_of, until};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Client {
    /// Turns auto-record on or off.
    async fn set_auto_record(&self, on: bool) {
        let answer = self
            .request(reqwest::Method::PUT, "/api/admin/settings")
            .json(&serde_json::json!({ "recording_auto_record": on.to_string() }))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 204);
    }

    async fn session_row(&self, id: &str) -> Value {
        json_of(self.get(&format!("/api/sessions/{id}")), 200).await
    }

    async fn audit(&self, query: &str) -> Vec<Value> {
        let rows = json_of(self.get(&format!("/api/admin/audit?{query}")), 200).await;
        rows.as_array().expect("an array").clone()
    }

    fn change(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        self.request(reqwest::Method::PATCH, path).json(body)
    }
}
