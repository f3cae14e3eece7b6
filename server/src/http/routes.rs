//! The table of routes: who may use each one, and its description in the OpenAPI document.
//!
//! [`routes!`] is the only way to register a handler. It looks up the handler's row in [`TABLE`] at compile time, so a
//! route without a row does not compile; a row without a registered route fails a unit test. A row requires the access
//! rule and the description. `docs/access.md` and `/api/openapi.json` are generated from the table, and
//! `tests/access.rs` requests every route as every kind of caller.

mod registry;
mod row;

use schemars::JsonSchema;
use schemars::Schema;
use schemars::generate::SchemaGenerator;
use sortie_api as api;
use sortie_api::TokenScope::{Admin as AdminScope, Read, Record};

pub(in crate::http) use registry::check;
pub(crate) use registry::{Routes, routes};
pub(crate) use row::Row;
pub(in crate::http) use row::{Answer, Body, Kind, Parameter, Who, names};
use row::{
    Answer::{Bytes, Data, Empty, Events, Text},
    Body::{Form, Json, OptionalJson, Stream},
    Scopes::{AnyScope, Only, Recorder, SignInOnly},
    Who::{Admin, Owner, Public, Scraper, User},
};
use row::{Type, flag, limit, one_of, route, text, time};

const SERVER: &str = "Server";
const SIGN_IN: &str = "Signing in";
const API_TOKENS: &str = "API tokens";
const SESSIONS: &str = "Sessions";
const RECORDINGS: &str = "Recordings";
const APPLIANCE: &str = "Appliance";
const UPLOADS: &str = "Uploads (tus)";
const ADMINISTRATION: &str = "Administration";
const WEBHOOKS: &str = "Webhooks";

type Settings = std::collections::BTreeMap<String, String>;
type Many<T> = Vec<T>;

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const PAGE: &[Parameter] = &[limit(500), text("cursor")];
const USER_FILTER: &[Parameter] = &[
    limit(500),
    text("cursor"),
    text("q"),
    text("subject"),
    text("external_id"),
    text("metadata"),
];
const SESSION_FILTER: &[Parameter] = &[
    one_of(
        "status",
        &["creating", "running", "stopped", "expired", "failed"],
    ),
    limit(500),
    text("cursor"),
    flag("all"),
    text("external_id"),
    text("metadata"),
];
const RECORDING_FILTER: &[Parameter] = &[
    limit(500),
    text("cursor"),
    text("q"),
    text("status"),
    text("user_id"),
    text("session_id"),
    time("from"),
    time("to"),
    time("completed_after"),
    flag("protected"),
    text("external_id"),
    text("metadata"),
    one_of("sort", &["created", "duration", "size"]),
    one_of("order", &["desc", "asc"]),
];
const AUDIT_FILTER: &[Parameter] = &[
    text("actor"),
    text("action"),
    text("subject"),
    one_of("result", &["ok", "denied", "failed"]),
    time("from"),
    time("to"),
    limit(500),
    text("cursor"),
];
const AUDIT_EXPORT: &[Parameter] = &[
    one_of("format", &["jsonl", "csv"]),
    text("actor"),
    text("action"),
    text("subject"),
    one_of("result", &["ok", "denied", "failed"]),
    time("from"),
    time("to"),
];
const DELIVERY_FILTER: &[Parameter] = &[
    one_of("status", &["pending", "delivered", "failed"]),
    limit(500),
    text("cursor"),
];
/// Data of the server-sent events by name.
const EVENTS: &[(&str, Type)] = &[
    ("hello", of::<serde_json::Map<String, serde_json::Value>>),
    ("settings", of::<api::LiveSettings>),
    ("session", of::<api::Session>),
    ("session_deleted", of::<api::DeletedSession>),
    ("recording", of::<api::Recording>),
    ("recording_deleted", of::<api::DeletedRecording>),
    ("appliance", of::<api::Appliance>),
];
const FILE: &[(u16, Answer)] = &[(200, Bytes), (206, Bytes), (304, Empty), (307, Empty)];
const REDIRECT: &[(u16, Answer)] = &[(302, Empty), (303, Empty), (307, Empty)];

