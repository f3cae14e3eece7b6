//! How many uploads one person may have open, so that nobody fills the disk with pieces.

mod support;

use reqwest::{Method, RequestBuilder, StatusCode};
use support::{Client, TestServer, chromium_webm, header, problem};

fn creation(client: &Client, concat: &str) -> RequestBuilder {
    let request = client
        .tus(Method::POST, "/api/uploads")
        .header("Upload-Length", "4");
    match concat {
        "" => request,
        concat => request.header("Upload-Concat", concat),
    }
}

async fn created(request: RequestBuilder) -> String {
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::CREATED);
    header(&answer, "location")
}

#[tokio::test]
async fn no_more_than_so_many_at_once_for_each_person() {
    let server = TestServer::with(&[("SORTIE_UPLOADS_PER_USER", "3")]).await;
    let (ann, bob) = (server.user("ann").await, server.user("bob").await);
    let first = created(creation(&ann, "")).await;
    let part = created(creation(&ann, "partial")).await;
    let (recording, session) = ann.start_recording().await;
    let files = || {
        std::fs::read_dir(server.recordings())
            .expect("the folder")
            .count()
    };
    assert_eq!(files(), 3);

    // By whatever way in, and nothing is left behind.
    let start = format!("/api/sessions/{session}/recording/start");
    for refused in [
        creation(&ann, ""),
        creation(&ann, "partial"),
        ann.post(&start),
    ] {
        let sentence = problem(refused, 429, "too_many_requests").await;
        assert!(sentence.starts_with("3 uploads are open"), "{sentence}");
    }
    let refused = creation(&ann, "").send().await.expect("an answer");
    assert_eq!(header(&refused, "retry-after"), "30");
    assert_eq!(header(&refused, "tus-resumable"), "1.0.0");
    assert_eq!(files(), 3);
    // Nobody else is concerned, and what is open goes on.
    created(creation(&bob, "")).await;

    // Room comes from what is deleted, and from what is complete.
    let gone = ann
        .tus(Method::DELETE, &first)
        .send()
        .await
        .expect("an answer");
    assert_eq!(gone.status(), StatusCode::NO_CONTENT);
    created(creation(&ann, "")).await;
    problem(creation(&ann, ""), 429, "too_many_requests").await;
    let bytes = chromium_webm();
    let done = ann
        .patch(&format!("/api/uploads/{recording}"), 0, bytes.clone())
        .header("Upload-Length", bytes.len());
    assert_eq!(
        done.send().await.expect("an answer").status(),
        StatusCode::NO_CONTENT
    );
    created(creation(&ann, "")).await;

    // A complete part still takes room; joining it is always possible.
    let whole = ann.patch(&part, 0, "text").send().await.expect("an answer");
    assert_eq!(whole.status(), StatusCode::NO_CONTENT);
    problem(creation(&ann, ""), 429, "too_many_requests").await;
    let joined = ann
        .tus(Method::POST, "/api/uploads")
        .header("Upload-Concat", format!("final;{part}"));
    created(joined).await;
    created(creation(&ann, "partial")).await;
}

#[tokio::test]
async fn a_race_does_not_get_more() {
    let server = TestServer::with(&[("SORTIE_UPLOADS_PER_USER", "5")]).await;
    let ann = server.user("ann").await;
    let requests = (0..40).map(|_| creation(&ann, "partial").send());
    let answers = futures_util::future::join_all(requests).await;
    let statuses = answers
        .into_iter()
        .map(|it| it.expect("an answer").status().as_u16());
    let (taken, refused): (Vec<_>, Vec<_>) = statuses.partition(|status| *status == 201);
    assert_eq!((taken.len(), refused), (5, vec![429; 35]));
    let left = std::fs::read_dir(server.recordings()).expect("the folder");
    assert_eq!(left.count(), 5);
}
