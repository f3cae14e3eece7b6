//! The pages over a real socket, with and without a build of the pages in the binary.

use std::io::Read as _;

use crate::support::{TestServer, header, problem};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, Response, StatusCode};
use sha2::{Digest, Sha256};

async fn get(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = server.anonymous().get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer")
}

async fn entry_page(server: &TestServer) -> String {
    get(server, "/", &[]).await.text().await.expect("text")
}

/// URLs of the page's files, relative to its `<base>`.
fn references(page: &str) -> Vec<&str> {
    page.split(['"', '\'', '=', '>'])
        .filter_map(|word| word.strip_prefix("./"))
        .filter(|word| !word.contains(char::is_whitespace))
        .collect()
}

#[tokio::test]
async fn every_page_url_returns_the_entry_page() {
    let server = TestServer::start().await;
    let page = entry_page(&server).await;
    assert!(page.to_lowercase().starts_with("<!doctype html>"), "{page}");
    for path in [
        "/",
        "/index.html",
        "/recordings",
        "/recordings/0193/play?t=3",
        "/admin/settings",
    ] {
        let answer = get(&server, path, &[]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(header(&answer, "content-type"), "text/html; charset=utf-8");
        assert_eq!(header(&answer, "cache-control"), "no-cache");
        assert_eq!(answer.text().await.unwrap(), page, "{path}");
    }
}

#[tokio::test]
async fn api_routes_never_return_a_page() {
    let server = TestServer::start().await;
    for path in [
        "/api",
        "/api/nothing",
        "/api/recording",
        "/old-0123456789abcdef.js",
        "/favicon.xyz",
        "/a/b.wasm",
    ] {
        problem(server.anonymous().get(path), 404, "not_found").await;
    }
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        problem(
            server.anonymous().request(method, "/recordings"),
            405,
            "method_not_allowed",
        )
        .await;
    }
}

#[tokio::test]
async fn page_policy_allows_its_own_files_only() {
    let server = TestServer::start().await;
    let answer = get(&server, "/recordings", &[]).await;
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        (
            "permissions-policy",
            "camera=(self), microphone=(self), display-capture=(self)",
        ),
    ] {
        assert_eq!(header(&answer, name), value);
    }
    let policy = header(&answer, "content-security-policy");
    let page = answer.text().await.unwrap();
    // index.html has plain lower-case tags, so a text search finds what the build script's parser finds.
    let hashes: String = page
        .split("<script")
        .skip(1)
        .filter_map(|tag| tag.split_once('>'))
        .filter(|(attributes, _)| !attributes.contains("src="))
        .filter_map(|(_, rest)| rest.split_once("</script"))
        .map(|(script, _)| format!(" 'sha256-{}'", STANDARD.encode(Sha256::digest(script))))
        .collect();
    assert_eq!(
        policy,
        format!(
            "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'{hashes}; style-src 'self'; \
             img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; \
             worker-src 'self' blob:; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
        )
    );
    assert!(!policy.contains("unsafe-inline"));
    assert_eq!(
        page.contains("make build"),
        hashes.is_empty(),
        "index.html starts the pages from a script in the page"
    );
}

#[tokio::test]
async fn asset_is_sent_in_the_smallest_accepted_encoding() {
    let server = TestServer::start().await;
    let page = entry_page(&server).await;
    for (accept, coding) in [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip, deflate", "gzip"),
        ("br;q=0.1, gzip", "gzip"),
        ("br;q=0, gzip;q=0", ""),
        ("identity", ""),
        ("zstd", ""),
    ] {
        let answer = get(&server, "/", &[("accept-encoding", accept)]).await;
        assert_eq!(header(&answer, "content-encoding"), coding, "{accept}");
        assert_eq!(header(&answer, "vary"), "Accept-Encoding");
        let length: usize = header(&answer, "content-length").parse().unwrap();
        let body = answer.bytes().await.unwrap();
        assert_eq!(body.len(), length);
        let mut text = String::new();
        match coding {
            "br" => brotli::Decompressor::new(&body[..], 4096)
                .read_to_string(&mut text)
                .unwrap(),
            "gzip" => flate2::read::GzDecoder::new(&body[..])
                .read_to_string(&mut text)
                .unwrap(),
            _ => (&body[..]).read_to_string(&mut text).unwrap(),
        };
        assert_eq!(text, page, "{accept}");
        assert!(coding.is_empty() || body.len() < page.len());
    }
}

