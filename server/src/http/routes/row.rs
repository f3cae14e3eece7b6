//! Type of a row of the route table, and its parts.

use schemars::Schema;
use schemars::generate::SchemaGenerator;
use sortie_api::TokenScope;

use crate::http::extract::caller::PLAYBACK;

/// Callers that may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Who {
    /// Every client, signed in or not.
    Public,
    /// Signed-in users, for their own data.
    User,
    /// The owner of the resource in the path, and administrators.
    Owner,
    Admin,
    /// Administrators; every client if `SORTIE_METRICS_PUBLIC=true`.
    Scraper,
}

/// Scopes that an API token needs for a route.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) enum Scopes {
    /// Every token is accepted.
    AnyScope,
    Only(&'static [TokenScope]),
    /// The scope `record`, or a recording token of the session. No other route accepts a recording token.
    Recorder,
    /// Neither API tokens nor platform tokens: a credential that outlives the token may only be changed by a signed-in
    /// user.
    SignInOnly,
}

/// Function that creates a type's schema.
pub(in crate::http) type Type = fn(&mut SchemaGenerator) -> Schema;

pub(in crate::http) struct Parameter {
    pub(in crate::http) name: &'static str,
    pub(in crate::http) kind: Kind,
}

/// Type of a query parameter.
pub(in crate::http) enum Kind {
    Text,
    /// RFC 3339, or empty.
    Time,
    Flag,
    /// Whole number of milliseconds; required.
    Ms,
    /// Integer with its smallest and largest value.
    Number(u32, u32),
    OneOf(&'static [&'static str]),
}

/// Body of a request.
pub(in crate::http) enum Body {
    Json(Type),
    OptionalJson(Type),
    /// Bytes of a tus upload.
    Stream,
    /// `multipart/form-data` with a recording.
    Form,
    /// Picture as JPEG or WebP.
    Picture,
}

/// Body of an answer.
pub(in crate::http) enum Answer {
    Empty,
    Data(Type),
    /// Server-sent events by name, with the type of their data.
    Events(&'static [(&'static str, Type)]),
    /// Text of one of these media types.
    Text(&'static [&'static str]),
    /// Bytes of a recording.
    Bytes,
    /// Picture as JPEG or WebP.
    Image,
    /// Picture as JPEG, or an endless sequence of such pictures.
    LivePicture,
}

/// Row of the table: a route with its access rule and its description.
pub(crate) struct Row {
    pub(in crate::http) method: &'static str,
    pub(in crate::http) path: &'static str,
    pub(in crate::http) who: Who,
    pub(in crate::http) scopes: Scopes,
    /// Group in the OpenAPI document.
    pub(in crate::http) tag: &'static str,
    /// One line without a full stop.
    pub(in crate::http) summary: &'static str,
    /// By status below 400; errors are problems on every route.
    pub(in crate::http) answers: &'static [(u16, Answer)],
    pub(in crate::http) query: &'static [Parameter],
    /// Optional headers of the request.
    pub(in crate::http) headers: &'static [Parameter],
    /// Whether unknown query parameters are ignored instead of rejected.
    pub(in crate::http) open_query: bool,
    pub(in crate::http) body: Option<Body>,
    /// Whether requests and answers have the tus headers.
    pub(in crate::http) tus: bool,
}

/// Creates a row of its required parts.
pub(super) const fn route(
    method: &'static str,
    path: &'static str,
    who: Who,
    scopes: Scopes,
    tag: &'static str,
    summary: &'static str,
    answers: &'static [(u16, Answer)],
) -> Row {
    Row {
        method,
        path,
        who,
        scopes,
        tag,
        summary,
        answers,
        query: &[],
        headers: &[],
        open_query: false,
        body: None,
        tus: false,
    }
}

impl Row {
    pub(super) const fn query(self, query: &'static [Parameter]) -> Self {
        Self { query, ..self }
    }

    pub(super) const fn header(self, headers: &'static [Parameter]) -> Self {
        Self { headers, ..self }
    }

    pub(super) const fn open_query(self) -> Self {
        Self {
            open_query: true,
            ..self
        }
    }

    /// Whether the route is a page for viewers of share links and no part of the API.
    pub(in crate::http) fn is_page(&self) -> bool {
        self.path.starts_with("/s/")
    }

    /// Whether the route accepts the token of a playback URL.
    pub(in crate::http) fn accepts_playback(&self) -> bool {
        self.query.iter().any(|known| known.name == PLAYBACK)
    }

    pub(super) const fn body(self, body: Body) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }

    pub(super) const fn tus(self) -> Self {
        Self { tus: true, ..self }
    }

    /// Returns the access rule as a sentence for the OpenAPI document.
    pub(in crate::http) fn rule(&self) -> String {
        let who = match self.who {
            Who::Public => return "No sign-in required.".to_owned(),
            Who::User => "Requires a signed-in user.",
            Who::Owner => "Requires the owner or an administrator.",
            Who::Admin => "Requires an administrator.",
            Who::Scraper => "Requires an administrator, unless SORTIE_METRICS_PUBLIC=true.",
        };
        match self.scopes {
            Scopes::AnyScope => who.to_owned(),
            Scopes::SignInOnly => format!("{who} Tokens are not accepted."),
            Scopes::Recorder => format!(
                "{who} An API token needs the scope record; a recording token of the session is also accepted."
            ),
            Scopes::Only(scopes @ [_]) => {
                format!("{who} An API token needs the scope {}.", names(scopes))
            }
            Scopes::Only(scopes) => {
                format!(
                    "{who} An API token needs one of the scopes {}.",
                    names(scopes)
                )
            }
        }
    }
}

pub(super) const fn text(name: &'static str) -> Parameter {
    let kind = Kind::Text;
    Parameter { name, kind }
}

pub(super) const fn time(name: &'static str) -> Parameter {
    let kind = Kind::Time;
    Parameter { name, kind }
}

pub(super) const fn flag(name: &'static str) -> Parameter {
    let kind = Kind::Flag;
    Parameter { name, kind }
}

pub(super) const fn ms(name: &'static str) -> Parameter {
    let kind = Kind::Ms;
    Parameter { name, kind }
}

/// Describes an optional number of milliseconds.
pub(super) const fn optional_ms(name: &'static str) -> Parameter {
    let kind = Kind::Number(0, u32::MAX);
    Parameter { name, kind }
}

/// Describes the parameter `limit`, from 1 to `max`.
pub(super) const fn limit(max: u32) -> Parameter {
    let kind = Kind::Number(1, max);
    Parameter {
        name: "limit",
        kind,
    }
}

pub(super) const fn one_of(name: &'static str, words: &'static [&'static str]) -> Parameter {
    let kind = Kind::OneOf(words);
    Parameter { name, kind }
}

/// Returns the scopes by their names on the wire.
pub(in crate::http) fn names(scopes: &[TokenScope]) -> String {
    let names: Vec<_> = scopes
        .iter()
        .map(|scope| match scope {
            TokenScope::Record => "record",
            TokenScope::Read => "read",
            TokenScope::Admin => "admin",
        })
        .collect();
    names.join(", ")
}
