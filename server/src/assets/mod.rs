//! The pages, inside the binary: looked up by path, negotiated by encoding, cached by hash.
//!
//! `build.rs` makes the table. Nothing is compressed, hashed or read from disk while the server runs.

mod encoding;
#[cfg(test)]
mod page;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use sortie_api::ProblemCode;

use crate::http::{ApiError, ApiResult, no_such_route};
use encoding::Encoding;

/// Whether a caller takes gzip and prefers it to an uncompressed answer.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT_ENCODING).iter();
    let accept = accept.filter_map(|line| line.to_str().ok());
    encoding::choose(accept, false, true) == Encoding::Gzip
}

/// One file of the pages.
struct Asset {
    /// Below the root, without a leading slash.
    path: &'static str,
    /// What `Content-Type` says.
    media_type: &'static str,
    /// Of the content before compression, hexadecimal.
    hash: &'static str,
    /// Whether the name changes with the content.
    hashed_name: bool,
    /// The Content-Security-Policy of an HTML page.
    policy: Option<&'static str>,
    identity: &'static [u8],
    /// Absent where it would not be smaller.
    brotli: Option<&'static [u8]>,
    /// Absent where it would not be smaller.
    gzip: Option<&'static [u8]>,
}

/// Sorted by path.
const ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets/table.rs"));

/// What answers every path outside the pages' own files and `/api`: the application finds its way by itself.
const ENTRY: &str = "index.html";

/// Ours, for ours: nobody embeds the pages, watches them through `window.opener`, or learns where a
/// recording lives from a `Referer`; only they may ask for a camera, a microphone or the screen.
const PAGE_HEADERS: [(HeaderName, &str); 3] = [
    (header::REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(self), microphone=(self), display-capture=(self)",
    ),
];

/// Answers whatever no route answers; for `Router::fallback`.
pub(crate) async fn fallback(method: Method, uri: Uri, headers: HeaderMap) -> ApiResult<Response> {
    respond(ASSETS, &method, uri.path(), &headers)
}

fn respond(
    assets: &'static [Asset],
    method: &Method,
    path: &str,
    headers: &HeaderMap,
) -> ApiResult<Response> {
    let path = path.strip_prefix('/').unwrap_or(path);
    // A wrong API address must not be answered with a page: who asked is a program.
    if path == "api" || path.starts_with("api/") {
        return Err(no_such_route());
    }
    let asset = find(assets, path)
        .ok_or_else(|| ApiError::not_found("There is nothing at this address."))?;
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(
            ApiError::new(ProblemCode::MethodNotAllowed, "A page can only be read.")
                .with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD")),
        );
    }
    Ok(asset.response(method, headers))
}