#[tokio::test]
async fn unchanged_page_returns_304() {
    let server = TestServer::start().await;
    let mut tags = Vec::new();
    for accept in ["br", "gzip", "identity"] {
        let first = get(&server, "/", &[("accept-encoding", accept)]).await;
        let tag = header(&first, "etag");
        assert!(tag.starts_with('"') && tag.ends_with('"'), "strong: {tag}");
        let again = get(
            &server,
            "/recordings",
            &[("accept-encoding", accept), ("if-none-match", &tag)],
        )
        .await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(header(&again, "etag"), tag);
        assert_eq!(header(&again, "cache-control"), "no-cache");
        assert_eq!(
            header(&again, "content-security-policy"),
            header(&first, "content-security-policy")
        );
        assert!(again.bytes().await.unwrap().is_empty());
        tags.push(tag);
    }
    tags.dedup();
    assert_eq!(tags.len(), 3, "one tag for each encoding");
    let changed = get(&server, "/", &[("if-none-match", "\"of-another-build\"")]).await;
    assert_eq!(changed.status(), StatusCode::OK);
}

#[tokio::test]
async fn head_of_a_page_equals_get_without_the_body() {
    let server = TestServer::start().await;
    let answer = server
        .anonymous()
        .request(Method::HEAD, "/recordings")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let page = entry_page(&server).await;
    assert_eq!(header(&answer, "content-length"), page.len().to_string());
    assert_eq!(header(&answer, "content-type"), "text/html; charset=utf-8");
    assert!(answer.bytes().await.unwrap().is_empty());
    let missing = server
        .anonymous()
        .request(Method::HEAD, "/no.js")
        .send()
        .await
        .unwrap();
    assert_eq!(missing.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn referenced_assets_exist_and_are_immutable() {
    let server = TestServer::start().await;
    let page = entry_page(&server).await;
    let references = references(&page);
    assert_eq!(
        references.is_empty(),
        page.contains("make build"),
        "{references:?}"
    );
    for path in references {
        let answer = get(&server, &format!("/{path}"), &[]).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
        let end = path.rsplit('.').next().unwrap_or_default();
        let media_type = match end {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "wasm" => "application/wasm",
            "svg" => "image/svg+xml",
            other => panic!("{path}: a media type for {other}"),
        };
        assert_eq!(header(&answer, "content-type"), media_type, "{path}");
        assert_eq!(
            header(&answer, "cache-control"),
            "public, max-age=31536000, immutable",
            "{path}"
        );
    }
}

#[tokio::test]
async fn entry_page_has_the_base_of_the_public_url() {
    for (url, base) in [
        ("https://a.example", "/"),
        ("https://a.example/x/y/", "/x/y/"),
    ] {
        let server = TestServer::with(&[("SORTIE_PUBLIC_URL", url)]).await;
        let page = entry_page(&server).await;
        let (_, rest) = page.split_once("<base href=").expect("a base");
        let (address, _) = rest.split_once('>').expect("the end of the tag");
        assert_eq!(address.trim_matches('"'), base);
        assert_eq!(page.matches("<base").count(), 1);
        // A proxy may strip the path or keep it.
        for path in ["/x/y", "/x/y/", "/x/y/recordings", "/recordings"] {
            let answer = get(&server, path, &[]).await;
            assert_eq!(answer.text().await.unwrap(), page, "{path}");
        }
    }
}
