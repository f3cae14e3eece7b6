//! Every error case of the tus specification (1.0.0) as a table: the request, its answer, and that the request changed
//! nothing.

use crate::support::{Client, TestServer, header, problem};
use reqwest::{Method, RequestBuilder};

/// `SORTIE_RECORDING_MAX_SIZE_MB=1`.
const MAX_SIZE: &str = "1048576";
const OCTETS: (&str, &str) = ("Content-Type", "application/offset+octet-stream");
const VERSION: (&str, &str) = ("Tus-Resumable", "1.0.0");
/// SHA-1 of the empty body, sent with other bodies.
const WRONG_SUM: &str = "sha1 2jmj7l5rSw0yVb/vlWAYkK/YBwk=";

/// One request and its refusal. `{deferred}` in a path or a header is an upload of unknown length that has 3 bytes,
/// `{known}` one with 3 of 10, and so on; see [`uploads`].
struct Case {
    /// Section of the specification, and the violation.
    what: &'static str,
    method: Method,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    status: u16,
    code: &'static str,
}

const fn post(
    what: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    refusal: (u16, &'static str),
) -> Case {
    Case {
        what,
        method: Method::POST,
        path: "/api/uploads",
        headers,
        body,
        status: refusal.0,
        code: refusal.1,
    }
}

const fn patch(
    what: &'static str,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    refusal: (u16, &'static str),
) -> Case {
    Case {
        what,
        method: Method::PATCH,
        path,
        headers,
        body,
        status: refusal.0,
        code: refusal.1,
    }
}