/// The file at a path, or the entry page where the path is one of the application's own.
fn find(assets: &'static [Asset], path: &str) -> Option<&'static Asset> {
    let at = |path: &str| {
        assets
            .binary_search_by(|asset| asset.path.cmp(path))
            .ok()
            .map(|index| &assets[index])
    };
    // Who asks for a file of an older build must not take a page for it.
    let is_file = || {
        path.rsplit('/')
            .next()
            .is_some_and(|name| name.contains('.'))
    };
    at(path).or_else(|| if is_file() { None } else { at(ENTRY) })
}

impl Asset {
    fn response(&self, method: &Method, request: &HeaderMap) -> Response {
        let encoding = encoding::choose(
            request
                .get_all(header::ACCEPT_ENCODING)
                .iter()
                .filter_map(|value| value.to_str().ok()),
            self.brotli.is_some(),
            self.gzip.is_some(),
        );
        let body = match encoding {
            Encoding::Brotli => self.brotli.unwrap_or(self.identity),
            Encoding::Gzip => self.gzip.unwrap_or(self.identity),
            Encoding::Identity => self.identity,
        };
        // Strong, so one for each encoding: RFC 9110, 8.8.3.3.
        let etag = match encoding.content_coding() {
            Some(coding) => format!("\"{}-{coding}\"", self.hash),
            None => format!("\"{}\"", self.hash),
        };
        let unchanged = request
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|list| matches_etag(list, &etag));

        // A 304 repeats what a 200 would say about caching: RFC 9110, 15.4.5.
        let mut headers = HeaderMap::new();
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            headers.insert(header::ETAG, etag);
        }
        headers.insert(
            header::CACHE_CONTROL,
            HeaderValue::from_static(if self.hashed_name {
                "public, max-age=31536000, immutable"
            } else {
                "no-cache"
            }),
        );
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        if let Some(policy) = self.policy {
            headers.insert(
                header::CONTENT_SECURITY_POLICY,
                HeaderValue::from_static(policy),
            );
            headers
                .extend(PAGE_HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
        }
        if unchanged {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(self.media_type),
        );
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        if let Some(coding) = encoding.content_coding() {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        let body = if *method == Method::HEAD {
            Body::empty()
        } else {
            Body::from(Bytes::from_static(body))
        };
        (headers, body).into_response()
    }
}

/// Whether `If-None-Match` names this tag; weak comparison, RFC 9110, 13.1.2. Our tags hold no comma.
fn matches_etag(list: &str, etag: &str) -> bool {
    list.split(',')
        .map(str::trim)
        .any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == etag)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Asset] = &[
        asset("app-0123456789abcdef.js", true, Some(b"br"), Some(b"gz")),
        asset("favicon.svg", false, None, None),
        Asset {
            policy: Some("default-src 'none'"),
            ..asset("index.html", false, Some(b"br"), None)
        },
        asset("snippets/inline0.js", false, None, Some(b"gz")),
    ];

    const fn asset(
        path: &'static str,
        hashed_name: bool,
        brotli: Option<&'static [u8]>,
        gzip: Option<&'static [u8]>,
    ) -> Asset {
        let media_type = "text/plain";
        Asset {
            path,
            media_type,
            hash: "abc",
            hashed_name,
            policy: None,
            identity: b"identity",
            brotli,
            gzip,
        }
    }

    fn get(path: &str, headers: &[(HeaderName, &'static str)]) -> ApiResult<Response> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect();
        respond(TABLE, &Method::GET, path, &headers)
    }

    fn header(response: &Response, name: HeaderName) -> Option<&str> {
        response
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    }

    #[track_caller]
    fn check_found(path: &str, expected: Option<&str>) {
        assert_eq!(
            find(TABLE, path).map(|asset| asset.path),
            expected,
            "{path}"
        );
    }

    #[test]
    fn a_path_finds_its_file_or_the_application() {
        check_found("", Some("index.html"));
        check_found("index.html", Some("index.html"));
        check_found("recordings/0193/play", Some("index.html"));
        check_found("v1.2/recordings", Some("index.html"));
        check_found("favicon.svg", Some("favicon.svg"));
        check_found("snippets/inline0.js", Some("snippets/inline0.js"));
        check_found("app-fedcba9876543210.js", None);
        check_found("snippets/../index.htm", None);
    }

    #[test]
    fn an_address_of_the_api_is_never_a_page() {
        for (path, page) in [
            ("/api", false),
            ("/api/", false),
            ("/api/no/such", false),
            ("/apiary", true),
        ] {
            assert_eq!(get(path, &[]).is_ok(), page, "{path}");
        }
    }

    #[test]
    fn only_what_a_hash_names_is_cached_for_good() {
        let cached = |path| {
            get(path, &[])
                .ok()
                .and_then(|r| header(&r, header::CACHE_CONTROL).map(str::to_owned))
        };
        assert_eq!(
            cached("/app-0123456789abcdef.js").as_deref(),
            Some("public, max-age=31536000, immutable")
        );
        assert_eq!(cached("/favicon.svg").as_deref(), Some("no-cache"));
        assert_eq!(cached("/").as_deref(), Some("no-cache"));
    }

    #[test]
    fn a_tag_belongs_to_one_encoding_and_saves_the_body() {
        let response =
            get("/", &[(header::ACCEPT_ENCODING, "br")]).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(header(&response, header::ETAG), Some("\"abc-br\""));
        assert_eq!(header(&response, header::CONTENT_ENCODING), Some("br"));

        for (accept, tag, status) in [
            ("br", "\"abc-br\"", 304),
            ("br", "W/\"abc-br\"", 304),
            ("br", "\"old\", \"abc-br\"", 304),
            ("br", "*", 304),
            ("br", "\"abc\"", 200),
            ("identity", "\"abc\"", 304),
            ("identity", "\"abc-br\"", 200),
        ] {
            let asked = [
                (header::ACCEPT_ENCODING, accept),
                (header::IF_NONE_MATCH, tag),
            ];
            let response = get("/", &asked).unwrap_or_else(|e| panic!("{e:?}"));
            assert_eq!(response.status(), status, "{accept} {tag}");
            assert_eq!(header(&response, header::VARY), Some("Accept-Encoding"));
            assert!(header(&response, header::CONTENT_SECURITY_POLICY).is_some());
        }
    }

    #[test]
    fn a_page_can_only_be_read() {
        let answer = respond(TABLE, &Method::POST, "/recordings", &HeaderMap::new());
        let response = answer.unwrap_or_else(IntoResponse::into_response);
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(header(&response, header::ALLOW), Some("GET, HEAD"));
    }

    #[test]
    fn a_policy_names_every_script_inside_the_page() {
        // The hashes are `printf %s TEXT | openssl dgst -sha256 -binary | base64`.
        let policy = page::content_security_policy(
            "<!-- <script>no()</script> --><SCRIPT type=\"module\" nonce='a>b'>one()\r\ntwo()</SCRIPT>\
             <script src=/app.js></script><script data-src=\"x\">a()</script><scripted>",
        );
        assert_eq!(
            policy,
            "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' \
             'sha256-3o9wm4gHYljzevTW+BnpT6lvF1GO+NEyCsGtAr8bBGA=' 'sha256-qVpDBgj7bpq5hMAcGp3AOc79J3Y1Z4HvySTwKrWDoy4='; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; \
             connect-src 'self'; manifest-src 'self'; worker-src 'self' blob:; base-uri 'none'; \
             form-action 'self'; frame-ancestors 'none'"
        );
    }

    #[test]
    fn inline_scripts_are_read_as_a_browser_reads_them() {
        let check = |html: &str, expected: &[&str]| {
            assert_eq!(page::inline_scripts(html), expected, "{html}")
        };
        check("<script>a</script>", &["a"]);
        check("<script async src='a'>b</script>", &[]);
        check("<script src>b</script>", &[]);
        check("<script/src=a>b</script>", &[]);
        check("<script type=module>a</script ><script>b", &["a", "b"]);
        check("<script x=' src '>a</script>", &["a"]);
        check(
            "<script>if (a < b) \"<script>\"</script>",
            &["if (a < b) \"<script>\""],
        );
        check("ü<script>ß</script>", &["ß"]);
        check("<!-- <script>a</script>", &[]);
        check("<script", &[]);
    }

    #[test]
    fn a_hash_in_the_name_is_told_from_a_word() {
        for (path, hashed) in [
            ("sortie-0123456789abcdef.js", true),
            ("sortie-frontend-0123456789abcdef_bg.wasm", true),
            ("style-23456789abcdef.css", true),
            ("snippets/sortie-0123456789abcdef/inline0.js", false),
            ("sortie-facade.js", false),
            ("favicon.svg", false),
        ] {
            assert_eq!(page::is_hashed(path), hashed, "{path}");
        }
    }
    #[test]
    fn a_media_type_follows_from_the_name() {
        for (path, media_type) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a/b.min.js", "text/javascript; charset=utf-8"),
            ("app_bg.wasm", "application/wasm"),
            ("LICENSE", "application/octet-stream"),
        ] {
            assert_eq!(page::media_type(path), media_type, "{path}");
        }
    }
}
