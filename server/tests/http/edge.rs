//! HTTP edge cases over real sockets: hostile and unusual forms, connections, proxies, and URLs in answers.

use std::time::Duration;

use crate::socket::{FOREVER, connect, rest, until};
use crate::support::{Client, TestServer, chromium_webm, header, json_of, problem};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn audit(admin: &Client, query: &str) -> Vec<Value> {
    let rows = json_of(admin.get(&format!("/api/admin/audit?{query}")), 200).await;
    rows.as_array().expect("an array").clone()
}

fn file(bytes: Vec<u8>, name: &str) -> Part {
    Part::bytes(bytes).file_name(name.to_owned())
}

fn form_path(session: &str) -> String {
    format!("/api/sessions/{session}/recording/upload")
}

/// Head of a form with this boundary.
fn form_head(client: &Client, session: &str, length: usize, more: &str) -> String {
    format!(
        "POST {} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Length: {length}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\n{more}\r\n",
        form_path(session),
        client.token.as_deref().unwrap_or_default(),
    )
}

async fn download(client: &Client, id: &str) -> Vec<u8> {
    let answer = client.get(&format!("/api/recordings/{id}/stream")).send();
    let answer = answer.await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    answer.bytes().await.expect("a body").to_vec()
}

#[tokio::test]
async fn form_with_file_before_id_becomes_a_recording_with_the_files_name() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let (id, session) = ann.start_recording().await;
    let form = Form::new()
        .part("file", file(chromium_webm(), "My Talk.WEBM"))
        .text("duration", "1")
        .text("recording_id", id.clone());
    let answer = json_of(ann.post(&form_path(&session)).multipart(form), 200).await;
    assert_eq!(answer, json!({ "status": "ready" }));
    let late = ann.recording(&id).await;
    assert_eq!(late["filename"], "My Talk.WEBM");
    let (first, session) = ann.start_recording().await;
    let form = Form::new()
        .text("recording_id", first.clone())
        .part("file", file(chromium_webm(), "C:\\videos\\IMG.MP4"));
    json_of(ann.post(&form_path(&session)).multipart(form), 200).await;
    let early = ann.recording(&first).await;
    assert_eq!(early["filename"], "IMG.webm");
    assert_eq!(early["size_bytes"], late["size_bytes"]);
    assert_eq!(download(&ann, &id).await, download(&ann, &first).await);

    // An existing name is kept.
    let (id, session) = ann.start_recording().await;
    let change = ann.request(Method::PATCH, &format!("/api/recordings/{id}"));
    json_of(change.json(&json!({ "filename": "mine" })), 200).await;
    let form = Form::new()
        .text("recording_id", id.clone())
        .part("file", file(chromium_webm(), "theirs.webm"));
    json_of(ann.post(&form_path(&session)).multipart(form), 200).await;
    assert_eq!(ann.recording(&id).await["filename"], "mine.webm");
}

#[tokio::test]
async fn form_without_id_or_with_two_files_is_refused() {
    let server = TestServer::with(&[("SORTIE_RECORDING_MAX_SIZE_MB", "1")]).await;
    let ann = server.user("ann").await;
    let (id, session) = ann.start_recording().await;
    let path = form_path(&session);
    let one = || file(b"text".to_vec(), "a");
    let nameless = Form::new().part("file", one());
    problem(ann.post(&path).multipart(nameless), 400, "bad_request").await;
    let twice = Form::new().part("file", one()).part("file", one());
    problem(ann.post(&path).multipart(twice), 400, "bad_request").await;
    let large = Form::new().part("file", file(vec![0; 2 << 20], "a"));
    problem(ann.post(&path).multipart(large), 413, "too_large").await;
    let foreign = Form::new().part("file", one()).text("recording_id", "x");
    problem(ann.post(&path).multipart(foreign), 404, "not_found").await;
    assert_eq!(ann.offset(&id).await, 0);
}

