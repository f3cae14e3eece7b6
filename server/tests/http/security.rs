//! Security headers and cross-origin access, over a real socket.

use crate::support::{TestServer, header};
use reqwest::{Method, StatusCode};

const SITE: &str = "https://app.example.com";

#[tokio::test]
async fn pages_refuse_framing_and_foreign_scripts() {
    let server = TestServer::start().await;
    for path in ["/", "/recordings", "/index.html"] {
        let answer = server
            .anonymous()
            .get(path)
            .send()
            .await
            .expect("an answer");
        let policy = header(&answer, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'"));
        assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"));
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            (
                "permissions-policy",
                "camera=(self), microphone=(self), display-capture=(self)",
            ),
            ("strict-transport-security", ""),
            ("access-control-allow-origin", ""),
        ] {
            assert_eq!(header(&answer, name), value, "{path}: {name}");
        }
    }
}

#[tokio::test]
async fn data_cannot_be_rendered_as_a_page() {
    let server = TestServer::start().await;
    for path in ["/api/info", "/api/no/such", "/api/recordings"] {
        let answer = server
            .anonymous()
            .get(path)
            .send()
            .await
            .expect("an answer");
        assert_eq!(
            header(&answer, "content-security-policy"),
            "default-src 'none'; frame-ancestors 'none'",
            "{path}"
        );
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
        assert_eq!(
            header(&answer, "cross-origin-resource-policy"),
            "same-origin"
        );
    }
}

#[tokio::test]
async fn recording_opens_in_its_own_tab() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = admin.record(&crate::support::chromium_webm()).await;
    let request = admin.get(&format!("/api/recordings/{id}/stream"));
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    // A browser applies `sandbox` to the document it creates for a video, which would then not play.
    assert_eq!(header(&answer, "content-security-policy"), "");
    assert_eq!(
        header(&answer, "cross-origin-resource-policy"),
        "same-origin"
    );
}

#[tokio::test]
async fn configured_origins_may_frame_pages_only() {
    let sites = "https://app.example.com, http://localhost:3000";
    let server = TestServer::with(&[("SORTIE_FRAME_ANCESTORS", sites)]).await;
    let page = server.anonymous().get("/").send().await.expect("an answer");
    let policy = header(&page, "content-security-policy");
    let named = "frame-ancestors 'self' https://app.example.com http://localhost:3000";
    assert!(policy.ends_with(named), "{policy}");
    assert_eq!(header(&page, "x-frame-options"), "");
    let data = server
        .anonymous()
        .get("/api/info")
        .send()
        .await
        .expect("an answer");
    assert!(header(&data, "content-security-policy").ends_with("frame-ancestors 'none'"));
}

#[tokio::test]
async fn hsts_is_sent_over_https_only() {
    let server = TestServer::start().await;
    for (proto, expected) in [("https", "max-age=31536000"), ("http", ""), ("", "")] {
        let request = server
            .anonymous()
            .get("/")
            .header("X-Forwarded-Proto", proto);
        let answer = request.send().await.expect("an answer");
        assert_eq!(
            header(&answer, "strict-transport-security"),
            expected,
            "{proto:?}"
        );
    }
    let server = TestServer::with(&[("SORTIE_HSTS_SECONDS", "0")]).await;
    let request = server
        .anonymous()
        .get("/")
        .header("X-Forwarded-Proto", "https");
    let answer = request.send().await.expect("an answer");
    assert_eq!(header(&answer, "strict-transport-security"), "");
}

#[tokio::test]
async fn cross_origin_requests_require_a_configured_origin() {
    let server = TestServer::start().await;
    let request = server
        .anonymous()
        .request(Method::OPTIONS, "/api/recordings");
    let request = request
        .header("Origin", SITE)
        .header("Access-Control-Request-Method", "GET");
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(header(&answer, "access-control-allow-origin"), "");
    assert_eq!(header(&answer, "vary"), "");
}

#[tokio::test]
async fn configured_origin_may_use_tokens_and_read_tus_headers() {
    let server = TestServer::with(&[("SORTIE_CORS_ORIGINS", SITE)]).await;
    let anonymous = server.anonymous();
    let preflight = |origin| {
        anonymous
            .request(Method::OPTIONS, "/api/uploads")
            .header("Origin", origin)
            .header("Access-Control-Request-Method", "POST")
            .header(
                "Access-Control-Request-Headers",
                "authorization,tus-resumable",
            )
            .send()
    };
    let answer = preflight(SITE).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(header(&answer, "access-control-allow-origin"), SITE);
    let allowed = header(&answer, "access-control-allow-headers");
    for name in [
        "authorization",
        "tus-resumable",
        "upload-offset",
        "upload-metadata",
    ] {
        assert!(allowed.contains(name), "{allowed}");
    }
    assert!(header(&answer, "access-control-allow-methods").contains("PATCH"));
    // Cross-origin requests with cookies are not allowed.
    assert_eq!(header(&answer, "access-control-allow-credentials"), "");
    assert!(header(&answer, "vary").contains("Origin"));

    let admin = server.admin().await;
    let request = admin.tus(Method::POST, "/api/uploads");
    let request = request.header("Upload-Length", "1").header("Origin", SITE);
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::CREATED);
    assert_eq!(header(&answer, "access-control-allow-origin"), SITE);
    let exposed = header(&answer, "access-control-expose-headers");
    for name in [
        "location",
        "upload-offset",
        "upload-expires",
        "link",
        "content-range",
    ] {
        assert!(exposed.contains(name), "{exposed}");
    }

    let stranger = preflight("https://app.example.com.evil.example").await;
    let stranger = stranger.expect("an answer");
    assert_eq!(header(&stranger, "access-control-allow-origin"), "");
    assert_eq!(header(&stranger, "vary"), "Origin");
    // An `OPTIONS` request of a tus client is not a preflight.
    let announced = anonymous.request(Method::OPTIONS, "/api/uploads");
    let announced = announced
        .header("Origin", SITE)
        .send()
        .await
        .expect("an answer");
    assert_eq!(header(&announced, "tus-version"), "1.0.0");
    assert_eq!(header(&announced, "access-control-allow-origin"), SITE);
}
