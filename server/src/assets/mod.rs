//! Embedded files of the pages: lookup by path, content negotiation, caching by hash.
//!
//! `build.rs` generates the table with compressed variants and hashes. Only the entry page of a server below a path
//! prefix is built at startup, because its `<base>` depends on the configuration.

#[cfg(test)]
mod page;

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use sortie_api::ProblemCode;

use crate::digest::to_hex;
use crate::http::encoding::{self, Encoding};
use crate::http::{ApiError, ApiResult, no_such_route};

#[derive(Clone)]
struct Asset {
    /// Relative to the root, without a leading slash.
    path: &'static str,
    media_type: &'static str,
    /// SHA-256 of the uncompressed content, hexadecimal, first 16 bytes.
    hash: Cow<'static, str>,
    /// Whether the name changes with the content.
    hashed_name: bool,
    /// The Content-Security-Policy of an HTML page.
    policy: Option<&'static str>,
    identity: Cow<'static, [u8]>,
    /// `None` where compression saves nothing.
    brotli: Option<Cow<'static, [u8]>>,
    /// `None` where compression saves nothing.
    gzip: Option<Cow<'static, [u8]>>,
}

/// Sorted by path.
const ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets/table.rs"));

/// Answers every path that is neither a file nor below `/api`: the browser-side routes of the application.
const ENTRY: &str = "index.html";

/// Isolation of the pages: no `window.opener` access from other origins, no address of a recording in a `Referer` to
/// other sites, and camera, microphone and screen for this origin only.
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

#[derive(Clone)]
pub(crate) struct Pages {
    assets: &'static [Asset],
    /// The entry page whose `<base>` is this server's path prefix; `None` at the root of a host.
    entry: Option<Arc<Asset>>,
}

impl Pages {
    /// Creates the pages of a server below the path `prefix`, such as `/record`; empty at the root of a host.
    pub(crate) fn below(prefix: &str) -> Self {
        Self::of(ASSETS, prefix)
    }

    fn of(assets: &'static [Asset], prefix: &str) -> Self {
        let entry = find(assets, ENTRY).filter(|_| !prefix.is_empty());
        Self {
            assets,
            entry: entry.map(|entry| Arc::new(entry.with_base(prefix))),
        }
    }

    /// Returns the response to a request that no route matches.
    pub(crate) fn respond(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> ApiResult<Response> {
        let path = path.strip_prefix('/').unwrap_or(path);
        // API clients expect a problem document, not a page.
        if path == "api" || path.starts_with("api/") {
            return Err(no_such_route());
        }
        let asset = find(self.assets, path)
            .ok_or_else(|| ApiError::not_found("There is nothing at this address."))?;
        let asset = match &self.entry {
            Some(entry) if asset.path == ENTRY => entry,
            _ => asset,
        };
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(
                ApiError::new(ProblemCode::MethodNotAllowed, "A page can only be read.")
                    .with_header(header::ALLOW, HeaderValue::from_static("GET, HEAD")),
            );
        }
        Ok(asset.response(method, headers))
    }
}

/// Returns the file at a path, or the entry page for a path without a file extension.
fn find(assets: &'static [Asset], path: &str) -> Option<&'static Asset> {
    let at = |path: &str| {
        assets
            .binary_search_by(|asset| asset.path.cmp(path))
            .ok()
            .map(|index| &assets[index])
    };
    // A request for a file of an older build must fail instead of receiving HTML.
    let is_file = || {
        path.rsplit('/')
            .next()
            .is_some_and(|name| name.contains('.'))
    };
    at(path).or_else(|| if is_file() { None } else { at(ENTRY) })
}

impl Asset {
    /// Returns the page with `<base href="PREFIX/">`. Its script, and so the policy, stays the same.
    fn with_base(&self, prefix: &str) -> Self {
        let Some(html) = std::str::from_utf8(&self.identity)
            .ok()
            .and_then(|html| set_base(html, prefix))
        else {
            return self.clone();
        };
        let html = html.into_bytes();
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        let packed = packed
            .write_all(&html)
            .and_then(|()| packed.finish())
            .ok()
            .filter(|packed| packed.len() < html.len());
        let hash = to_hex(&Sha256::digest(&html)[..16]);
        Self {
            hash: Cow::Owned(hash),
            identity: Cow::Owned(html),
            brotli: None,
            gzip: packed.map(Cow::Owned),
            ..self.clone()
        }
    }

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
            Encoding::Brotli => self.brotli.as_ref(),
            Encoding::Gzip => self.gzip.as_ref(),
            Encoding::Identity => None,
        };
        let body = body.unwrap_or(&self.identity);
        // A strong ETag identifies one encoding (RFC 9110, 8.8.3.3).
        let etag = match encoding.content_coding() {
            Some(coding) => format!("\"{}-{coding}\"", self.hash),
            None => format!("\"{}\"", self.hash),
        };
        let unchanged = request
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|list| matches_etag(list, &etag));

        // A 304 repeats the caching headers of the 200 (RFC 9110, 15.4.5).
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
        let body = match body {
            _ if *method == Method::HEAD => Body::empty(),
            Cow::Borrowed(bytes) => Body::from(Bytes::from_static(bytes)),
            Cow::Owned(bytes) => Body::from(bytes.clone()),
        };
        (headers, body).into_response()
    }
}