#[tokio::test]
async fn form_for_a_foreign_session_is_refused_before_its_body() {
    let server = TestServer::start().await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let (_, session) = ann.start_recording().await;
    let mut stream = connect(&server).await;
    // The server refuses before the client sends the body.
    let head = form_head(&bob, &session, 1 << 30, "Expect: 100-continue\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    let answer = until(&mut stream, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
}

#[tokio::test]
async fn preamble_and_part_headers_beyond_limits_are_refused() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let (id, session) = ann.start_recording().await;
    for begin in ["", "--b\r\nA: "] {
        let mut stream = connect(&server).await;
        // Larger than the body sent: the server answers without waiting for it.
        let head = form_head(&ann, &session, 1 << 30, "");
        let body = [head.as_bytes(), begin.as_bytes(), &[b'p'; 64 << 10]].concat();
        let _ = stream.write_all(&body).await;
        let answer = until(&mut stream, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{begin}: {answer}");
        assert!(answer.contains("application/problem+json"), "{answer}");
    }
    assert_eq!(ann.offset(&id).await, 0);
}

/// Sends an incomplete form three times, then a whole one after a restart.
async fn check_form_after_cuts(mut server: TestServer) {
    let ann = server.user("ann").await;
    let (id, session) = ann.start_recording().await;
    let bytes = chromium_webm();
    for attempt in 0..3 {
        let mut stream = connect(&server).await;
        let head = form_head(&ann, &session, 1 << 30, "");
        let fields = format!(
            "--b\r\nContent-Disposition: form-data; name=\"recording_id\"\r\n\r\n{id}\r\n\
             --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.webm\"\r\n\r\n"
        );
        let cut = &bytes[..bytes.len() * 2 / 3];
        let body = [head.as_bytes(), fields.as_bytes(), cut].concat();
        stream.write_all(&body).await.expect("sent");
        // The sender is silent; the server times out.
        let answer = until(&mut stream, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{attempt}: {answer}");
        // Bytes of the first attempt stay until a whole file replaces them.
        assert!(ann.offset(&id).await > 0);
    }
    server.restart().await;
    let ann = server.sign_in("ann", "a good password").await;
    let form = Form::new()
        .text("recording_id", id.clone())
        .part("file", file(bytes.clone(), "a.webm"));
    let answer = json_of(ann.post(&form_path(&session)).multipart(form), 200).await;
    assert_eq!(answer, json!({ "status": "ready" }));
    let whole = ann.record(&bytes).await;
    assert_eq!(download(&ann, &id).await, download(&ann, &whole).await);
}

#[tokio::test]
async fn interrupted_form_can_be_sent_again() {
    check_form_after_cuts(TestServer::with(&[("SORTIE_BODY_SILENCE_SECONDS", "1")]).await).await;
}

#[cfg(feature = "s3")]
#[tokio::test]
async fn interrupted_form_to_a_bucket_can_be_sent_again() {
    let endpoint = &crate::support::seaweedfs::seaweedfs().endpoint;
    let more = [("SORTIE_BODY_SILENCE_SECONDS", "1")];
    check_form_after_cuts(crate::support::store::s3_server(endpoint, &more).await).await;
}

#[tokio::test]
async fn patch_at_wrong_offset_is_refused_before_its_body() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let upload = ann.create_upload(&[("Upload-Length", "100")]).await;
    let token = ann.token.clone().unwrap_or_default();
    for (path, status) in [
        (upload.as_str(), "HTTP/1.1 409"),
        ("/api/uploads/unknown", "HTTP/1.1 404"),
    ] {
        let mut stream = connect(&server).await;
        let head = format!(
            "PATCH {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nTus-Resumable: 1.0.0\r\n\
             Content-Type: application/offset+octet-stream\r\nUpload-Offset: 50\r\nContent-Length: 50\r\n\
             Expect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        let answer = until(&mut stream, "\r\n\r\n").await;
        assert!(answer.starts_with(status), "{answer}");
    }
    assert_eq!(
        ann.offset(upload.rsplit('/').next().unwrap_or_default())
            .await,
        0
    );
}

#[tokio::test]
async fn trailing_slash_of_an_api_path_is_ignored() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let created = ann
        .tus(Method::POST, "/api/uploads/")
        .header("Upload-Length", "4");
    let created = created.send().await.expect("an answer");
    assert_eq!(created.status(), StatusCode::CREATED);
    let upload = format!("{}/", header(&created, "location"));
    let patched = ann
        .patch(&upload, 0, "text")
        .send()
        .await
        .expect("an answer");
    assert_eq!(patched.status(), StatusCode::NO_CONTENT);
    json_of(ann.get("/api/recordings/?limit=5"), 200).await;
    problem(ann.get("/api/no/such/"), 404, "not_found").await;
}

#[tokio::test]
async fn concurrent_readiness_checks_are_independent() {
    let server = TestServer::start().await;
    let client = server.anonymous();
    let calls = (0..50).map(|_| client.get("/readyz").send());
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.expect("an answer").status(), StatusCode::OK);
    }
    let left: Vec<_> = std::fs::read_dir(server.recordings())
        .expect("a folder")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Fails to sign in with these forwarding headers; returns the address in the audit log.
