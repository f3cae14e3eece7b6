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

use crate::http::extract::caller::PLAYBACK;
pub(in crate::http) use registry::check;
pub(crate) use registry::{Routes, routes};
pub(crate) use row::Row;
pub(in crate::http) use row::{Answer, Body, Kind, Parameter, Who, names};
use row::{
    Answer::{Bytes, Data, Empty, Events, Image, LivePicture, Text},
    Body::{Form, Json, OptionalJson, Picture, Stream},
    Scopes::{AnyScope, Only, Recorder, SignInOnly},
    Who::{Admin, Owner, Public, Scraper, User},
};
use row::{Type, flag, limit, ms, one_of, optional_ms, route, text, time};

const SERVER: &str = "Server";
const SIGN_IN: &str = "Signing in";
const API_TOKENS: &str = "API tokens";
const SESSIONS: &str = "Sessions";
const RECORDINGS: &str = "Recordings";
const SHARING: &str = "Sharing";
const APPLIANCE: &str = "Appliance";
const UPLOADS: &str = "Uploads (tus)";
const ADMINISTRATION: &str = "Administration";
const WEBHOOKS: &str = "Webhooks";

type Settings = std::collections::BTreeMap<String, String>;
type Many<T> = Vec<T>;

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// Sends a WebM or Matroska recording as MP4, as an `Accept` without its own format does.
const FORMAT: Parameter = one_of("format", &["mp4"]);
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
    text("tag"),
    text("source"),
    text("min_seconds"),
    text("max_seconds"),
    flag("unwatched"),
    one_of("sort", &["created", "duration", "size", "active"]),
    one_of("order", &["desc", "asc"]),
];
const RECORDING_COUNT_FILTER: &[Parameter] = &[
    text("q"),
    text("status"),
    text("user_id"),
    text("session_id"),
    time("from"),
    time("to"),
    flag("protected"),
    text("external_id"),
    text("metadata"),
    text("tag"),
    text("source"),
    text("min_seconds"),
    text("max_seconds"),
    flag("unwatched"),
    flag("totals"),
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
    ("hello", of::<api::Hello>),
    ("settings", of::<api::LiveSettings>),
    ("session", of::<api::Session>),
    ("session_deleted", of::<api::DeletedSession>),
    ("recording", of::<api::Recording>),
    ("recording_deleted", of::<api::DeletedRecording>),
    ("appliance", of::<api::Appliance>),
];
const FILE: &[(u16, Answer)] = &[(200, Bytes), (206, Bytes), (304, Empty), (307, Empty)];
const IMAGE: &[(u16, Answer)] = &[(200, Image), (304, Empty)];
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
    route("POST", "/api/auth/logout", Public, AnyScope, SIGN_IN,
        "Sign out; with clear_site_data=true the browser also deletes what this origin stores on the device",
        &[(204, Empty)])
        .query(&[flag("clear_site_data")])
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

    route("GET", "/api/recordings", User, Only(&[Read]), RECORDINGS, "List your recordings, newest first; the header Link has the next page, Last-Event-ID the number of the last change",
        &[(200, Data(of::<Many<api::Recording>>))])
        .query(RECORDING_FILTER),
    route("GET", "/api/recordings/count", User, Only(&[Read]), RECORDINGS, "Count your recordings, up to 10,000",
        &[(200, Data(of::<api::RecordingCount>))])
        .query(RECORDING_COUNT_FILTER),
    route("POST", "/api/recordings/delete", User, Only(&[AdminScope]), RECORDINGS,
        "Delete up to 1000 named recordings, or up to 10,000 that match a filter, like a single one; the answer has one line of JSON for each",
        &[(200, Text(&["application/x-ndjson"]))])
        .body(Json(of::<api::DeleteRecordings>)),
    route("GET", "/api/recordings/{id}", Owner, Only(&[Record, Read]), RECORDINGS, "Return a recording",
        &[(200, Data(of::<api::Recording>))]),
    route("PATCH", "/api/recordings/{id}", Owner, Only(&[AdminScope]), RECORDINGS, "Protect, rename, title, tag or label a recording",
        &[(200, Data(of::<api::Recording>))])
        .body(Json(of::<api::RecordingUpdate>)),
    route("DELETE", "/api/recordings/{id}", Owner, Only(&[AdminScope]), RECORDINGS,
        "Delete a recording. With SORTIE_TRASH_DAYS a complete one is moved to the trash, unless it is there already or with permanently=true; \
         one that is not forwarded to the central server yet needs unforwarded=delete",
        &[(204, Empty)])
        .query(&[one_of("unforwarded", &["keep", "delete"]), one_of("permanently", &["false", "true"])]),
    route("POST", "/api/recordings/{id}/restore", Owner, Only(&[AdminScope]), RECORDINGS, "Restore a recording from the trash",
        &[(200, Data(of::<api::Recording>))]),
    route("GET", "/api/recordings/{id}/activity", Owner, Only(&[Read]), RECORDINGS,
        "Return how much the picture changes over time, and the spans in which nothing happens",
        &[(200, Data(of::<api::Activity>))]),
    route("GET", "/api/recordings/{id}/clip", Owner, Only(&[Read]), RECORDINGS,
        "Download a part as a file of its own, without re-encoding, from the keyframe at or before its start",
        &[(200, Bytes)])
        .query(&[ms("start_ms"), ms("end_ms"), FORMAT]),
    route("GET", "/api/recordings/{id}/index", Owner, Only(&[Read]), RECORDINGS,
        "Return the times of keyframes with their places in the file",
        &[(200, Data(of::<api::SeekIndex>)), (304, Empty)]),
    route("GET", "/api/recordings/{id}/markers", Owner, Only(&[Record, Read]), RECORDINGS,
        "List the markers of a recording, or of one of its parts, in the order of time",
        &[(200, Data(of::<Many<api::Marker>>))]),
    route("POST", "/api/recordings/{id}/markers", Owner, Recorder, RECORDINGS, "Add a marker",
        &[(200, Data(of::<api::Marker>)), (201, Data(of::<api::Marker>))])
        .body(Json(of::<api::NewMarker>)),
    route("GET", "/api/recordings/{id}/markers.vtt", Owner, Only(&[Record, Read]), RECORDINGS,
        "Return the markers as WebVTT chapters", &[(200, Text(&["text/vtt"]))]),
    route("PATCH", "/api/recordings/{id}/markers/{marker}", Owner, Only(&[AdminScope]), RECORDINGS, "Change a marker",
        &[(200, Data(of::<api::Marker>))])
        .body(Json(of::<api::MarkerUpdate>)),
    route("DELETE", "/api/recordings/{id}/markers/{marker}", Owner, Only(&[AdminScope]), RECORDINGS, "Delete a marker",
        &[(204, Empty)]),
    route("POST", "/api/recordings/{id}/pictures", Owner, Recorder, RECORDINGS,
        "Add a picture of up to 320 × 180 pixels and 64 KiB; the server keeps the first of every 10 seconds, and at most 300",
        &[(204, Empty)])
        .query(&[ms("at_ms")])
        .body(Picture),
    route("GET", "/api/recordings/{id}/pictures/{at_ms}", Owner, Only(&[Read]), RECORDINGS, "Return a picture of the storyboard", IMAGE),
    route("GET", "/api/recordings/{id}/poster", Owner, Only(&[Read]), RECORDINGS,
        "Return the picture nearest to a tenth of the length, or the newest one of an open recording; pictures is ignored and lets a \
         page fetch it again when the number has changed", IMAGE)
        .query(&[text("pictures")]),
    route("GET", "/api/recordings/{id}/storyboard.vtt", Owner, Only(&[Read]), RECORDINGS,
        "Return the times and addresses of the pictures as WebVTT", &[(200, Text(&["text/vtt"]))]),
    route("POST", "/api/recordings/{id}/viewed", Owner, Only(&[Read]), RECORDINGS, "Mark a recording as watched by you",
        &[(204, Empty)]),
    route("DELETE", "/api/recordings/{id}/viewed", Owner, Only(&[Read]), RECORDINGS, "Mark a recording as not watched by you",
        &[(204, Empty)]),
    route("GET", "/api/recordings/{id}/download", Owner, Only(&[Read]), RECORDINGS,
        "Download the file; supports range requests, but not as MP4", FILE)
        .query(&[FORMAT]),
    route("GET", "/api/recordings/{id}/stream", Owner, Only(&[Read]), RECORDINGS,
        "Play the file; supports range requests, but not as MP4. The query parameter playback of a playback URL replaces a sign-in", FILE)
        .query(&[text(PLAYBACK), FORMAT]),
    route("POST", "/api/recordings/{id}/playback-url", Owner, Only(&[Read]), RECORDINGS,
        "Create a playback URL: an address of the file that works without a sign-in for a limited time",
        &[(201, Data(of::<api::PlaybackUrl>))])
        .body(OptionalJson(of::<api::NewPlaybackUrl>)),
    route("GET", "/api/recordings/{id}/live", Owner, Only(&[Read]), RECORDINGS,
        "Watch an open recording: the head, then media from the newest keyframe, or from the last one at or before from_ms, until the recording ends; the media type names the codecs", FILE)
        .query(&[optional_ms("from_ms")]),
    route("GET", "/api/recordings/{id}/raw", Owner, Only(&[Read]), RECORDINGS,
        "Download the bytes received for a failed recording; supports range requests", FILE),

    route("GET", "/api/recordings/{id}/shares", Owner, Only(&[Read]), SHARING,
        "List the share links of a recording that have not expired, newest first",
        &[(200, Data(of::<Many<api::Share>>))]),
    route("POST", "/api/recordings/{id}/shares", Owner, Only(&[AdminScope]), SHARING,
        "Create a share link: a page for viewers without an account; only this answer has its address",
        &[(201, Data(of::<api::CreatedShare>))])
        .body(OptionalJson(of::<api::NewShare>)),
    route("DELETE", "/api/recordings/{id}/shares/{share}", Owner, Only(&[AdminScope]), SHARING, "Revoke a share link",
        &[(204, Empty)]),
    // Pages for viewers: not in the OpenAPI document. Mail programs and search engines add parameters to links.
    route("GET", "/s/style.css", Public, AnyScope, SHARING, "Style sheet of the pages for viewers", &[(200, Text(&["text/css"]))])
        .open_query(),
    route("GET", "/s/{token}", Public, AnyScope, SHARING, "Page of a share link", &[(200, Text(&["text/html"]))])
        .query(&[text("part")]).open_query(),
    route("POST", "/s/{token}", Public, AnyScope, SHARING, "Unlock a share link with its password, sent as a form", &[(303, Empty)])
        .open_query(),
    route("GET", "/s/{token}/file", Public, AnyScope, SHARING, "Play the file of a share link; supports range requests", FILE)
        .query(&[text("part"), FORMAT]).open_query(),
    route("GET", "/s/{token}/poster", Public, AnyScope, SHARING, "Picture of a share link", IMAGE)
        .query(&[text("part")]).open_query(),

    route("GET", "/api/storage/usage", User, Only(&[Record, Read]), RECORDINGS, "Return your storage usage and quotas",
        &[(200, Data(of::<api::QuotaUsage>))]),

    route("GET", "/api/appliance", Admin, Only(&[AdminScope]), APPLIANCE, "Return the state of the appliance's recorder",
        &[(200, Data(of::<api::Appliance>))]),
    route("GET", "/api/appliance/history", Admin, Only(&[AdminScope]), APPLIANCE,
        "Return signal, dropped frames and recordings of the last 24 hours", &[(200, Data(of::<api::ApplianceHistory>))]),
    route("GET", "/api/appliance/picture", Admin, Only(&[AdminScope]), APPLIANCE,
        "Return the picture of the input as a JPEG of up to 640 × 360 pixels, or stream it; 409 without a signal. stream=true, or an \
         Accept that names multipart/x-mixed-replace, selects the stream of up to two frames per second",
        &[(200, LivePicture)])
        .query(&[one_of("stream", &["false", "true"])]),
    route("POST", "/api/appliance/recording/start", Admin, Only(&[AdminScope]), APPLIANCE, "Start recording; 409 without a signal",
        &[(200, Data(of::<api::Appliance>))]),
    route("POST", "/api/appliance/recording/stop", Admin, Only(&[AdminScope]), APPLIANCE, "Stop recording",
        &[(200, Data(of::<api::Appliance>))]),
    route("GET", "/api/appliance/schedule", Admin, Only(&[AdminScope]), APPLIANCE,
        "Return the schedule of auto-record, and whether it is armed now", &[(200, Data(of::<api::ApplianceSchedule>))]),
    route("PUT", "/api/appliance/schedule", Admin, Only(&[AdminScope]), APPLIANCE,
        "Replace the schedule of auto-record, effective immediately", &[(200, Data(of::<api::ApplianceSchedule>))])
        .body(Json(of::<api::Schedule>)),
    route("POST", "/api/appliance/test-signal", Admin, Only(&[AdminScope]), APPLIANCE, "Set the signal of the test source",
        &[(204, Empty)])
        .body(Json(of::<api::TestSignal>)),

    route("GET", "/api/events", User, Only(&[Record, Read]), SERVER,
        "Stream changes as server-sent events; the header Last-Event-ID resumes a stream or begins after a list, otherwise \
         the stream begins with hello",
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
    route("GET", "/api/admin/recordings/count", Admin, Only(&[AdminScope]), ADMINISTRATION,
        "Count the recordings of all users, up to 10,000",
        &[(200, Data(of::<api::RecordingCount>))])
        .query(RECORDING_COUNT_FILTER),
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
        .query(&[one_of("recordings", &["keep", "transfer", "delete"]), one_of("unforwarded", &["keep", "delete"])]),
    route("POST", "/api/admin/users/{id}/erase", Admin, Only(&[AdminScope]), ADMINISTRATION,
        "Erase a user: recordings, tokens, sessions, account, and the name in the audit log; 202 while pending",
        &[(200, Data(of::<api::Erasure>)), (202, Data(of::<api::Erasure>))])
        .query(&[flag("include_protected"), one_of("unforwarded", &["keep", "delete"])]),
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