/// Every route. An administrator's token with the scope `admin` may use every route that accepts a scope.
#[rustfmt::skip]
static TABLE: &[Row] = &[
    route("GET", "/healthz", Public, AnyScope, SERVER, "Liveness check", &[(204, Empty)]),
    route("GET", "/readyz", Public, AnyScope, SERVER, "Readiness check: 503 or 507 names the part that fails, database or storage",
        &[(200, Data(of::<api::Readiness>))]),
    route("GET", "/metrics", Scraper, Only(&[AdminScope]), SERVER, "Prometheus metrics",
        &[(200, Text(&["application/openmetrics-text"]))]),
    route("GET", "/api/info", Public, AnyScope, SERVER, "Version, limits and features of the server",
        &[(200, Data(of::<api::ServerInfo>))]),
    route("GET", "/api/openapi.json", Public, AnyScope, SERVER, "This document",
        &[(200, Data(of::<serde_json::Map<String, serde_json::Value>>))]),
    route("GET", "/api/docs", Public, AnyScope, SERVER, "This document as a page", &[(200, Text(&["text/html"]))]),
    route("GET", "/api/docs.css", Public, AnyScope, SERVER, "Style sheet of the page", &[(200, Text(&["text/css"]))]),

    // The handlers check the credentials in the body or the cookies.
    route("POST", "/api/auth/login", Public, AnyScope, SIGN_IN, "Sign in", &[(200, Data(of::<api::Tokens>))])
        .body(Json(of::<api::Login>)),
    route("POST", "/api/auth/refresh", Public, AnyScope, SIGN_IN, "Exchange a refresh token for new tokens",
        &[(200, Data(of::<api::Tokens>))])
        .body(OptionalJson(of::<api::RefreshRequest>)),
    route("POST", "/api/auth/logout", Public, AnyScope, SIGN_IN, "Sign out", &[(204, Empty)])
        .body(OptionalJson(of::<api::RefreshRequest>)),
    route("GET", "/api/auth/methods", Public, AnyScope, SIGN_IN, "List the available sign-in methods",
        &[(200, Data(of::<api::SignInMethods>))]),
    route("GET", "/api/auth/oidc/login", Public, AnyScope, SIGN_IN, "Redirect to the OpenID provider", REDIRECT)
        .query(&[text("return_to")]),
    route("GET", "/api/auth/oidc/callback", Public, AnyScope, SIGN_IN, "Complete a sign-in at the OpenID provider", REDIRECT)
        .query(&[text("code"), text("state"), text("error")]).open_query(),
    route("POST", "/api/auth/oidc/backchannel-logout", Public, AnyScope, SIGN_IN,
        "End sign-ins by the OpenID provider's logout_token, sent as a form (OpenID Connect Back-Channel Logout 1.0)",
        &[(200, Empty)]),
    route("GET", "/api/auth/me", User, AnyScope, SIGN_IN, "Return the calling user", &[(200, Data(of::<api::User>))]),
    route("POST", "/api/auth/password", User, SignInOnly, SIGN_IN, "Change your password and end your other sign-ins",
        &[(204, Empty)])
        .body(Json(of::<api::ChangePassword>)),

    route("GET", "/api/auth/sign-ins", User, SignInOnly, SIGN_IN, "List your sign-ins, most recently used first",
        &[(200, Data(of::<Many<api::SignIn>>))]),
    route("DELETE", "/api/auth/sign-ins", User, SignInOnly, SIGN_IN, "End your other sign-ins", &[(204, Empty)]),
    route("DELETE", "/api/auth/sign-ins/{id}", Owner, SignInOnly, SIGN_IN, "End a sign-in", &[(204, Empty)]),

    // A token can neither list nor create nor revoke tokens.
    route("GET", "/api/tokens", User, SignInOnly, API_TOKENS, "List your API tokens",
        &[(200, Data(of::<Many<api::ApiToken>>))]),
    route("POST", "/api/tokens", User, SignInOnly, API_TOKENS, "Create an API token; only this answer has its text",
        &[(201, Data(of::<api::CreatedApiToken>))])
        .body(Json(of::<api::NewApiToken>)),
    route("DELETE", "/api/tokens/{id}", Owner, SignInOnly, API_TOKENS, "Revoke an API token", &[(204, Empty)]),

    route("GET", "/api/sessions", User, Only(&[Record, Read]), SESSIONS, "List your sessions, newest first",
        &[(200, Data(of::<Many<api::Session>>))])
        .query(SESSION_FILTER),
    route("POST", "/api/sessions", User, Only(&[Record]), SESSIONS, "Create a session",
        &[(201, Data(of::<api::Session>))])
        .body(Json(of::<api::NewSession>)),
    route("GET", "/api/sessions/{id}", Owner, Only(&[Record, Read]), SESSIONS, "Return a session",
        &[(200, Data(of::<api::Session>))]),
    route("PATCH", "/api/sessions/{id}", Owner, Only(&[Record]), SESSIONS, "Update a session's status, auto-record, requirement or labels",
        &[(200, Data(of::<api::Session>))])
        .body(Json(of::<api::SessionUpdate>)),
    route("DELETE", "/api/sessions/{id}", Owner, Only(&[AdminScope]), SESSIONS, "Delete a session; its recordings are kept",
        &[(204, Empty)]),
    route("POST", "/api/sessions/{id}/stop", Owner, Only(&[Record]), SESSIONS, "Stop a session and its recordings",
        &[(200, Data(of::<api::Session>))]),
    route("POST", "/api/sessions/{id}/token", Owner, Only(&[Record]), SESSIONS,
        "Create a recording token: valid for one hour, only to start, upload and stop recordings of this session",
        &[(200, Data(of::<api::RecordingToken>))]),
    route("POST", "/api/sessions/{id}/recording/start", Owner, Recorder, SESSIONS, "Start a recording, or the next part of one",
        &[(201, Data(of::<api::RecordingStarted>))])
        .body(OptionalJson(of::<api::StartRecording>)),
    route("POST", "/api/sessions/{id}/recording/stop", Owner, Recorder, SESSIONS, "Stop a recording",
        &[(200, Data(of::<api::RecordingStopped>))])
        .body(Json(of::<api::StopRecording>)),
    route("POST", "/api/sessions/{id}/recording/upload", Owner, Recorder, SESSIONS, "Upload a recording in a single request",
        &[(200, Data(of::<api::RecordingStopped>))])
        .body(Form),

    route("GET", "/api/recordings", User, Only(&[Read]), RECORDINGS, "List your recordings, newest first; the header Link has the next page",
        &[(200, Data(of::<Many<api::Recording>>))])
        .query(RECORDING_FILTER),
    route("POST", "/api/recordings/delete", User, Only(&[AdminScope]), RECORDINGS,
        "Delete up to 1000 recordings; the answer has one line of JSON for each",
        &[(200, Text(&["application/x-ndjson"]))])
        .body(Json(of::<api::DeleteRecordings>)),
    route("GET", "/api/recordings/{id}", Owner, Only(&[Record, Read]), RECORDINGS, "Return a recording",
        &[(200, Data(of::<api::Recording>))]),
    route("PATCH", "/api/recordings/{id}", Owner, Only(&[AdminScope]), RECORDINGS, "Protect, rename or label a recording",
        &[(200, Data(of::<api::Recording>))])
        .body(Json(of::<api::RecordingUpdate>)),
    route("DELETE", "/api/recordings/{id}", Owner, Only(&[AdminScope]), RECORDINGS,
        "Delete a recording; one that is not forwarded to the central server yet needs unforwarded=delete",
        &[(204, Empty)])
        .query(&[one_of("unforwarded", &["keep", "delete"])]),
    route("GET", "/api/recordings/{id}/download", Owner, Only(&[Read]), RECORDINGS,
        "Download the file; supports range requests", FILE),
    route("GET", "/api/recordings/{id}/stream", Owner, Only(&[Read]), RECORDINGS,
        "Play the file; supports range requests", FILE),
    route("GET", "/api/recordings/{id}/raw", Owner, Only(&[Read]), RECORDINGS,
        "Download the bytes received for a failed recording; supports range requests", FILE),

    route("GET", "/api/storage/usage", User, Only(&[Record, Read]), RECORDINGS, "Return your storage usage and quotas",
        &[(200, Data(of::<api::QuotaUsage>))]),

    route("GET", "/api/appliance", Admin, Only(&[AdminScope]), APPLIANCE, "Return the state of the appliance's recorder",
        &[(200, Data(of::<api::Appliance>))]),
    route("POST", "/api/appliance/recording/start", Admin, Only(&[AdminScope]), APPLIANCE, "Start recording; 409 without a signal",
        &[(200, Data(of::<api::Appliance>))]),
    route("POST", "/api/appliance/recording/stop", Admin, Only(&[AdminScope]), APPLIANCE, "Stop recording",
        &[(200, Data(of::<api::Appliance>))]),
    route("POST", "/api/appliance/test-signal", Admin, Only(&[AdminScope]), APPLIANCE, "Set the signal of the test source",
        &[(204, Empty)])
        .body(Json(of::<api::TestSignal>)),

    route("GET", "/api/events", User, Only(&[Record, Read]), SERVER,
        "Stream changes as server-sent events; the header Last-Event-ID resumes a stream, which begins with hello if \
         everything must be loaded again",
        &[(200, Events(EVENTS))])
        .query(&[text("session"), flag("all")])
        .header(&[text("Last-Event-ID")]),

    route("OPTIONS", "/api/uploads", Public, AnyScope, UPLOADS, "List the supported tus 1.0 features", &[(204, Empty)]),
    route("POST", "/api/uploads", User, Recorder, UPLOADS, "Create an upload", &[(201, Empty)]).body(Stream).tus(),
    route("OPTIONS", "/api/uploads/{id}", Public, AnyScope, UPLOADS, "List the supported tus 1.0 features", &[(204, Empty)]),
    route("HEAD", "/api/uploads/{id}", Owner, Recorder, UPLOADS, "Return the offset of an upload", &[(200, Empty)]).tus(),
    route("PATCH", "/api/uploads/{id}", Owner, Recorder, UPLOADS, "Append to an upload; acknowledged bytes are durable",
        &[(204, Empty)])
        .body(Stream).tus(),
    route("POST", "/api/uploads/{id}", Owner, Recorder, UPLOADS, "PATCH, HEAD or DELETE by X-HTTP-Method-Override",
        &[(200, Empty), (204, Empty)])
        .body(Stream).tus(),
    route("DELETE", "/api/uploads/{id}", Owner, Only(&[AdminScope]), UPLOADS, "Delete an upload", &[(204, Empty)]).tus(),

    route("GET", "/api/admin/tokens", Admin, Only(&[AdminScope]), API_TOKENS, "List the API tokens of all users",
        &[(200, Data(of::<Many<api::ApiToken>>))])
        .query(PAGE),
    route("GET", "/api/admin/recordings", Admin, Only(&[AdminScope]), ADMINISTRATION, "List the recordings of all users",
        &[(200, Data(of::<Many<api::Recording>>))])
        .query(RECORDING_FILTER),
    route("GET", "/api/admin/storage", Admin, Only(&[AdminScope]), ADMINISTRATION, "Return storage usage, by status, user and day",
        &[(200, Data(of::<api::StorageReport>))]),
    route("GET", "/api/admin/users", Admin, Only(&[AdminScope]), ADMINISTRATION, "List users by name; the header Link has the next page",
        &[(200, Data(of::<Many<api::User>>))])
        .query(USER_FILTER),
    route("POST", "/api/admin/users", Admin, Only(&[AdminScope]), ADMINISTRATION, "Create a user",
        &[(201, Data(of::<api::User>))])
        .body(Json(of::<api::NewUser>)),
    route("GET", "/api/admin/users/{id}", Admin, Only(&[AdminScope]), ADMINISTRATION, "Return a user",
        &[(200, Data(of::<api::User>))]),
    route("PATCH", "/api/admin/users/{id}", Admin, Only(&[AdminScope]), ADMINISTRATION, "Update a user",
        &[(200, Data(of::<api::User>))])
        .body(Json(of::<api::UserUpdate>)),
    route("DELETE", "/api/admin/users/{id}", Admin, Only(&[AdminScope]), ADMINISTRATION,
        "Delete a user; their recordings are kept unless the query says otherwise",
        &[(204, Empty)])
        .query(&[one_of("recordings", &["keep", "transfer", "delete"])]),
    route("POST", "/api/admin/users/{id}/erase", Admin, Only(&[AdminScope]), ADMINISTRATION,
        "Erase a user: recordings, tokens, sessions, account, and the name in the audit log; 202 while pending",
        &[(200, Data(of::<api::Erasure>)), (202, Data(of::<api::Erasure>))])
        .query(&[flag("include_protected")]),
    route("GET", "/api/admin/users/{id}/erase", Admin, Only(&[AdminScope]), ADMINISTRATION, "Return the progress of an erasure",
        &[(200, Data(of::<api::Erasure>))]),
    route("GET", "/api/admin/users/{id}/sign-ins", Admin, Only(&[AdminScope]), ADMINISTRATION,
        "List a user's sign-ins, most recently used first",
        &[(200, Data(of::<Many<api::SignIn>>))]),
    route("DELETE", "/api/admin/users/{id}/sign-ins", Admin, Only(&[AdminScope]), ADMINISTRATION, "End all sign-ins of a user",
        &[(204, Empty)]),
    route("GET", "/api/admin/settings", Admin, Only(&[AdminScope]), ADMINISTRATION, "Return the settings",
        &[(200, Data(of::<Settings>))]),
    route("PUT", "/api/admin/settings", Admin, Only(&[AdminScope]), ADMINISTRATION, "Change settings, effective immediately",
        &[(204, Empty)])
        .body(Json(of::<Settings>)),
    route("GET", "/api/admin/retention", Admin, Only(&[AdminScope]), ADMINISTRATION, "Preview the next deletions of retention",
        &[(200, Data(of::<api::RetentionPreview>))]),
    route("POST", "/api/admin/retention/run", Admin, Only(&[AdminScope]), ADMINISTRATION, "Clean up storage now",
        &[(200, Data(of::<api::RetentionRun>))]),
    route("POST", "/api/admin/retention/confirm-clock", Admin, Only(&[AdminScope]), ADMINISTRATION,
        "Confirm the server's clock, so that automatic deletion continues",
        &[(204, Empty)])
        .body(OptionalJson(of::<api::ConfirmClock>)),
    route("GET", "/api/admin/webhooks", Admin, Only(&[AdminScope]), WEBHOOKS, "List the webhooks, newest first",
        &[(200, Data(of::<Many<api::Webhook>>))])
        .query(PAGE),
    route("POST", "/api/admin/webhooks", Admin, Only(&[AdminScope]), WEBHOOKS,
        "Create a webhook; only this answer and that of a rotation have the secret",
        &[(201, Data(of::<api::WebhookWithSecret>))])
        .body(Json(of::<api::NewWebhook>)),
    route("GET", "/api/admin/webhooks/{id}", Admin, Only(&[AdminScope]), WEBHOOKS, "Return a webhook",
        &[(200, Data(of::<api::Webhook>))]),
    route("PATCH", "/api/admin/webhooks/{id}", Admin, Only(&[AdminScope]), WEBHOOKS, "Change, enable or disable a webhook",
        &[(200, Data(of::<api::Webhook>))])
        .body(Json(of::<api::WebhookUpdate>)),
    route("DELETE", "/api/admin/webhooks/{id}", Admin, Only(&[AdminScope]), WEBHOOKS, "Delete a webhook with its deliveries",
        &[(204, Empty)]),
    route("POST", "/api/admin/webhooks/{id}/rotate-secret", Admin, Only(&[AdminScope]), WEBHOOKS,
        "Create a new secret; for 24 hours the previous one signs too",
        &[(200, Data(of::<api::WebhookWithSecret>))]),
    route("POST", "/api/admin/webhooks/{id}/test", Admin, Only(&[AdminScope]), WEBHOOKS,
        "Send the event webhook.test and return the result",
        &[(200, Data(of::<api::WebhookTestResult>))]),
    route("GET", "/api/admin/webhooks/{id}/deliveries", Admin, Only(&[AdminScope]), WEBHOOKS,
        "List the deliveries of a webhook, newest event first",
        &[(200, Data(of::<Many<api::WebhookDelivery>>))])
        .query(DELIVERY_FILTER),
    route("POST", "/api/admin/webhooks/{id}/deliveries/{event}/resend", Admin, Only(&[AdminScope]), WEBHOOKS,
        "Send an event again", &[(202, Empty)]),
    route("GET", "/api/admin/audit", Admin, Only(&[AdminScope]), ADMINISTRATION, "List the audit log, newest first",
        &[(200, Data(of::<Many<api::AuditEntry>>))])
        .query(AUDIT_FILTER),
    route("GET", "/api/admin/audit/export", Admin, Only(&[AdminScope]), ADMINISTRATION, "Export the audit log as JSON Lines or CSV",
        &[(200, Text(&["application/jsonl", "text/csv"]))])
        .query(AUDIT_EXPORT),
    route("GET", "/api/admin/audit/verify", Admin, Only(&[AdminScope]), ADMINISTRATION,
        "Verify that no row of the audit log is missing or changed",
        &[(200, Data(of::<api::AuditVerification>))]),
];

/// Returns the row of a route. For constants: a missing row is a compile error.
pub(crate) const fn row_of(method: &str, path: &str) -> &'static Row {
    let mut at = 0;
    while at < TABLE.len() {
        if same(TABLE[at].method, method) && same(TABLE[at].path, path) {
            return &TABLE[at];
        }
        at += 1;
    }
    panic!("this route has no row in the table of server/src/http/routes.rs: add one there")
}

/// `==` of texts; the operator is not available in constants.
const fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Returns all rows, whether or not this server has registered their routes.
#[cfg(test)]
pub(in crate::http) fn rows() -> impl Iterator<Item = &'static Row> {
    TABLE.iter()
}

#[cfg(test)]
mod tests;