async fn written_address(server: &TestServer, headers: &[(&str, &str)]) -> Value {
    let admin = server.admin().await;
    let mut guess = server.anonymous().post("/api/auth/login");
    for (name, value) in headers {
        guess = guess.header(*name, *value);
    }
    let guess = guess.json(&json!({ "username": "admin", "password": "wrong guess" }));
    problem(guess, 401, "wrong_credentials").await;
    let rows = audit(&admin, "action=sign_in&limit=1").await;
    let row = rows.first().expect("a row");
    assert_eq!(row["result"], "denied");
    row["address"].clone()
}

#[tokio::test]
async fn client_address_comes_from_trusted_proxies_only() {
    let server = TestServer::start().await;
    // By default, proxies on the loopback interface are trusted.
    for (given, expected) in [
        ("203.0.113.7:5678", "203.0.113.7"),
        ("1.1.1.1, [2001:db8::7]:443", "2001:db8::7"),
    ] {
        let address = written_address(&server, &[("X-Forwarded-For", given)]).await;
        assert_eq!(address, expected, "{given}");
    }
    for proxies in ["none", "10.0.0.0/8"] {
        let server = TestServer::with(&[("SORTIE_TRUSTED_PROXIES", proxies)]).await;
        let forged = [
            ("X-Forwarded-For", "203.0.113.7"),
            ("Forwarded", "for=203.0.113.7"),
        ];
        assert_eq!(
            written_address(&server, &forged).await,
            "127.0.0.1",
            "{proxies}"
        );
    }
    let server = TestServer::with(&[("SORTIE_FORWARDED_HEADERS", "forwarded")]).await;
    let both = [
        ("X-Forwarded-For", "198.51.100.1"),
        ("Forwarded", "for=\"[2001:db8::1]:4711\";proto=https"),
    ];
    assert_eq!(written_address(&server, &both).await, "2001:db8::1");
}

