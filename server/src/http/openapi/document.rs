//! OpenAPI 3.1.1 document of the routes that a server has registered.

use schemars::Schema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::RecursiveTransform;
use serde_json::{Map, Value, json};
use sortie_api::Problem;

use super::webhooks;
use crate::http::routes::{Answer, Body, Kind, Parameter, Row, Who};

const ABOUT: &str = "Screen recordings, stored durably while they are recorded. Errors are RFC 9457 problems with a \
    stable `code`. Lists are arrays; the header `Link` (RFC 8288, `rel=\"next\"`) has the next page.";

pub(in crate::http) fn document(rows: &[&'static Row]) -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .with_transform(RecursiveTransform(list_constants))
        .into_generator();
    let mut paths = Map::new();
    for row in rows.iter().filter(|row| !row.is_page()) {
        let path = paths.entry(row.path).or_insert_with(|| json!({}));
        path[row.method.to_ascii_lowercase()] = operation(row, &mut generator);
    }
    let has_webhooks = rows.iter().any(|row| row.path == "/api/admin/webhooks");
    let webhooks = if has_webhooks {
        webhooks::section(&mut generator)
    } else {
        Map::new()
    };
    let problem = generator.subschema_for::<Problem>();
    let schemas: Map<String, Value> = generator.take_definitions(true);
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Sortie Recording",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "webhooks": webhooks,
        "components": {
            "schemas": schemas,
            "responses": { "Problem": {
                "description": "The request was rejected or failed",
                "content": { "application/problem+json": { "schema": problem } },
            } },
            "securitySchemes": { "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "An access token of `/api/auth/login`, or an API token",
            } },
        },
    })
}

/// Replaces `oneOf` of text constants, which schemars writes for an enum with documented variants, by one `enum`:
/// client generators support only that. The variants' documentation moves to the description.
fn list_constants(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    let Some(options) = object.get("oneOf").and_then(Value::as_array) else {
        return;
    };
    let mut words = Vec::new();
    let mut meanings = String::new();
    for option in options {
        let named = match (option.get("const"), option.get("enum")) {
            (Some(word @ Value::String(_)), None) => vec![word.clone()],
            (None, Some(Value::Array(words))) if words.iter().all(Value::is_string) => {
                words.clone()
            }
            _ => return,
        };
        if let (Some(meaning), [word]) = (option.get("description"), named.as_slice()) {
            let (word, meaning) = (word.as_str(), meaning.as_str());
            meanings += &format!(
                "\n- `{}`: {}",
                word.unwrap_or_default(),
                meaning.unwrap_or_default()
            );
        }
        words.extend(named);
    }
    if words.is_empty() {
        return;
    }
    object.remove("oneOf");
    object.insert("type".to_owned(), json!("string"));
    object.insert("enum".to_owned(), Value::Array(words));
    if !meanings.is_empty() {
        let description = object.entry("description").or_insert_with(|| json!(""));
        if let Value::String(text) = description {
            text.push('\n');
            text.push_str(&meanings);
        }
    }
}

fn operation(row: &Row, generator: &mut SchemaGenerator) -> Value {
    let mut parameters: Vec<Value> = names_in(row.path).map(path_parameter).collect();
    parameters.extend(row.query.iter().map(|it| parameter(it, "query")));
    parameters.extend(row.headers.iter().map(|it| parameter(it, "header")));
    if row.tus {
        parameters.extend(tus_parameters(row));
    }
    let mut responses = errors();
    for (status, answer) in row.answers {
        responses[status.to_string()] = response(answer, generator);
    }
    let mut operation = json!({
        "operationId": operation_id(row),
        "tags": [row.tag],
        "summary": row.summary,
        "description": row.rule(),
        "parameters": parameters,
        "responses": responses,
        "security": if row.who == Who::Public { json!([]) } else { json!([{ "bearer": [] }]) },
    });
    if let Some(takes) = &row.body {
        operation["requestBody"] = body(takes, generator);
    }
    operation
}

/// The id of `GET /api/sessions/{id}` is `get_sessions_id`.
fn operation_id(row: &Row) -> String {
    let words = row
        .path
        .split(['/', '{', '}', '.'])
        .filter(|word| !word.is_empty() && *word != "api");
    let mut id = row.method.to_ascii_lowercase();
    for word in words {
        id.push('_');
        id.push_str(word);
    }
    id
}

fn errors() -> Value {
    let problem = json!({ "$ref": "#/components/responses/Problem" });
    json!({ "4XX": problem, "5XX": problem })
}

/// Names of the parameters in a path.
fn names_in(path: &str) -> impl Iterator<Item = &str> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
}

fn path_parameter(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } })
}

