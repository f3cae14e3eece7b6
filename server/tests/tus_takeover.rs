//! A connection that hangs, as a phone leaves it behind that has changed networks: it never closes, and
//! nothing more comes. Whoever asks next is answered at once, and what had arrived stays.

mod support;

use std::time::Duration;

use reqwest::{Method, StatusCode};
use support::{Client, TestServer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// More than is batched before it reaches the file.
const SENT: usize = 1024 * 1024 + 200_000;
const AT_ONCE: Duration = Duration::from_secs(1);

/// A `PATCH` of which only the beginning ever comes.
async fn hanging(server: &TestServer, client: &Client, id: &str) -> TcpStream {
    let address = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let token = client.token.as_deref().unwrap_or_default();
    let head = format!(
        "PATCH /api/uploads/{id} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Tus-Resumable: 1.0.0\r\nContent-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\n\
         Content-Length: 100000000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("it reads");
    stream.write_all(&vec![7; SENT]).await.expect("it reads");
    stream
}

/// Waits until at least a batch of it is in the file.
async fn has_arrived(server: &TestServer, id: &str) {
    let file = server.file(&format!("{id}.part"));
    for _ in 0..1000 {
        if std::fs::metadata(&file).is_ok_and(|file| file.len() > 4096 + 1024 * 1024) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the beginning of the body does not arrive");
}

/// What the hanging request is told, as far as it can still listen.
async fn told(mut stream: TcpStream) -> String {
    let mut answer = vec![0; 12];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await;
    read.expect("it is told").expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

async fn at_once<T>(work: impl Future<Output = T>) -> T {
    let answer = tokio::time::timeout(AT_ONCE, work).await;
    answer.expect("an answer within a second")
}

/// Fifty of them on a busy machine have more time; what hangs would hang for ever.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    let answer = tokio::time::timeout(20 * AT_ONCE, work).await;
    answer.expect("an answer")
}

#[tokio::test]
async fn head_is_answered_at_once_and_the_bytes_stay() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    let stream = hanging(&server, &client, &id).await;
    has_arrived(&server, &id).await;
    let offset = at_once(client.offset(&id)).await;
    assert!((1024 * 1024..=SENT as u64).contains(&offset), "{offset}");
    assert_eq!(told(stream).await, "HTTP/1.1 423");
    assert_eq!(client.offset(&id).await, offset);
}

#[tokio::test]
async fn a_body_for_another_place_is_refused_at_once_and_disturbs_nobody() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    let upload = format!("/api/uploads/{id}");
    let mut stream = hanging(&server, &client, &id).await;
    has_arrived(&server, &id).await;
    let answer = at_once(client.patch(&upload, 0, "again").send()).await;
    assert_eq!(answer.expect("an answer").status(), StatusCode::CONFLICT);
    // The older one may still go on.
    stream.write_all(&vec![7; SENT]).await.expect("it reads");
    stream.shutdown().await.expect("it reads");
    for _ in 0..500 {
        let file = std::fs::metadata(server.file(&format!("{id}.part"))).expect("the file");
        if file.len() == 4096 + 2 * SENT as u64 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the older request was disturbed");
}

#[tokio::test]
async fn a_body_that_continues_takes_over_at_once_and_the_bytes_stay() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    let upload = format!("/api/uploads/{id}");
    let stream = hanging(&server, &client, &id).await;
    has_arrived(&server, &id).await;
    // All of it has been received; some of it may still be in a batch.
    let mut sent = StatusCode::CONFLICT;
    for _ in 0..500 {
        let patch = client.patch(&upload, SENT as u64, "more").send();
        sent = at_once(patch).await.expect("an answer").status();
        if sent != StatusCode::CONFLICT {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(sent, StatusCode::NO_CONTENT);
    assert_eq!(told(stream).await, "HTTP/1.1 423");
    assert_eq!(client.offset(&id).await, SENT as u64 + 4);
    let stored = std::fs::read(server.file(&format!("{id}.part"))).expect("the file");
    assert!(stored[4096..4096 + SENT].iter().all(|byte| *byte == 7));
    assert_eq!(&stored[4096 + SENT..], b"more");
}

#[tokio::test]
async fn delete_is_answered_at_once_and_nothing_stays() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    let stream = hanging(&server, &client, &id).await;
    has_arrived(&server, &id).await;
    let delete = client
        .tus(Method::DELETE, &format!("/api/uploads/{id}"))
        .send();
    let answer = at_once(delete).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(told(stream).await, "HTTP/1.1 423");
    let names = std::fs::read_dir(server.recordings()).expect("the folder");
    assert_eq!(names.count(), 0);
}

#[tokio::test]
async fn fifty_at_once() {
    let server = TestServer::start().await;
    let client = server.admin().await;
    let mut uploads = Vec::new();
    for _ in 0..50 {
        let (id, _) = client.start_recording().await;
        let stream = hanging(&server, &client, &id).await;
        uploads.push((id, stream));
    }
    for (id, _) in &uploads {
        has_arrived(&server, id).await;
    }
    // Every third is asked for, deleted, or sent to.
    let answers = uploads.iter().enumerate().map(|(number, (id, _))| {
        let upload = format!("/api/uploads/{id}");
        let client = &client;
        async move {
            let request = match number % 3 {
                0 => client.tus(Method::HEAD, &upload),
                1 => client.tus(Method::DELETE, &upload),
                _ => client.patch(&upload, 1, "elsewhere"),
            };
            soon(request.send())
                .await
                .expect("an answer")
                .status()
                .as_u16()
        }
    });
    let answers = futures_util::future::join_all(answers).await;
    for (number, ((id, _stream), status)) in uploads.iter().zip(answers).enumerate() {
        match number % 3 {
            0 => assert_eq!(status, 200),
            1 => assert_eq!(status, 204),
            _ => assert_eq!(status, 409),
        }
        if number % 3 != 1 {
            let offset = soon(client.offset(id)).await;
            assert!((1024 * 1024..=SENT as u64).contains(&offset), "{offset}");
        }
    }
}