async fn sign_in_cookies(server: &TestServer, headers: &[(&str, &str)]) -> Vec<String> {
    let mut login = server.anonymous().post("/api/auth/login");
    for (name, value) in headers {
        login = login.header(*name, *value);
    }
    let login =
        login.json(&json!({ "username": "admin", "password": crate::support::ADMIN_PASSWORD }));
    let answer = login.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let cookies = answer.headers().get_all("set-cookie").iter();
    cookies
        .map(|it| it.to_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn cookies_are_secure_according_to_trusted_proxy_or_public_url() {
    let is_secure = |cookies: Vec<String>| {
        assert!(cookies.len() >= 2, "{cookies:?}");
        cookies.iter().all(|cookie| cookie.contains("Secure"))
    };
    let https = ("X-Forwarded-Proto", "https");
    let server = TestServer::start().await;
    assert!(is_secure(sign_in_cookies(&server, &[https]).await));
    let server = TestServer::with(&[("SORTIE_TRUSTED_PROXIES", "none")]).await;
    assert!(!is_secure(sign_in_cookies(&server, &[https]).await));
    let public = [
        ("SORTIE_TRUSTED_PROXIES", "none"),
        ("SORTIE_PUBLIC_URL", "https://a.example"),
    ];
    let server = TestServer::with(&public).await;
    assert!(is_secure(
        sign_in_cookies(&server, &[("Host", "a.example")]).await
    ));
    assert!(!is_secure(sign_in_cookies(&server, &[]).await));
}

#[tokio::test]
async fn server_below_a_path_answers_with_and_without_the_prefix() {
    let url = "https://a.example/tools/recordings/";
    let server = TestServer::with(&[("SORTIE_PUBLIC_URL", url)]).await;
    let cookies = sign_in_cookies(&server, &[]).await;
    assert!(
        cookies
            .iter()
            .any(|it| it.contains("Path=/tools/recordings/;")
                || it.ends_with("Path=/tools/recordings/")),
        "{cookies:?}"
    );
    assert!(
        cookies
            .iter()
            .all(|it| it.contains("Path=/tools/recordings/")),
        "{cookies:?}"
    );
    let admin = server.admin().await;
    // A proxy that strips the path, and one that keeps it.
    for prefix in ["", "/tools/recordings"] {
        let created = admin.tus(Method::POST, &format!("{prefix}/api/uploads"));
        let created = created
            .header("Upload-Length", "4")
            .header("Upload-Concat", "partial");
        let created = created.send().await.expect("an answer");
        assert_eq!(created.status(), StatusCode::CREATED, "{prefix}");
        let upload = header(&created, "location");
        assert!(
            upload.starts_with("/tools/recordings/api/uploads/"),
            "{upload}"
        );
        let patched = admin
            .patch(&upload, 0, "text")
            .send()
            .await
            .expect("an answer");
        assert_eq!(patched.status(), StatusCode::NO_CONTENT);
        let joined = admin.tus(Method::POST, &format!("{prefix}/api/uploads"));
        let joined = joined.header("Upload-Concat", format!("final;{upload}"));
        let joined = joined.send().await.expect("an answer");
        assert_eq!(joined.status(), StatusCode::CREATED, "{prefix}");
        let session = admin.session().await;
        let start = admin.post(&format!("{prefix}/api/sessions/{session}/recording/start"));
        let started = json_of(start, 201).await;
        let upload = started["upload_url"].as_str().unwrap_or_default();
        assert!(
            upload.starts_with("/tools/recordings/api/uploads/"),
            "{upload}"
        );
        let list = admin.get(&format!("{prefix}/api/recordings?limit=1"));
        let list = list.send().await.expect("an answer");
        let link = header(&list, "link");
        assert!(
            link.starts_with("</tools/recordings/api/recordings?limit=1&cursor="),
            "{link}"
        );
    }
}

#[tokio::test]
async fn unsafe_request_id_of_a_client_is_replaced() {
    let server = TestServer::start().await;
    for (given, kept) in [
        ("a-1.b_C", true),
        ("a b", false),
        ("x\"", false),
        (&"a".repeat(65), false),
    ] {
        let answer = server
            .anonymous()
            .get("/healthz")
            .header("X-Request-Id", given);
        let id = header(&answer.send().await.expect("an answer"), "x-request-id");
        assert_eq!(id == given, kept, "{given}: {id}");
        assert!(!id.is_empty());
    }
}

#[tokio::test]
async fn every_form_of_a_whole_download_is_audited() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let size = chromium_webm().len() * 2;
    let ranges = [
        format!("bytes=-{size}"),
        "Bytes=0-".to_owned(),
        "bytes=00-".to_owned(),
        "garbage".to_owned(),
        "bytes= 0-".to_owned(),
    ];
    let rows = async |action: &str, id: &str| {
        let query = format!("action=recording.{action}&subject={id}");
        audit(&server.admin().await, &query).await.len()
    };
    let id = admin.record(&chromium_webm()).await;
    let path = format!("/api/recordings/{id}/download");
    for (count, range) in ranges.iter().enumerate() {
        let got = admin
            .get(&path)
            .header("Range", range)
            .send()
            .await
            .expect("an answer");
        assert!(got.status().is_success(), "{range}");
        assert_eq!(rows("download", &id).await, count + 1, "{range}");
    }
    let conditional = admin
        .get(&path)
        .header("Range", "bytes=5-")
        .header("If-Range", "\"other\"");
    assert_eq!(
        conditional.send().await.expect("an answer").status(),
        StatusCode::OK
    );
    assert_eq!(rows("download", &id).await, ranges.len() + 1);
    // Partial requests are logged once an hour for each user.
    let id = admin.record(&chromium_webm()).await;
    for (part, action) in [("download", "download"), ("stream", "view")] {
        let path = format!("/api/recordings/{id}/{part}");
        for range in ["bytes=100-200", "bytes=0-99", "bytes=201-", "bytes=1-"] {
            let got = admin
                .get(&path)
                .header("Range", range)
                .send()
                .await
                .expect("an answer");
            assert_eq!(got.status(), StatusCode::PARTIAL_CONTENT);
        }
        assert_eq!(rows(action, &id).await, 1, "{part}");
    }
    let stream = format!("/api/recordings/{id}/stream");
    admin.get(&stream).send().await.expect("an answer");
    assert_eq!(rows("view", &id).await, 1);
    server.clock.advance(Duration::from_secs(3600));
    let admin = server.admin().await;
    admin
        .get(&stream)
        .header("Range", "bytes=7-")
        .send()
        .await
        .expect("an answer");
    assert_eq!(rows("view", &id).await, 2);
    // A HEAD request is not logged.
    let (_, session) = admin.start_recording().await;
    let _ = session;
    let head = admin
        .request(Method::HEAD, &path)
        .send()
        .await
        .expect("an answer");
    assert_eq!(head.status(), StatusCode::OK);
}

#[tokio::test]
async fn hash_of_a_recording_is_computed_once() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let id = admin.record(&chromium_webm()).await;
    let ask = || {
        let head = admin.request(Method::HEAD, &format!("/api/recordings/{id}/stream"));
        head.header("Want-Repr-Digest", "sha-256=10").send()
    };
    let first = header(&ask().await.expect("an answer"), "repr-digest");
    assert!(first.starts_with("sha-256=:"), "{first}");
    // The answer comes from the stored hash, as the file is gone.
    std::fs::remove_file(server.file(&format!("{id}.webm"))).expect("the file");
    assert_eq!(
        header(&ask().await.expect("an answer"), "repr-digest"),
        first
    );
}