fn parameter(parameter: &Parameter, place: &str) -> Value {
    let schema = match parameter.kind {
        Kind::Text => json!({ "type": "string" }),
        // An empty field of a form is no filter.
        Kind::Time => {
            json!({ "anyOf": [{ "type": "string", "format": "date-time" }, { "const": "" }] })
        }
        Kind::Ms => json!({ "type": "integer", "minimum": 0 }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Number(from, to) => json!({ "type": "integer", "minimum": from, "maximum": to }),
        Kind::OneOf(words) => json!({ "type": "string", "enum": words }),
    };
    let mut described = json!({ "name": parameter.name, "in": place, "schema": schema });
    if matches!(parameter.kind, Kind::Ms) {
        described["required"] = json!(true);
    }
    described
}

/// Request headers of tus 1.0.
fn tus_parameters(row: &Row) -> Vec<Value> {
    let header = |name: &str, required: bool, schema: Value| json!({ "name": name, "in": "header", "required": required, "schema": schema });
    let number = || json!({ "type": "integer", "minimum": 0 });
    let text = || json!({ "type": "string", "pattern": "^[!-~]([ -~]*[!-~])?$" });
    let words = |words: &[&str]| json!({ "type": "string", "enum": words });
    let mut headers = vec![header("Tus-Resumable", true, words(&["1.0.0"]))];
    if row.body.is_some() {
        let creates = row.path == "/api/uploads";
        headers.push(header("Upload-Length", false, number()));
        headers.push(header("Upload-Checksum", false, text()));
        if creates {
            headers.push(header("Upload-Defer-Length", false, words(&["1"])));
            headers.push(header("Upload-Metadata", false, text()));
            headers.push(header("Upload-Concat", false, text()));
        } else {
            headers.push(header("Upload-Offset", row.method == "PATCH", number()));
            if row.method == "POST" {
                let methods = words(&["PATCH", "HEAD", "DELETE"]);
                headers.push(header("X-HTTP-Method-Override", true, methods));
            }
        }
    }
    headers
}

fn json_content(schema: &Schema) -> Value {
    json!({ "application/json": { "schema": schema } })
}

fn body(body: &Body, generator: &mut SchemaGenerator) -> Value {
    match body {
        Body::Json(schema) => {
            json!({ "required": true, "content": json_content(&schema(generator)) })
        }
        Body::OptionalJson(schema) => {
            json!({ "required": false, "content": json_content(&schema(generator)) })
        }
        Body::Stream => {
            let bytes = json!({ "type": "string", "format": "binary" });
            json!({ "content": { "application/offset+octet-stream": { "schema": bytes } } })
        }
        Body::Form => json!({ "required": true, "content": { "multipart/form-data": { "schema": {
            "type": "object",
            "required": ["recording_id", "file"],
            "properties": {
                "recording_id": { "type": "string", "description": "ID of the recording; the fields may be in any order" },
                "duration": { "type": "string" },
                "file": { "type": "string", "format": "binary", "contentMediaType": "application/octet-stream" },
            },
        } } } }),
        Body::Picture => json!({ "required": true, "content": images() }),
    }
}

fn images() -> Value {
    let bytes = json!({ "schema": { "type": "string", "format": "binary" } });
    json!({ "image/jpeg": bytes, "image/webp": bytes })
}

fn response(answer: &Answer, generator: &mut SchemaGenerator) -> Value {
    match answer {
        Answer::Empty => json!({ "description": "Success" }),
        Answer::Data(schema) => {
            json!({ "description": "Success", "content": json_content(&schema(generator)) })
        }
        Answer::Events(events) => {
            // OpenAPI 3.1 cannot describe the items of a stream.
            let data: Map<_, _> = events
                .iter()
                .map(|(name, schema)| ((*name).to_owned(), json!(schema(generator))))
                .collect();
            let stream = json!({ "schema": { "type": "string" }, "x-event-data": data });
            json!({
                "description": "Stream of events; `x-event-data` has the schema of `data` for each `event`",
                "content": { "text/event-stream": stream },
            })
        }
        Answer::Text(kinds) => {
            let text = json!({ "schema": { "type": "string" } });
            let content: Map<_, _> = kinds
                .iter()
                .map(|kind| ((*kind).to_owned(), text.clone()))
                .collect();
            json!({ "description": "Success", "content": content })
        }
        Answer::Image => json!({ "description": "Success", "content": images() }),
        Answer::LivePicture => json!({
            "description": "Success",
            "content": { "image/jpeg": {}, "multipart/x-mixed-replace": {} },
        }),
        Answer::Bytes => json!({
            "description": "Bytes of a recording",
            "content": { "video/webm": {}, "video/mp4": {}, "video/x-matroska": {}, "audio/webm": {},
                "application/octet-stream": {} },
        }),
    }
}