const fn ask(
    what: &'static str,
    method: Method,
    path: &'static str,
    headers: &'static [(&'static str, &'static str)],
    refusal: (u16, &'static str),
) -> Case {
    Case {
        what,
        method,
        path,
        headers,
        body: "",
        status: refusal.0,
        code: refusal.1,
    }
}

const BAD: (u16, &str) = (400, "bad_request");
const NOT_THERE: (u16, &str) = (404, "not_found");
const WRONG_VERSION: (u16, &str) = (412, "unsupported_tus_version");
const WRONG_TYPE: (u16, &str) = (415, "unsupported_media_type");
const WRONG_OFFSET: (u16, &str) = (409, "offset_mismatch");
const TOO_LARGE: (u16, &str) = (413, "too_large");
const FORBIDDEN: (u16, &str) = (403, "forbidden");

const UNKNOWN: &str = "/api/uploads/01990000-0000-7000-8000-000000000000";

#[rustfmt::skip]
static CASES: &[Case] = &[
    // Core Protocol, Tus-Resumable: "the Server MUST respond with the 412 Precondition Failed status and MUST
    // include the Tus-Version header into the response".
    post("no version", &[("Upload-Length", "1")], "", WRONG_VERSION),
    post("another version", &[("Tus-Resumable", "0.2.2"), ("Upload-Length", "1")], "", WRONG_VERSION),
    post("two versions in one", &[("Tus-Resumable", "1.0.0,0.2.2"), ("Upload-Length", "1")], "", WRONG_VERSION),
    ask("HEAD without a version", Method::HEAD, "{known}", &[], WRONG_VERSION),
    ask("HEAD with another version", Method::HEAD, "{known}", &[("Tus-Resumable", "2.0.0")], WRONG_VERSION),
    ask("DELETE without a version", Method::DELETE, "{known}", &[], WRONG_VERSION),
    patch("PATCH without a version", "{known}", &[OCTETS, ("Upload-Offset", "3")], "x", WRONG_VERSION),
    patch("PATCH with another version", "{known}", &[OCTETS, ("Upload-Offset", "3"), ("Tus-Resumable", "1.0")], "x", WRONG_VERSION),

    // Core Protocol, PATCH.
    patch("no offset", "{known}", &[VERSION, OCTETS], "x", BAD),
    patch("an empty offset", "{known}", &[VERSION, OCTETS, ("Upload-Offset", "")], "x", BAD),
    patch("a negative offset", "{known}", &[VERSION, OCTETS, ("Upload-Offset", "-1")], "x", BAD),
    patch("an offset that is no number", "{known}", &[VERSION, OCTETS, ("Upload-Offset", "three")], "x", BAD),
    patch("an offset with a sign", "{known}", &[VERSION, OCTETS, ("Upload-Offset", "+3")], "x", BAD),
    patch("an offset beyond 64 bits", "{known}", &[VERSION, OCTETS, ("Upload-Offset", "18446744073709551616")], "x", BAD),
    patch("an offset before the end", "{known}", &[VERSION, OCTETS, ("Upload-Offset", "2")], "x", WRONG_OFFSET),
    patch("an offset behind the end", "{known}", &[VERSION, OCTETS, ("Upload-Offset", "4")], "x", WRONG_OFFSET),
    patch("no media type", "{known}", &[VERSION, ("Upload-Offset", "3")], "x", WRONG_TYPE),
    patch("another media type", "{known}", &[VERSION, ("Upload-Offset", "3"), ("Content-Type", "video/webm")], "x", WRONG_TYPE),
    patch("more than its length", "{known}", &[VERSION, OCTETS, ("Upload-Offset", "3")], "more than seven", TOO_LARGE),
    patch("no such upload", UNKNOWN, &[VERSION, OCTETS, ("Upload-Offset", "0")], "x", NOT_THERE),
    patch("no upload at all", "/api/uploads/nonsense", &[VERSION, OCTETS, ("Upload-Offset", "0")], "x", NOT_THERE),
    ask("HEAD of no such upload", Method::HEAD, UNKNOWN, &[VERSION], NOT_THERE),

    // Creation, and Upload-Defer-Length.
    post("no length", &[VERSION], "", BAD),
    post("an empty length", &[VERSION, ("Upload-Length", "")], "", BAD),
    post("a negative length", &[VERSION, ("Upload-Length", "-5")], "", BAD),
    post("a length that is no number", &[VERSION, ("Upload-Length", "1e3")], "", BAD),
    post("both lengths", &[VERSION, ("Upload-Length", "5"), ("Upload-Defer-Length", "1")], "", BAD),
    post("a deferred length of 0", &[VERSION, ("Upload-Defer-Length", "0")], "", BAD),
    post("a deferred length of true", &[VERSION, ("Upload-Defer-Length", "true")], "", BAD),
    post("more than Tus-Max-Size", &[VERSION, ("Upload-Length", "1048577")], "", TOO_LARGE),
    post("metadata without a key", &[VERSION, ("Upload-Length", "5"), ("Upload-Metadata", "a dGV4dA==,,b dGV4dA==")], "", BAD),
    post("metadata that is not Base64", &[VERSION, ("Upload-Length", "5"), ("Upload-Metadata", "filename talk.webm")], "", BAD),
    post("metadata with a key twice", &[VERSION, ("Upload-Length", "5"), ("Upload-Metadata", "a dGV4dA==,a dGV4dA==")], "", BAD),
    patch("a length that was set is changed", "{known}", &[VERSION, OCTETS, ("Upload-Offset", "3"), ("Upload-Length", "11")], "x", BAD),
    patch("a length below the offset", "{deferred}", &[VERSION, OCTETS, ("Upload-Offset", "3"), ("Upload-Length", "2")], "", BAD),
    patch("a length that is no number", "{deferred}", &[VERSION, OCTETS, ("Upload-Offset", "3"), ("Upload-Length", "all")], "x", BAD),
    patch("a length beyond Tus-Max-Size", "{deferred}", &[VERSION, OCTETS, ("Upload-Offset", "3"), ("Upload-Length", "1048577")], "x", TOO_LARGE),
    patch("more than the length it declares", "{deferred}", &[VERSION, OCTETS, ("Upload-Offset", "3"), ("Upload-Length", "4")], "xyz", TOO_LARGE),

    // Creation With Upload: the body needs its content type.
    post("a body without a media type", &[VERSION, ("Upload-Length", "5")], "hello", WRONG_TYPE),
    post("a body of another media type", &[VERSION, ("Upload-Length", "5"), ("Content-Type", "text/plain")], "hello", WRONG_TYPE),

    // Checksum: "If the Server does not support the used checksum algorithm, the Server MUST respond with 400";
    // "if … mismatch … 460 Checksum Mismatch and that chunk MUST be discarded".
    patch("an unknown algorithm", "{known}", &[VERSION, OCTETS, ("Upload-Offset", "3"), ("Upload-Checksum", "md5 1B2M2Y8AsgTpgAmY7PhCfg==")], "x", BAD),
    patch("an algorithm without a sum", "{known}", &[VERSION, OCTETS, ("Upload-Offset", "3"), ("Upload-Checksum", "sha1")], "x", BAD),
    patch("a sum that is not Base64", "{known}", &[VERSION, OCTETS, ("Upload-Offset", "3"), ("Upload-Checksum", "sha1 %%%")], "x", BAD),
    patch("a sum of another length", "{known}", &[VERSION, OCTETS, ("Upload-Offset", "3"), ("Upload-Checksum", "sha1 AAAA")], "x", BAD),
    patch("a sum of something else", "{known}", &[VERSION, OCTETS, ("Upload-Offset", "3"), ("Upload-Checksum", WRONG_SUM)], "x", (460, "checksum_mismatch")),

    // Termination and Expiration: "404 Not Found or 410 Gone".
    ask("HEAD of a deleted upload", Method::HEAD, "{deleted}", &[VERSION], NOT_THERE),
    patch("PATCH to a deleted upload", "{deleted}", &[VERSION, OCTETS, ("Upload-Offset", "0")], "x", NOT_THERE),
    ask("DELETE of a deleted upload", Method::DELETE, "{deleted}", &[VERSION], NOT_THERE),

    // Concatenation.
    post("neither partial nor final", &[VERSION, ("Upload-Length", "5"), ("Upload-Concat", "whole")], "", BAD),
    post("final of nothing", &[VERSION, ("Upload-Concat", "final;")], "", BAD),
    post("final of an address elsewhere", &[VERSION, ("Upload-Concat", "final;https://elsewhere.example/api/uploads/x")], "", BAD),
    post("final of what is not there", &[VERSION, ("Upload-Concat", "final;/api/uploads/01990000-0000-7000-8000-000000000000")], "", NOT_THERE),
    post("final of an upload that is not partial", &[VERSION, ("Upload-Concat", "final;{known}")], "", BAD),
    post("final of one that is not complete", &[VERSION, ("Upload-Concat", "final;{partial}")], "", BAD),
    post("final with a length", &[VERSION, ("Upload-Length", "4"), ("Upload-Concat", "final;{part}")], "", BAD),
    post("final with a body", &[VERSION, OCTETS, ("Upload-Concat", "final;{part}")], "body", FORBIDDEN),
    patch("PATCH to a final upload", "{final}", &[VERSION, OCTETS, ("Upload-Offset", "0")], "x", FORBIDDEN),
    patch("PATCH to the end of a final upload", "{final}", &[VERSION, OCTETS, ("Upload-Offset", "4")], "x", FORBIDDEN),
];

/// Creates the uploads of the table by placeholder.
async fn uploads(client: &Client) -> Vec<(&'static str, String)> {
    let sent = async |upload: &str, bytes: &'static str| {
        let answer = client.patch(upload, 0, bytes).send().await;
        assert_eq!(answer.expect("an answer").status(), 204);
    };
    let known = client.create_upload(&[("Upload-Length", "10")]).await;
    sent(&known, "abc").await;
    let deferred = client.create_upload(&[("Upload-Defer-Length", "1")]).await;
    sent(&deferred, "abc").await;
    let partial = client
        .create_upload(&[("Upload-Concat", "partial"), ("Upload-Length", "4")])
        .await;
    sent(&partial, "abc").await;
    let part = |client| complete_part(client, "part");
    let spent = part(client).await;
    let joined = client
        .create_upload(&[("Upload-Concat", &format!("final;{spent}"))])
        .await;
    let deleted = client.create_upload(&[("Upload-Length", "10")]).await;
    let answer = client.tus(Method::DELETE, &deleted).send().await;
    assert_eq!(answer.expect("an answer").status(), 204);
    vec![
        ("{known}", known),
        ("{deferred}", deferred),
        ("{partial}", partial),
        ("{part}", part(client).await),
        ("{final}", joined),
        ("{deleted}", deleted),
    ]
}