/// Returns the page with `href="PREFIX/"` in its `<base>`; `None` without a `<base>`.
fn set_base(html: &str, prefix: &str) -> Option<String> {
    let (before, rest) = html.split_once("<base href=")?;
    let (_, after) = rest.split_once('>')?;
    Some(format!("{before}<base href=\"{prefix}/\">{after}"))
}

/// Weak comparison of `If-None-Match` (RFC 9110, 13.1.2). Tags of [`Asset::response`] contain no comma.
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
            path: "index.html",
            media_type: "text/html",
            hash: Cow::Borrowed("abc"),
            hashed_name: false,
            policy: Some("default-src 'none'"),
            identity: Cow::Borrowed(b"<!doctype html><base href=/><p>Long enough, long enough, long enough, long enough, long enough.</p>"),
            brotli: Some(Cow::Borrowed(b"br")),
            gzip: None,
        },
        asset("snippets/inline0.js", false, None, Some(b"gz")),
    ];

    const fn asset(
        path: &'static str,
        hashed_name: bool,
        brotli: Option<&'static [u8]>,
        gzip: Option<&'static [u8]>,
    ) -> Asset {
        const fn borrowed(bytes: Option<&'static [u8]>) -> Option<Cow<'static, [u8]>> {
            match bytes {
                Some(bytes) => Some(Cow::Borrowed(bytes)),
                None => None,
            }
        }
        Asset {
            path,
            media_type: "text/plain",
            hash: Cow::Borrowed("abc"),
            hashed_name,
            policy: None,
            identity: Cow::Borrowed(b"identity"),
            brotli: borrowed(brotli),
            gzip: borrowed(gzip),
        }
    }

    fn get(path: &str, headers: &[(HeaderName, &'static str)]) -> ApiResult<Response> {
        get_below("", path, headers)
    }

    fn get_below(
        prefix: &str,
        path: &str,
        headers: &[(HeaderName, &'static str)],
    ) -> ApiResult<Response> {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)))
            .collect();
        Pages::of(TABLE, prefix).respond(&Method::GET, path, &headers)
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
    fn path_without_a_file_finds_the_entry_page() {
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
    fn unknown_api_path_returns_a_problem() {
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
    fn only_hashed_names_are_immutable() {
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
    fn etag_identifies_one_encoding_and_yields_304() {
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

    #[tokio::test]
    async fn entry_page_below_a_prefix_has_base_and_own_etags() {
        for (prefix, base) in [("", "<base href=/>"), ("/x/y", "<base href=\"/x/y/\">")] {
            let response =
                get_below(prefix, "/recordings", &[]).unwrap_or_else(|e| panic!("{e:?}"));
            let etag = header(&response, header::ETAG).map(str::to_owned);
            assert_eq!(etag.as_deref() == Some("\"abc\""), prefix.is_empty());
            let body = axum::body::to_bytes(response.into_body(), 1000)
                .await
                .unwrap();
            let page = String::from_utf8_lossy(&body).into_owned();
            assert!(page.contains(base), "{page}");

            let gzip = [(header::ACCEPT_ENCODING, "gzip;q=1, identity;q=0.5")];
            let response = get_below(prefix, "/", &gzip).unwrap_or_else(|e| panic!("{e:?}"));
            if header(&response, header::CONTENT_ENCODING) == Some("gzip") {
                assert_ne!(header(&response, header::ETAG), etag.as_deref());
                let body = axum::body::to_bytes(response.into_body(), 1000)
                    .await
                    .unwrap();
                let mut text = String::new();
                std::io::Read::read_to_string(
                    &mut flate2::read::GzDecoder::new(&body[..]),
                    &mut text,
                )
                .unwrap();
                assert_eq!(text, page);
            } else {
                assert!(prefix.is_empty());
            }
        }
        let response = get_below("/x", "/favicon.svg", &[]).unwrap_or_else(|e| panic!("{e:?}"));
        assert_eq!(header(&response, header::ETAG), Some("\"abc\""));
    }

    #[test]
    fn post_to_a_page_returns_405() {
        let answer = Pages::of(TABLE, "").respond(&Method::POST, "/recordings", &HeaderMap::new());
        let response = answer.unwrap_or_else(IntoResponse::into_response);
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(header(&response, header::ALLOW), Some("GET, HEAD"));
    }

    #[test]
    fn policy_lists_hashes_of_inline_scripts() {
        // The hashes are `printf %s TEXT | openssl dgst -sha256 -binary | base64`.
        let policy = page::content_security_policy(
            "<!-- <script>no()</script> --><SCRIPT type=\"module\" nonce='a>b'>one()\r\ntwo()</SCRIPT>\
             <script src=/app.js></script><script data-src=\"x\">a()</script><scripted>",
        );
        assert_eq!(
            policy,
            "default-src 'none'; script-src 'self' 'wasm-unsafe-eval' \
             'sha256-3o9wm4gHYljzevTW+BnpT6lvF1GO+NEyCsGtAr8bBGA=' 'sha256-qVpDBgj7bpq5hMAcGp3AOc79J3Y1Z4HvySTwKrWDoy4='; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; \
             connect-src 'self'; manifest-src 'self'; worker-src 'self' blob:; base-uri 'self'; \
             form-action 'self'; frame-ancestors 'none'"
        );
    }

    #[test]
    fn inline_scripts_are_parsed_like_in_a_browser() {
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
    fn hash_in_a_file_name_is_recognised() {
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
    fn media_type_follows_from_the_extension() {
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
