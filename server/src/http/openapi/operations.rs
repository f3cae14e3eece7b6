//! What each route takes and gives. The rows themselves, and who may use them, are `access`' table.

use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema};
use sortie_api as api;

use Answer::{Bytes, Data, Empty, Text};
use Take::{File, Form, Json, Stream};

/// One of the route's query parameters.
pub(in crate::http) struct Parameter {
    pub(in crate::http) name: &'static str,
    pub(in crate::http) kind: Kind,
}

/// What a parameter may be.
pub(in crate::http) enum Kind {
    Text,
    /// RFC 3339.
    Time,
    Flag,
    /// A whole number from … to ….
    Number(u32, u32),
    /// One of these.
    OneOf(&'static [&'static str]),
}

/// Makes a type's schema.
pub(in crate::http) type Type = fn(&mut SchemaGenerator) -> Schema;

/// A request's body.
pub(in crate::http) enum Take {
    /// A JSON body that must be there.
    Json(Type),
    /// A JSON body that may be absent.
    Form(Type),
    /// Bytes of an upload, as tus has them.
    Stream,
    /// `multipart/form-data` with a recording.
    File,
}

/// An answer's body.
pub(in crate::http) enum Answer {
    Empty,
    Data(Type),
    /// Text of one of these media types.
    Text(&'static [&'static str]),
    /// A recording.
    Bytes,
}