#[tokio::test]
async fn partial_upload_named_twice_is_refused() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let part = ann
        .create_upload(&[("Upload-Length", "4"), ("Upload-Concat", "partial")])
        .await;
    let sent = ann.patch(&part, 0, "text").send().await.expect("an answer");
    assert_eq!(sent.status(), StatusCode::NO_CONTENT);
    let join = |parts: String| {
        ann.tus(Method::POST, "/api/uploads")
            .header("Upload-Concat", format!("final;{parts}"))
    };
    problem(join(format!("{part} {part}")), 400, "bad_request").await;
    problem(
        join(format!("{part} {}{part}", server.url)),
        400,
        "bad_request",
    )
    .await;
    let once = join(part).send().await.expect("an answer");
    assert_eq!(once.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn renamed_recording_keeps_its_file_extension() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let id = ann.record(&chromium_webm()).await;
    let path = format!("/api/recordings/{id}");
    let rename = |name: &str| {
        ann.request(Method::PATCH, &path)
            .json(&json!({ "filename": name }))
    };
    for (name, expected) in [
        ("page.html", "page.html.webm"),
        ("Talk.WebM", "Talk.WebM"),
        ("talk.mp4", "talk.webm"),
        ("talk v1.2", "talk v1.2.webm"),
    ] {
        assert_eq!(json_of(rename(name), 200).await["filename"], expected);
        let answer = ann
            .get(&format!("{path}/download"))
            .send()
            .await
            .expect("an answer");
        assert!(
            header(&answer, "content-disposition").contains(expected),
            "{expected}"
        );
        assert_eq!(header(&answer, "content-type"), "video/webm");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
    }
    for name in [
        "a\u{202E}lmth.exe",
        "a\u{2066}b",
        "a\u{200F}b",
        "a\u{2028}b",
        "a\u{FEFF}b",
    ] {
        problem(rename(name), 400, "invalid_field").await;
    }
    // Uploads with such a name are stored without the marks.
    let metadata = "filename YQrigK5sbXRoLmV4ZQ==";
    let upload = ann
        .create_upload(&[("Upload-Length", "9"), ("Upload-Metadata", metadata)])
        .await;
    let id = upload.rsplit('/').next().unwrap_or_default();
    let name = ann.recording(id).await["filename"].clone();
    assert!(
        !name.as_str().unwrap_or_default().contains('\u{202E}'),
        "{name}"
    );
}

