//! OpenAPI document and page, generated from the rows of the registered routes and the types of `sortie_api`.

mod document;
mod page;
mod webhooks;

use std::sync::{Arc, OnceLock};

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use super::routes::{Routes, Row, routes};

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// The document depends on the version, but its address does not.
const CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// Document and page, written once all routes are known.
#[derive(Clone, Default)]
pub(super) struct Description(Arc<OnceLock<(Bytes, Bytes)>>);

impl Description {
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

    /// Writes document and page for these rows.
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
    fn references_resolve_and_operation_ids_are_unique() {
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
        let described = rows.iter().filter(|row| !row.is_page()).count();
        assert_eq!((ids.len(), unique.len()), (described, described));
    }

    /// Routes of the published contract: older clients may send fields that this version does not know.
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
    fn json_body_rejects_unknown_fields_unless_in_contract() {
        let rows: Vec<_> = routes::rows().collect();
        let document = document::document(&rows);
        for row in rows {
            let pointer = |text: &str| text.replace('~', "~0").replace('/', "~1");
            let body = format!(
                "/paths/{}/{}/requestBody/content/{}/schema",
                pointer(row.path),
                row.method.to_ascii_lowercase(),
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
            let tolerant = TOLERANT.contains(&(row.method, row.path));
            assert!(
                strict != tolerant,
                "{} {}: strict {strict}, tolerant {tolerant}",
                row.method,
                row.path
            );
        }
    }

    #[test]
    fn enumerations_are_written_as_enum() {
        let rows: Vec<_> = routes::rows().collect();
        let document = document::document(&rows);
        let schemas = &document["components"]["schemas"];
        let status = &schemas["RecordingStatus"];
        assert_eq!(
            status["enum"],
            serde_json::json!([
                "recording",
                "uploading",
                "processing",
                "ready",
                "failed",
                "trashed"
            ]),
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
    fn page_has_no_script_and_no_inline_style() {
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
