//! The document (OpenAPI 3.1.1), made of the rows that a server really has.

use schemars::Schema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::transform::RecursiveTransform;
use serde_json::{Map, Value, json};
use sortie_api::Problem;

use super::operations::{Answer, Kind, Operation, Parameter, Take, find};
use crate::http::routes::Row;

const ABOUT: &str = "Recordings of screens: durable as they happen, playable wherever they end. Whatever is refused is \
    an RFC 9457 problem with a stable `code`. Lists are arrays; the header `Link` (RFC 8288, `rel=\"next\"`) has \
    the next page.";

/// The document for these rows.
pub(in crate::http) fn document(rows: &[&'static Row]) -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .with_transform(RecursiveTransform(list_constants))
        .into_generator();
    let mut paths = Map::new();
    for row in rows {
        let path = paths.entry(row.path()).or_insert_with(|| json!({}));
        path[row.method().to_ascii_lowercase()] = operation(row, &mut generator);
    }
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
        "components": {
            "schemas": schemas,
            "responses": { "Problem": {
                "description": "Refused, or failed",
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

/// Makes one `enum` of a choice between text constants, as which schemars writes an enum whose variants are
/// documented: client generators make a type of an `enum` only. What the variants mean moves to the description.
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
    let Some(known) = find(row.method(), row.path()) else {
        // A test keeps it from getting here; a server runs on without.
        return json!({ "summary": row.path(), "description": row.rule(), "responses": refused() });
    };
    let mut parameters: Vec<Value> = names_in(row.path()).map(path_parameter).collect();
    parameters.extend(known.query.iter().map(query_parameter));
    if known.tus {
        parameters.extend(tus_parameters(known));
    }
    let mut responses = refused();
    for (status, answer) in known.gives {
        responses[status.to_string()] = response(answer, generator);
    }
    let mut operation = json!({
        "operationId": operation_id(row),
        "tags": [known.tag],
        "summary": known.summary,
        "description": row.rule(),
        "parameters": parameters,
        "responses": responses,
        "security": if row.is_open() { json!([]) } else { json!([{ "bearer": [] }]) },
    });
    if let Some(takes) = &known.takes {
        operation["requestBody"] = body(takes, generator);
    }
    operation
}

/// `get /api/sessions/{id}` is `get_sessions_id`.
fn operation_id(row: &Row) -> String {
    let words = row
        .path()
        .split(['/', '{', '}', '.'])
        .filter(|word| !word.is_empty() && *word != "api");
    let mut id = row.method().to_ascii_lowercase();
    for word in words {
        id.push('_');
        id.push_str(word);
    }
    id
}

fn refused() -> Value {
    let problem = json!({ "$ref": "#/components/responses/Problem" });
    json!({ "4XX": problem, "5XX": problem })
}

/// The names in braces.
fn names_in(path: &str) -> impl Iterator<Item = &str> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
}

fn path_parameter(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } })
}

fn query_parameter(parameter: &Parameter) -> Value {
    let schema = match parameter.kind {
        Kind::Text => json!({ "type": "string" }),
        // An empty field of a form restricts nothing.
        Kind::Time => {
            json!({ "anyOf": [{ "type": "string", "format": "date-time" }, { "const": "" }] })
        }
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Number(from, to) => json!({ "type": "integer", "minimum": from, "maximum": to }),
        Kind::OneOf(words) => json!({ "type": "string", "enum": words }),
    };
    json!({ "name": parameter.name, "in": "query", "schema": schema })
}

/// The headers of tus 1.0 that the route looks at.
fn tus_parameters(operation: &Operation) -> Vec<Value> {
    let header = |name: &str, required: bool, schema: Value| json!({ "name": name, "in": "header", "required": required, "schema": schema });
    let number = || json!({ "type": "integer", "minimum": 0 });
    let text = || json!({ "type": "string", "pattern": "^[!-~]([ -~]*[!-~])?$" });
    let words = |words: &[&str]| json!({ "type": "string", "enum": words });
    let mut headers = vec![header("Tus-Resumable", true, words(&["1.0.0"]))];
    if operation.takes.is_some() {
        let creates = operation.path == "/api/uploads";
        headers.push(header("Upload-Length", false, number()));
        headers.push(header("Upload-Checksum", false, text()));
        if creates {
            headers.push(header("Upload-Defer-Length", false, words(&["1"])));
            headers.push(header("Upload-Metadata", false, text()));
            headers.push(header("Upload-Concat", false, text()));
        } else {
            headers.push(header(
                "Upload-Offset",
                operation.method == "PATCH",
                number(),
            ));
            if operation.method == "POST" {
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

fn body(takes: &Take, generator: &mut SchemaGenerator) -> Value {
    match takes {
        Take::Json(schema) => {
            json!({ "required": true, "content": json_content(&schema(generator)) })
        }
        Take::Form(schema) => {
            json!({ "required": false, "content": json_content(&schema(generator)) })
        }
        Take::Stream => {
            let bytes = json!({ "type": "string", "format": "binary" });
            json!({ "content": { "application/offset+octet-stream": { "schema": bytes } } })
        }
        Take::File => json!({ "required": true, "content": { "multipart/form-data": { "schema": {
            "type": "object",
            "required": ["recording_id", "file"],
            "properties": {
                "recording_id": { "type": "string", "description": "The recording that the file is; fields come in any order" },
                "duration": { "type": "string" },
                "file": { "type": "string", "format": "binary", "contentMediaType": "application/octet-stream" },
            },
        } } } }),
    }
}

fn response(answer: &Answer, generator: &mut SchemaGenerator) -> Value {
    match answer {
        Answer::Empty => json!({ "description": "Done" }),
        Answer::Data(schema) => {
            json!({ "description": "The answer", "content": json_content(&schema(generator)) })
        }
        Answer::Text(kinds) => {
            let text = json!({ "schema": { "type": "string" } });
            let content: Map<_, _> = kinds
                .iter()
                .map(|kind| ((*kind).to_owned(), text.clone()))
                .collect();
            json!({ "description": "The answer", "content": content })
        }
        Answer::Bytes => json!({
            "description": "A recording",
            "content": { "video/webm": {}, "video/mp4": {}, "video/x-matroska": {}, "audio/webm": {},
                "application/octet-stream": {}, "multipart/byteranges": {} },
        }),
    }
}