#[tokio::test]
async fn search_ignores_case_accents_and_unicode_normal_form() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    let mut ids = Vec::new();
    for name in ["so naïve.webm", "nai\u{308}ve too.webm", "naive.webm"] {
        let (id, _) = admin.start_recording().await;
        let change = admin.request(Method::PATCH, &format!("/api/recordings/{id}"));
        json_of(change.json(&json!({ "filename": name })), 200).await;
        ids.push(id);
    }
    let found = |path: String| {
        let admin = &admin;
        async move {
            let rows = json_of(admin.get(&path), 200).await;
            let rows = rows.as_array().expect("an array").iter();
            let mut ids: Vec<_> = rows
                .map(|row| row["id"].as_str().unwrap_or_default().to_owned())
                .collect();
            ids.sort();
            ids
        }
    };
    for search in ["NA%C3%8FVE", "na%C3%AFve", "nai%CC%88ve", "NAIVE", "%C3%8F"] {
        assert_eq!(
            found(format!("/api/recordings?q={search}")).await,
            ids,
            "{search}"
        );
    }
    assert_eq!(
        found("/api/recordings?q=naive+TOO".to_owned()).await,
        ids[1..2]
    );
    let end = "/api/recordings?to=9999-12-31T23:59:59Z&from=2026-01-01T00:00:00Z";
    assert_eq!(found(end.to_owned()).await, ids);
    let user = json!({ "username": "zoe", "password": "a good password", "display_name": "ZOË", "roles": ["user"] });
    let user = json_of(admin.post("/api/admin/users").json(&user), 201).await;
    for search in ["zo%C3%AB", "zoe%CC%88", "ZOE%CC%88"] {
        assert_eq!(
            found(format!("/api/admin/users?q={search}")).await,
            [user["id"].as_str().unwrap_or_default()],
            "{search}"
        );
    }
}

