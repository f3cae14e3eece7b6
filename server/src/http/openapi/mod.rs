//! The API's description, generated from what runs: the rows of `access`, the types of `api`.
//!
//! `operations` joins the two; a route without an operation fails a test.

mod document;
mod operations;
mod page;

use std::sync::{Arc, OnceLock};

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::routes::{Routes, Row, routes};
use super::{ApiError, ApiResult};

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// A new version brings a new document under the same address.
const CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// Document and page, written once every route is known.
#[derive(Clone, Default)]
pub(super) struct Description(Arc<OnceLock<(Bytes, Bytes)>>);

impl Description {
    /// Routes that answer with it.
    pub(super) fn routes(&self) -> Routes {
        let (json, html) = (self.clone(), self.clone());
        routes! {
            GET "/api/openapi.json" => async move || {
                file("application/json", json.text(|(json, _)| json))
            },
            GET "/api/docs" => async move || {
                let mut response = file("text/html; charset=utf-8", html.text(|(_, html)| html));
                response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY);
                response
            },
            GET "/api/docs.css" => async || {
                file("text/css; charset=utf-8", Bytes::from_static(page::STYLE.as_bytes()))
            },
        }
    }

    /// Writes it.
    pub(super) fn describe(&self, rows: &[&'static Row]) {
        self.0.get_or_init(|| {
            let document = document::document(rows);
            let json = serde_json::to_vec(&document).unwrap_or_default();
            (json.into(), page::page(&document).into())
        });
    }

    fn text(&self, which: impl Fn(&(Bytes, Bytes)) -> &Bytes) -> Bytes {
        self.0.get().map(which).cloned().unwrap_or_default()
    }
}

/// Refuses a query with a parameter that the route does not describe: a misspelt filter would otherwise select
/// everything.
pub(super) fn check_query(row: &Row, query: Option<&str>) -> ApiResult<()> {
    let (Some(query), Some(operation)) = (query, operations::find(row.method(), row.path())) else {
        return Ok(());
    };
    if operation.open_query {
        return Ok(());
    }
    let known = |name: &str| operation.query.iter().any(|known| known.name == name);
    for (name, _) in form_urlencoded::parse(query.as_bytes()) {
        if !name.is_empty() && !known(&name) {
            return Err(ApiError::invalid(unknown_parameter(&name, operation.query)));
        }
    }
    Ok(())
}

/// The longest name that an answer repeats.
const NAME_SHOWN: usize = 40;

fn unknown_parameter(name: &str, known: &[operations::Parameter]) -> String {
    let shown: String = name
        .chars()
        .filter(|letter| !letter.is_control())
        .take(NAME_SHOWN)
        .collect();
    let names: Vec<_> = known.iter().map(|known| known.name).collect();
    if names.is_empty() {
        format!("This route takes no query parameter, and \"{shown}\" was sent.")
    } else {
        format!(
            "This route has no query parameter \"{shown}\"; it takes {}.",
            names.join(", ")
        )
    }
}

fn file(kind: &'static str, body: Bytes) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, CACHE),
    ];
    (headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::routes;

    #[test]
    fn every_route_says_what_it_takes_and_gives() {
        let missing: Vec<_> = routes::rows()
            .filter(|row| operations::find(row.method(), row.path()).is_none())
            .map(|row| format!("{} {}", row.method(), row.path()))
            .collect();
        assert!(
            missing.is_empty(),
            "add to server/src/http/openapi/operations.rs: {missing:?}"
        );
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_id_is_its_own() {
        let rows: Vec<_> = routes::rows().collect();
        let document = document::document(&rows);
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap_or_default();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        let ids: Vec<_> = text
            .split("\"operationId\":\"")
            .skip(1)
            .map(|id| id.split('"').next())
            .collect();
        let unique: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!((ids.len(), unique.len()), (rows.len(), rows.len()));
    }

    /// Routes of the published contract: older senders may add fields that this version does not know.
    const TOLERANT: &[(&str, &str)] = &[
        ("POST", "/api/auth/login"),
        ("POST", "/api/auth/refresh"),
        ("POST", "/api/auth/logout"),
        ("POST", "/api/admin/users"),
        ("POST", "/api/sessions"),
        ("POST", "/api/sessions/{id}/recording/start"),
        ("POST", "/api/sessions/{id}/recording/stop"),
        ("PUT", "/api/admin/settings"),
    ];

    #[test]
    fn json_body_refuses_unknown_fields_unless_in_contract() {
        let rows: Vec<_> = routes::rows().collect();
        let document = document::document(&rows);
        for row in rows {
            let pointer = |text: &str| text.replace('~', "~0").replace('/', "~1");
            let body = format!(
                "/paths/{}/{}/requestBody/content/{}/schema",
                pointer(row.path()),
                row.method().to_ascii_lowercase(),
                pointer("application/json"),
            );
            let Some(schema) = document.pointer(&body) else {
                continue;
            };
            let resolved = schema["$ref"]
                .as_str()
                .and_then(|target| document.pointer(target.trim_start_matches('#')))
                .unwrap_or(schema);
            let strict = resolved["additionalProperties"] == serde_json::json!(false);
            let tolerant = TOLERANT.contains(&(row.method(), row.path()));
            assert!(
                strict != tolerant,
                "{} {}: strict {strict}, tolerant {tolerant}",
                row.method(),
                row.path()
            );
        }
    }

    #[test]
    fn enumerations_are_enum_lists() {
        let rows: Vec<_> = routes::rows().collect();
        let document = document::document(&rows);
        let schemas = &document["components"]["schemas"];
        let status = &schemas["RecordingStatus"];
        assert_eq!(
            status["enum"],
            serde_json::json!(["recording", "uploading", "processing", "ready", "failed"]),
            "{status}"
        );
        assert_eq!(status["type"], "string");
        let described = status["description"].as_str().unwrap_or_default();
        assert!(described.contains("- `ready`: "), "{described}");
        for (name, schema) in schemas.as_object().expect("an object") {
            let words = schema["oneOf"].as_array().filter(|options| {
                options
                    .iter()
                    .all(|option| option["const"].is_string() || option["enum"].is_array())
            });
            assert!(words.is_none(), "{name} is a list of constants: {schema}");
        }
    }

    #[test]
    fn the_page_runs_nothing_and_has_nothing_inline() {
        let rows: Vec<_> = routes::rows().collect();
        let page = page::page(&document::document(&rows));
        assert!(page.contains("<code>/api/uploads/{id}</code>"));
        for inline in ["<script", "<style", " style="] {
            let found = page.split("<pre>").any(|part| {
                let markup = part.split_once("</pre>").map_or(part, |(_, markup)| markup);
                markup.contains(inline)
            });
            assert!(!found, "{inline}");
        }
    }
}
