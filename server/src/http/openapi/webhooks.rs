//! Section `webhooks` of the OpenAPI document: the requests that the server sends.

use schemars::generate::SchemaGenerator;
use serde_json::{Map, Value, json};
use sortie_api::{RecordingWebhook, SessionWebhook, TestWebhook, WebhookEvent};

pub(super) fn section(generator: &mut SchemaGenerator) -> Map<String, Value> {
    let events = WebhookEvent::ALL.iter().map(|event| {
        let schema = if event.is_of_session() {
            generator.subschema_for::<SessionWebhook>()
        } else {
            generator.subschema_for::<RecordingWebhook>()
        };
        (event.name().to_owned(), request(&json!(schema)))
    });
    let mut section: Map<_, _> = events.collect();
    let test = generator.subschema_for::<TestWebhook>();
    section.insert("webhook.test".to_owned(), request(&json!(test)));
    section
}

fn request(schema: &Value) -> Value {
    let header = |name: &str, description: &str| {
        json!({
            "name": name,
            "in": "header",
            "required": true,
            "description": description,
            "schema": { "type": "string" },
        })
    };
    json!({ "post": {
        "parameters": [
            header("webhook-id", "ID of the event, the same for every attempt"),
            header("webhook-timestamp", "Time of the attempt in seconds since 1970"),
            header("webhook-signature", "One or more signatures `v1,<base64>` of `id.timestamp.body`, separated by spaces"),
        ],
        "requestBody": { "required": true, "content": { "application/json": { "schema": schema } } },
        "responses": {
            "2XX": { "description": "The event is delivered" },
            "410": { "description": "The webhook is disabled" },
            "default": { "description": "The event is sent again later, for up to 72 hours" },
        },
    } })
}