async fn complete_part(client: &Client, bytes: &'static str) -> String {
    let length = bytes.len().to_string();
    let upload = client
        .create_upload(&[("Upload-Concat", "partial"), ("Upload-Length", &length)])
        .await;
    let answer = client.patch(&upload, 0, bytes).send().await;
    assert_eq!(answer.expect("an answer").status(), 204);
    upload
}

/// Offset and length of an upload, as HEAD reports them.
async fn offset_and_length(client: &Client, upload: &str) -> [String; 3] {
    let head = client.tus(Method::HEAD, upload).send().await;
    let head = head.expect("an answer");
    assert_eq!(head.status(), 200, "{upload}");
    ["upload-offset", "upload-length", "upload-defer-length"].map(|name| header(&head, name))
}

#[tokio::test]
async fn every_error_case_is_refused_without_effect() {
    let server = TestServer::with(&[("SORTIE_RECORDING_MAX_SIZE_MB", "1")]).await;
    let client = server.admin().await;
    let options = client.request(Method::OPTIONS, "/api/uploads").send().await;
    assert_eq!(
        header(&options.expect("an answer"), "tus-max-size"),
        MAX_SIZE
    );
    let uploads = uploads(&client).await;
    let filled = |text: &str| {
        uploads
            .iter()
            .fold(text.to_owned(), |text, (name, upload)| {
                text.replace(name, upload)
            })
    };
    let open: Vec<_> = uploads
        .iter()
        .filter(|(name, _)| *name != "{deleted}")
        .map(|(_, upload)| upload)
        .collect();
    let mut before = Vec::new();
    for upload in &open {
        before.push(offset_and_length(&client, upload).await);
    }
    let recordings = async || {
        let list = client.get("/api/recordings").send().await;
        list.expect("an answer").text().await.expect("a list")
    };
    let known = recordings().await;
    for case in CASES {
        let mut request = client.request(case.method.clone(), &filled(case.path));
        for (name, value) in case.headers {
            request = request.header(*name, filled(value));
        }
        check(case, request.body(case.body)).await;
    }
    let wrong = client.patch(&filled("{known}"), 2, "x");
    assert_eq!(
        problem(wrong, 409, "offset_mismatch").await,
        "The upload is at byte 3, the request is for byte 2."
    );
    for (upload, before) in open.iter().zip(before) {
        assert_eq!(offset_and_length(&client, upload).await, before, "{upload}");
    }
    assert_eq!(recordings().await, known, "something was created");
}

async fn check(case: &Case, request: RequestBuilder) {
    let again = request.try_clone().expect("a request without a stream");
    let answer = again.send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), case.status, "{}", case.what);
    assert_eq!(header(&answer, "tus-resumable"), "1.0.0", "{}", case.what);
    let versions = if case.status == 412 { "1.0.0" } else { "" };
    assert_eq!(header(&answer, "tus-version"), versions, "{}", case.what);
    // An answer to HEAD has no body.
    if case.method != Method::HEAD {
        problem(request, case.status, case.code).await;
    }
}