#[tokio::test]
async fn idle_connections_are_closed_for_new_ones() {
    let server = TestServer::with(&[
        ("SORTIE_MAX_CONNECTIONS", "3"),
        ("SORTIE_HEADER_SECONDS", "600"),
    ])
    .await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        idle.push(connect(&server).await);
    }
    // An incomplete head does not protect the connection.
    idle[1]
        .write_all(b"GET / HTTP/1.1\r\nX: ")
        .await
        .expect("sent");
    for _ in 0..10 {
        let mut caller = connect(&server).await;
        caller
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .expect("sent");
        let answer = until(&mut caller, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
        idle.push(caller);
    }
    for stream in &mut idle[..3] {
        assert_eq!(rest(stream).await, "");
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_of_an_address_are_refused_unless_one_is_idle() {
    let server = TestServer::with(&[
        ("SORTIE_MAX_CONNECTIONS_PER_ADDRESS", "2"),
        ("SORTIE_TRUSTED_PROXIES", "none"),
    ])
    .await;
    let ask = async |stream: &mut TcpStream| {
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .expect("sent");
        until(stream, "\r\n\r\n").await
    };
    // Idle connections are closed in favour of new ones.
    for _ in 0..5 {
        let answer = ask(&mut connect(&server).await).await;
        assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    }
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut stream = connect(&server).await;
        let head = b"POST /api/auth/refresh HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n";
        stream.write_all(head).await.expect("sent");
        until(&mut stream, "100 Continue\r\n\r\n").await;
        busy.push(stream);
    }
    let answer = rest(&mut connect(&server).await).await;
    assert!(answer.starts_with("HTTP/1.1 429"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["code"], "too_many_requests");
    drop(busy);
    crate::support::until("the connections are closed", async || {
        let mut stream = connect(&server).await;
        let _ = stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await;
        rest(&mut stream).await.starts_with("HTTP/1.1 204")
    })
    .await;
}

#[tokio::test]
async fn trickling_sign_in_body_is_cut_off() {
    let server = TestServer::start().await;
    let trickles = ["/api/auth/refresh", "/api/auth/logout", "/api/auth/login"].map(|path| {
        let server = &server;
        async move {
            let mut stream = connect(server).await;
            let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n");
            stream.write_all(head.as_bytes()).await.expect("sent");
            let (mut read, mut write) = stream.split();
            let mut answer = [0; 12];
            let trickle = async {
                while write.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            };
            let answered = async {
                read.read_exact(&mut answer).await.expect("an answer");
            };
            tokio::select! {
                () = answered => {}
                () = trickle => panic!("{path}: cut without an answer"),
                () = tokio::time::sleep(FOREVER) => panic!("{path}: not cut off"),
            }
            assert_eq!(&answer, b"HTTP/1.1 408", "{path}");
        }
    });
    futures_util::future::join_all(trickles).await;
}

#[tokio::test]
async fn invisible_names_are_refused_and_raw_data_is_named_bin() {
    let server = TestServer::start().await;
    let ann = server.user("ann").await;
    let id = ann.record(&chromium_webm()).await;
    let path = format!("/api/recordings/{id}");
    for name in [
        "\u{ad}",
        "\u{3164}.webm",
        "\u{2800}\u{2800}",
        "\u{200d}",
        "a\u{e0041}b",
        "\u{fff9}x",
    ] {
        let rename = ann
            .request(Method::PATCH, &path)
            .json(&json!({ "filename": name }));
        problem(rename, 400, "invalid_field").await;
    }
    for (name, expected) in [
        (". .webm", "webm.bin"),
        ("report.html", "report.html.bin"),
        ("a\u{ad}b.exe", "ab.exe.bin"),
    ] {
        let name = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, name);
        let created = ann
            .tus(Method::POST, "/api/uploads")
            .header("Content-Type", "application/offset+octet-stream")
            .header("Upload-Length", 4)
            .header("Upload-Metadata", format!("filename {name}"))
            .body("text")
            .send()
            .await
            .expect("an answer");
        assert_eq!(created.status(), StatusCode::CREATED);
        let id = header(&created, "location").replace("/api/uploads/", "");
        let answer = ann.get(&format!("/api/recordings/{id}/raw")).send().await;
        let disposition = header(&answer.expect("an answer"), "content-disposition");
        assert!(
            disposition.contains(&format!("filename=\"{expected}\"")),
            "{disposition}"
        );
    }
}

#[tokio::test]
async fn refusal_before_the_body_announces_that_the_connection_closes() {
    let server = TestServer::start().await;
    let mut stream = connect(&server).await;
    let head = "POST /api/sessions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
                Content-Length: 17\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("sent");
    let answer = rest(&mut stream).await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 401"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");

    // A body that was read to its end keeps the connection open.
    let mut stream = connect(&server).await;
    let body = r#"{"username":"a","password":"wrong password"}"#;
    let request = format!(
        "POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    for _ in 0..2 {
        stream.write_all(request.as_bytes()).await.expect("sent");
        let answer = until(&mut stream, "}").await.to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 401"), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn open_uploads_leave_file_descriptors_for_other_requests() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = std::process::Command::new("prlimit");
    command
        .args(["--nofile=256:256", env!("CARGO_BIN_EXE_sortie-server")])
        .env("SORTIE_DB", folder.path().join("sortie.db"))
        .env(
            "SORTIE_RECORDING_STORAGE_PATH",
            folder.path().join("recordings"),
        )
        .env("SORTIE_UPLOADS_PER_USER", "1000");
    let process = crate::support::process::Process::start(&mut command, Some(folder));
    let anonymous = Client {
        http: reqwest::Client::new(),
        url: process.url.clone(),
        token: None,
        user_id: String::new(),
    };
    let login = anonymous
        .post("/api/auth/login")
        .json(&json!({ "username": "admin", "password": crate::support::ADMIN_PASSWORD }));
    let token = json_of(login, 200).await["access_token"]
        .as_str()
        .map(str::to_owned);
    let admin = Client { token, ..anonymous };
    let create = || {
        admin
            .tus(Method::POST, "/api/uploads")
            .header("Upload-Defer-Length", 1)
    };
    for _ in 0..64 {
        let created = create().send().await.expect("an answer");
        assert_eq!(created.status(), StatusCode::CREATED);
    }
    let sentence = problem(create(), 503, "unavailable").await;
    assert!(sentence.contains("open files"), "{sentence}");
    let health = admin.get("/healthz").send().await.expect("an answer");
    assert!(health.status().is_success(), "{health:?}");
}

#[tokio::test]
async fn request_without_exactly_one_host_is_refused() {
    let server = TestServer::start().await;
    let address = server.url.trim_start_matches("http://").to_owned();
    for (version, hosts, expected) in [
        ("1.1", "", "400"),
        ("1.1", "Host: a\r\nHost: a\r\n", "400"),
        (
            "1.1",
            "Host: a\r\nHost: b\r\nX-Forwarded-Host: c\r\n",
            "400",
        ),
        ("1.0", "Host: a\r\nHost: b\r\n", "400"),
        ("1.1", "Host: a\r\n", "204"),
        ("1.0", "", "204"),
    ] {
        let mut stream = TcpStream::connect(&address).await.expect("a connection");
        let head = format!("GET /healthz HTTP/{version}\r\n{hosts}Connection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        let answer = rest(&mut stream).await;
        let status = answer.split(' ').nth(1).expect("a status");
        assert_eq!(status, expected, "{hosts:?}: {answer}");
        let is_problem = answer.contains("application/problem+json");
        assert_eq!(is_problem, expected == "400", "{hosts:?}: {answer}");
        assert!(answer.contains("x-request-id: "), "{hosts:?}: {answer}");
    }
}