/// One route.
pub(in crate::http) struct Operation {
    pub(in crate::http) method: &'static str,
    pub(in crate::http) path: &'static str,
    pub(in crate::http) tag: &'static str,
    /// Ends without a full stop.
    pub(in crate::http) summary: &'static str,
    pub(in crate::http) query: &'static [Parameter],
    /// Whether other query parameters are ignored instead of refused.
    pub(in crate::http) open_query: bool,
    pub(in crate::http) takes: Option<Take>,
    /// By status; what is 400 or above is a problem and goes without saying.
    pub(in crate::http) gives: &'static [(u16, Answer)],
    /// Whether it speaks tus: its version is in every request and answer.
    pub(in crate::http) tus: bool,
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const fn text(name: &'static str) -> Parameter {
    let kind = Kind::Text;
    Parameter { name, kind }
}

const fn time(name: &'static str) -> Parameter {
    let kind = Kind::Time;
    Parameter { name, kind }
}

const fn flag(name: &'static str) -> Parameter {
    let kind = Kind::Flag;
    Parameter { name, kind }
}

const fn limit(most: u32) -> Parameter {
    let kind = Kind::Number(1, most);
    Parameter {
        name: "limit",
        kind,
    }
}

const fn one_of(name: &'static str, words: &'static [&'static str]) -> Parameter {
    let kind = Kind::OneOf(words);
    Parameter { name, kind }
}

const PAGE: &[Parameter] = &[limit(500), text("cursor")];
const USERS: &[Parameter] = &[limit(500), text("cursor"), text("q")];
const SESSIONS: &[Parameter] = &[
    one_of(
        "status",
        &["creating", "running", "stopped", "expired", "failed"],
    ),
    limit(500),
    text("cursor"),
    flag("all"),
];
const RECORDINGS: &[Parameter] = &[
    limit(500),
    text("cursor"),
    text("q"),
    text("status"),
    text("user_id"),
    text("session_id"),
    time("from"),
    time("to"),
    flag("protected"),
    one_of("sort", &["created", "duration", "size"]),
    one_of("order", &["desc", "asc"]),
];
const AUDIT: &[Parameter] = &[
    text("actor"),
    text("action"),
    text("subject"),
    one_of("result", &["ok", "denied", "failed"]),
    time("from"),
    time("to"),
    limit(500),
    text("cursor"),
];
const EXPORT: &[Parameter] = &[
    one_of("format", &["jsonl", "csv"]),
    text("actor"),
    text("action"),
    text("subject"),
    one_of("result", &["ok", "denied", "failed"]),
    time("from"),
    time("to"),
];

const fn op(
    method: &'static str,
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    gives: &'static [(u16, Answer)],
) -> Operation {
    Operation {
        method,
        path,
        tag,
        summary,
        query: &[],
        open_query: false,
        takes: None,
        gives,
        tus: false,
    }
}

impl Operation {
    const fn query(self, query: &'static [Parameter]) -> Self {
        Self { query, ..self }
    }

    /// For a route that a third party redirects to with parameters of its own.
    const fn open_query(self) -> Self {
        Self {
            open_query: true,
            ..self
        }
    }

    const fn takes(self, takes: Take) -> Self {
        Self {
            takes: Some(takes),
            ..self
        }
    }

    const fn tus(self) -> Self {
        Self { tus: true, ..self }
    }
}

type Settings = std::collections::BTreeMap<String, String>;
type Many<T> = Vec<T>;

/// All that there may be; a server without recording has fewer.
#[rustfmt::skip]
pub(in crate::http) static OPERATIONS: &[Operation] = &[
    op("GET", "/healthz", "Server", "The process answers", &[(204, Empty)]),
    op("GET", "/readyz", "Server", "Database and storage answer; else 503 or 507 says which does not", &[(200, Data(of::<api::Readiness>))]),
    op("GET", "/metrics", "Server", "Prometheus metrics", &[(200, Text(&["application/openmetrics-text"]))]),
    op("GET", "/api/info", "Server", "What a page needs to know before anybody signs in", &[(200, Data(of::<api::ServerInfo>))]),
    op("GET", "/api/openapi.json", "Server", "This document", &[(200, Data(of::<serde_json::Map<String, serde_json::Value>>))]),
    op("GET", "/api/docs", "Server", "This document as a page", &[(200, Text(&["text/html"]))]),
    op("GET", "/api/docs.css", "Server", "That page's style", &[(200, Text(&["text/css"]))]),
    op("GET", "/api/events", "Server", "What changes, as server-sent events: hello, settings, session, recording, recording_deleted", &[(200, Text(&["text/event-stream"]))])
        .query(&[text("session"), flag("all")]),

    op("POST", "/api/auth/login", "Signing in", "Sign in", &[(200, Data(of::<api::Tokens>))]).takes(Json(of::<api::Login>)),
    op("POST", "/api/auth/refresh", "Signing in", "New tokens for a refresh token, which is used up by it", &[(200, Data(of::<api::Tokens>))]).takes(Form(of::<api::RefreshRequest>)),
    op("POST", "/api/auth/logout", "Signing in", "Sign out", &[(204, Empty)]).takes(Form(of::<api::RefreshRequest>)),
    op("GET", "/api/auth/me", "Signing in", "Who asks", &[(200, Data(of::<api::User>))]),
    op("POST", "/api/auth/password", "Signing in", "Change one's own password; other sign-ins end", &[(204, Empty)]).takes(Json(of::<api::ChangePassword>)),
    op("GET", "/api/auth/methods", "Signing in", "In which ways one can sign in", &[(200, Data(of::<api::SignInMethods>))]),
    op("GET", "/api/auth/oidc/login", "Signing in", "Go to the OpenID provider", &[(302, Empty), (303, Empty), (307, Empty)]).query(&[text("return_to")]),
    op("GET", "/api/auth/oidc/callback", "Signing in", "Come back from the OpenID provider", &[(302, Empty), (303, Empty), (307, Empty)])
        .query(&[text("code"), text("state"), text("error")]).open_query(),
    op("POST", "/api/auth/oidc/backchannel-logout", "Signing in", "End sign-ins by the OpenID provider's logout_token, sent as a form (OpenID Connect Back-Channel Logout 1.0)", &[(200, Empty)]),

    op("GET", "/api/auth/sign-ins", "Signing in", "One's own sign-ins, the last used first", &[(200, Data(of::<Many<api::SignIn>>))]),
    op("DELETE", "/api/auth/sign-ins", "Signing in", "End one's other sign-ins", &[(204, Empty)]),
    op("DELETE", "/api/auth/sign-ins/{id}", "Signing in", "End a sign-in", &[(204, Empty)]),
    op("GET", "/api/tokens", "API tokens", "One's own API tokens", &[(200, Data(of::<Many<api::ApiToken>>))]),
    op("POST", "/api/tokens", "API tokens", "Make an API token; its text is shown only here", &[(201, Data(of::<api::CreatedApiToken>))]).takes(Json(of::<api::NewApiToken>)),
    op("DELETE", "/api/tokens/{id}", "API tokens", "Revoke an API token", &[(204, Empty)]),
    op("GET", "/api/admin/tokens", "API tokens", "Everybody's API tokens", &[(200, Data(of::<Many<api::ApiToken>>))]).query(PAGE),

    op("GET", "/api/sessions", "Sessions", "One's own sessions, newest first", &[(200, Data(of::<Many<api::Session>>))]).query(SESSIONS),
    op("POST", "/api/sessions", "Sessions", "Open a session", &[(201, Data(of::<api::Session>))]).takes(Json(of::<api::NewSession>)),
    op("GET", "/api/sessions/{id}", "Sessions", "A session", &[(200, Data(of::<api::Session>))]),
    op("PATCH", "/api/sessions/{id}", "Sessions", "Say how a session fares", &[(200, Data(of::<api::Session>))]).takes(Json(of::<api::SessionUpdate>)),
    op("POST", "/api/sessions/{id}/stop", "Sessions", "End a session, and its recordings with it", &[(200, Data(of::<api::Session>))]),
    op("POST", "/api/sessions/{id}/token", "Sessions", "Make a recording token: for an hour, it can start, send and stop recordings of this session and nothing else", &[(200, Data(of::<api::RecordingToken>))]),
    op("DELETE", "/api/sessions/{id}", "Sessions", "Forget a session; its recordings stay", &[(204, Empty)]),
    op("POST", "/api/sessions/{id}/recording/start", "Sessions", "Start a recording, or the next part of one", &[(201, Data(of::<api::RecordingStarted>))]).takes(Form(of::<api::StartRecording>)),
    op("POST", "/api/sessions/{id}/recording/stop", "Sessions", "Stop a recording", &[(200, Data(of::<api::RecordingStopped>))]).takes(Json(of::<api::StopRecording>)),
    op("POST", "/api/sessions/{id}/recording/upload", "Sessions", "Upload a recording as one file", &[(200, Data(of::<api::RecordingStopped>))]).takes(File),

    op("GET", "/api/recordings", "Recordings", "One's own recordings, newest first; the header Link has the next page", &[(200, Data(of::<Many<api::Recording>>))]).query(RECORDINGS),
    op("POST", "/api/recordings/delete", "Recordings", "Delete up to 1000 recordings; the answer is one JSON object a line for each", &[(200, Text(&["application/x-ndjson"]))]).takes(Json(of::<api::DeleteRecordings>)),
    op("GET", "/api/recordings/{id}", "Recordings", "A recording", &[(200, Data(of::<api::Recording>))]),
    op("PATCH", "/api/recordings/{id}", "Recordings", "Protect or rename a recording", &[(200, Data(of::<api::Recording>))]).takes(Json(of::<api::RecordingUpdate>)),
    op("DELETE", "/api/recordings/{id}", "Recordings", "Delete a recording; one that waits for the central server only with unforwarded=delete", &[(204, Empty)]).query(&[one_of("unforwarded", &["keep", "delete"])]),
    op("GET", "/api/recordings/{id}/download", "Recordings", "The file, to keep; ranges are answered", &[(200, Bytes), (206, Bytes), (304, Empty), (307, Empty)]),
    op("GET", "/api/recordings/{id}/raw", "Recordings", "What arrived of a failed recording, byte for byte; ranges are answered", &[(200, Bytes), (206, Bytes), (304, Empty), (307, Empty)]),
    op("GET", "/api/recordings/{id}/stream", "Recordings", "The file, to watch; ranges are answered", &[(200, Bytes), (206, Bytes), (304, Empty), (307, Empty)]),

    op("GET", "/api/storage/usage", "Recordings", "The caller's storage usage and quotas", &[(200, Data(of::<api::QuotaUsage>))]),

    op("GET", "/api/appliance", "Appliance", "What the recorder on board is doing", &[(200, Data(of::<api::Appliance>))]),
    op("POST", "/api/appliance/recording/start", "Appliance", "Begin to record; 409 without a signal", &[(200, Data(of::<api::Appliance>))]),
    op("POST", "/api/appliance/recording/stop", "Appliance", "End what is recorded", &[(200, Data(of::<api::Appliance>))]),
    op("POST", "/api/appliance/test-signal", "Appliance", "Switch what arrives at the test source", &[(204, Empty)]).takes(Json(of::<api::TestSignal>)),

    op("OPTIONS", "/api/uploads", "Uploads (tus)", "What of tus 1.0 there is", &[(204, Empty)]),
    op("POST", "/api/uploads", "Uploads (tus)", "Create an upload", &[(201, Empty)]).takes(Stream).tus(),
    op("OPTIONS", "/api/uploads/{id}", "Uploads (tus)", "What of tus 1.0 there is", &[(204, Empty)]),
    op("HEAD", "/api/uploads/{id}", "Uploads (tus)", "Where an upload is", &[(200, Empty)]).tus(),
    op("PATCH", "/api/uploads/{id}", "Uploads (tus)", "Append to an upload; acknowledged is durable", &[(204, Empty)]).takes(Stream).tus(),
    op("POST", "/api/uploads/{id}", "Uploads (tus)", "PATCH, HEAD or DELETE by X-HTTP-Method-Override", &[(200, Empty), (204, Empty)]).takes(Stream).tus(),
    op("DELETE", "/api/uploads/{id}", "Uploads (tus)", "Give an upload up, and what it brought", &[(204, Empty)]).tus(),

    op("GET", "/api/admin/users", "Administration", "Everybody, by name; the header Link has the next page", &[(200, Data(of::<Many<api::User>>))]).query(USERS),
    op("POST", "/api/admin/users", "Administration", "Create a user", &[(201, Data(of::<api::User>))]).takes(Json(of::<api::NewUser>)),
    op("GET", "/api/admin/users/{id}", "Administration", "Somebody", &[(200, Data(of::<api::User>))]),
    op("PATCH", "/api/admin/users/{id}", "Administration", "Change somebody", &[(200, Data(of::<api::User>))]).takes(Json(of::<api::UserUpdate>)),
    op("PUT", "/api/admin/users/{id}", "Administration", "Change somebody", &[(200, Data(of::<api::User>))]).takes(Json(of::<api::UserUpdate>)),
    op("DELETE", "/api/admin/users/{id}", "Administration", "Remove a user; their recordings are kept unless the query says otherwise", &[(204, Empty)]).query(&[one_of("recordings", &["keep", "transfer", "delete"])]),
    op("GET", "/api/admin/recordings", "Administration", "Everybody's recordings", &[(200, Data(of::<Many<api::Recording>>))]).query(RECORDINGS),
    op("GET", "/api/admin/users/{id}/sign-ins", "Administration", "A user's sign-ins, the last used first", &[(200, Data(of::<Many<api::SignIn>>))]),
    op("DELETE", "/api/admin/users/{id}/sign-ins", "Administration", "End all of a user's sign-ins", &[(204, Empty)]),
    op("GET", "/api/admin/settings", "Administration", "Settings", &[(200, Data(of::<Settings>))]),
    op("PUT", "/api/admin/settings", "Administration", "Change settings, in force at once", &[(204, Empty)]).takes(Json(of::<Settings>)),
    op("GET", "/api/admin/storage", "Administration", "What is used, by whom, and how it grows", &[(200, Data(of::<api::StorageReport>))]),
    op("GET", "/api/admin/retention", "Administration", "What retention would delete next", &[(200, Data(of::<api::RetentionPreview>))]),
    op("POST", "/api/admin/retention/run", "Administration", "Clean up storage now", &[(200, Data(of::<api::RetentionRun>))]),
    op("POST", "/api/admin/retention/confirm-clock", "Administration", "Confirm the server's clock, so that automatic deletion continues", &[(204, Empty)]).takes(Form(of::<api::ConfirmClock>)),
    op("GET", "/api/admin/audit", "Administration", "The audit log, newest first", &[(200, Data(of::<Many<api::AuditEntry>>))]).query(AUDIT),
    op("GET", "/api/admin/audit/export", "Administration", "The audit log as JSON Lines or CSV", &[(200, Text(&["application/jsonl", "text/csv"]))]).query(EXPORT),
    op("GET", "/api/admin/audit/verify", "Administration", "Whether a row of the audit log is missing or changed", &[(200, Data(of::<api::AuditVerification>))]),
];

/// What a route takes and gives.
pub(in crate::http) fn find(method: &str, path: &str) -> Option<&'static Operation> {
    OPERATIONS
        .iter()
        .find(|operation| operation.method == method && operation.path == path)
}
