//! Content-Security-Policy and file types of the pages. Compiled into the build script and into the crate's tests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Content-Security-Policy for `html`: allows its inline scripts by hash and no other inline code.
///
/// `base-uri 'self'` is for the `<base>` with the server's path prefix.
pub(crate) fn content_security_policy(html: &str) -> String {
    let mut script_sources = "'self' 'wasm-unsafe-eval'".to_owned();
    for script in inline_scripts(html) {
        // HTML, 13.2.3.5: a parser turns CR LF and CR into LF before the script, and so its hash, exists.
        let text = script.replace("\r\n", "\n").replace('\r', "\n");
        let source = format!(" 'sha256-{}'", STANDARD.encode(Sha256::digest(text)));
        if !script_sources.contains(&source) {
            script_sources.push_str(&source);
        }
    }
    format!(
        "default-src 'none'; script-src {script_sources}; style-src 'self'; img-src 'self' data: blob:; \
         media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; worker-src 'self' blob:; \
         base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    )
}

/// Text of every `<script>` without a `src`, in document order.
///
/// Follows the HTML tokenizer as far as scripts are concerned: skips comments, ignores the case of names, allows `>` in
/// attribute values.
pub(crate) fn inline_scripts(html: &str) -> Vec<&str> {
    // ASCII lower-casing keeps all byte positions.
    let lower = html.to_ascii_lowercase();
    let mut scripts = Vec::new();
    let mut at = 0;
    while let Some(open) = lower[at..].find('<').map(|found| at + found) {
        let rest = &lower[open..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            let behind = lower.len() - comment.len();
            at = behind
                + comment
                    .find("-->")
                    .map_or(comment.len(), |end| end + "-->".len());
            continue;
        }
        let name_ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/');
        if !rest.starts_with("<script") || !rest.as_bytes().get(7).is_some_and(name_ends) {
            at = open + 1;
            continue;
        }
        let tag = open + "<script".len();
        let (has_src, length) = start_tag(&lower[tag..]);
        let body = tag + length;
        let end = lower[body..]
            .find("</script")
            .map_or(lower.len(), |found| body + found);
        if !has_src {
            scripts.push(&html[body..end]);
        }
        at = end;
    }
    scripts
}

/// Parses a start tag after its name: whether it has a `src`, and its length including `>`.
fn start_tag(text: &str) -> (bool, usize) {
    let mut has_src = false;
    let mut quote = None;
    let mut word_start = 0;
    for (at, byte) in text.bytes().enumerate() {
        if let Some(mark) = quote {
            if byte == mark {
                quote = None;
                word_start = at + 1;
            }
            continue;
        }
        if byte.is_ascii_whitespace() || matches!(byte, b'=' | b'/' | b'>') {
            has_src |= &text[word_start..at] == "src";
            word_start = at + 1;
        }
        match byte {
            b'"' | b'\'' => quote = Some(byte),
            b'>' => return (has_src, at + 1),
            _ => {}
        }
    }
    (has_src, text.len())
}

/// Whether a file name contains a hash of the content, so that the file can be cached as immutable: `scripts/pages.sh`
/// writes `name-0123456789abcdef.js`.
pub(crate) fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split('-').skip(1).any(|part| {
        let digits = part.bytes().take_while(u8::is_ascii_hexdigit).count();
        digits >= 12 && matches!(part.as_bytes().get(digits), Some(b'.' | b'_'))
    })
}

/// Media type of a file by its extension.
pub(crate) fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
