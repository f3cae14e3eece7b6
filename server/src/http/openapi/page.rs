//! HTML page of the OpenAPI document. Without scripts, so that the strictest content policy applies.

use std::fmt::Write as _;

use serde_json::Value;

/// Style sheet, served at its own address: the content policy forbids inline styles.
pub(in crate::http) const STYLE: &str = include_str!("page.css");

pub(in crate::http) fn page(document: &Value) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>Sortie Recording: the API</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"stylesheet\" href=\"/api/docs.css\">\n<main>\n<h1>Sortie Recording: the API</h1>\n\
         <p>{}</p>\n<p><a href=\"/api/openapi.json\">As OpenAPI 3.1</a></p>\n",
        escaped(&document["info"]["description"])
    );
    let mut tags: Vec<&str> = Vec::new();
    let operations = || {
        let paths = document["paths"].as_object().into_iter().flatten();
        paths.flat_map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flatten();
            methods.map(move |(method, operation)| (method, path, operation))
        })
    };
    for (_, _, operation) in operations() {
        let tag = operation["tags"][0].as_str().unwrap_or_default();
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    for tag in tags {
        let _ = writeln!(html, "<h2>{tag}</h2>");
        for (method, path, operation) in operations().filter(|(_, _, of)| of["tags"][0] == tag) {
            self::operation(&mut html, method, path, operation);
        }
    }
    html += "<h2>Types</h2>\n";
    for (name, schema) in document["components"]["schemas"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let _ = write!(
            html,
            "<details id=\"{name}\"><summary><code>{name}</code></summary>\n<pre>{}</pre></details>\n",
            pretty(schema)
        );
    }
    html + "</main>\n</html>\n"
}

fn operation(html: &mut String, method: &str, path: &str, operation: &Value) {
    let _ = write!(
        html,
        "<details><summary><b>{}</b> <code>{path}</code> <span>{}</span></summary>\n<p>{}</p>\n",
        method.to_ascii_uppercase(),
        escaped(&operation["summary"]),
        escaped(&operation["description"]),
    );
    for (title, key) in [
        ("Parameters", "parameters"),
        ("Body", "requestBody"),
        ("Answers", "responses"),
    ] {
        let part = &operation[key];
        let empty = part.is_null() || part.as_array().is_some_and(Vec::is_empty);
        if !empty {
            let _ = writeln!(html, "<h3>{title}</h3><pre>{}</pre>", pretty(part));
        }
    }
    *html += "</details>\n";
}

/// Formats JSON with a link from every reference to its type.
fn pretty(value: &Value) -> String {
    const REFERENCE: &str = "\"#/components/schemas/";
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let mut html = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once(REFERENCE) {
        let (name, behind) = after.split_once('"').unwrap_or((after, ""));
        html += &escape(before);
        let _ = write!(html, "<a href=\"#{name}\">{name}</a>");
        rest = behind;
    }
    html + &escape(rest)
}

fn escaped(value: &Value) -> String {
    escape(value.as_str().unwrap_or_default())
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}
