//! Slow, idle and excess connections, over raw sockets.

use std::time::Duration;

use crate::socket::{FOREVER, connect, rest, until};
use crate::support::TestServer;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn slow_heads_are_cut_off_while_others_are_served() {
    let server = TestServer::with(&[("SORTIE_HEADER_SECONDS", "3")]).await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = connect(&server).await;
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n")
            .await
            .expect("sent");
        slow.push(stream);
    }
    // The time limit applies to the whole head, so sending a byte at a time does not extend it.
    let trickle = async {
        for number in 0.. {
            for stream in &mut slow {
                let line = format!("X-{number}: a\r\n");
                if stream.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let served = server
        .anonymous()
        .get("/healthz")
        .send()
        .await
        .expect("an answer");
    assert!(served.status().is_success());
    tokio::time::timeout(FOREVER, trickle)
        .await
        .expect("the slow connections are cut off");
}

#[tokio::test]
async fn idle_connection_is_closed() {
    let server = TestServer::with(&[("SORTIE_HEADER_SECONDS", "3")]).await;
    let mut stream = connect(&server).await;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .expect("sent");
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
    // The connection was kept open for a next request.
    assert!(
        !answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );
}

#[tokio::test]
async fn too_large_head_is_refused() {
    let server = TestServer::start().await;
    for (bytes, status) in [
        (12_000, "HTTP/1.1 2"),
        (20_000, "HTTP/1.1 431"),
        (1_000_000, "HTTP/1.1 431"),
    ] {
        let mut stream = connect(&server).await;
        let head = format!(
            "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Large: {}\r\n\r\n",
            "a".repeat(bytes)
        );
        // The refusal may arrive before the whole head is sent.
        let _ = stream.write_all(head.as_bytes()).await;
        let answer = rest(&mut stream).await;
        // A reset discards the answer if much of the request was unread.
        assert!(
            answer.starts_with(status) || (bytes == 1_000_000 && answer.is_empty()),
            "{bytes}: {answer}"
        );
    }
}

#[tokio::test]
async fn silent_upload_keeps_received_bytes() {
    let server = TestServer::with(&[("SORTIE_BODY_SILENCE_SECONDS", "1")]).await;
    let user = server.admin().await;
    let upload = user.create_upload(&[("Upload-Defer-Length", "1")]).await;
    let token = user.token.clone().unwrap_or_default();
    let mut stream = connect(&server).await;
    let head = format!(
        "PATCH {upload} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nTus-Resumable: 1.0.0\r\n\
         Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\nContent-Length: 1000000\r\n\r\n"
    );
    // Sent in one write, so that no silence occurs in between.
    let request = [head.as_bytes(), &[7; 1000]].concat();
    stream.write_all(&request).await.expect("sent");
    let answer = until(&mut stream, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let id = upload.rsplit('/').next().unwrap_or_default();
    assert_eq!(user.offset(id).await, 1000);
}

#[tokio::test]
async fn slow_upload_is_not_cut_off() {
    let server = TestServer::with(&[
        ("SORTIE_BODY_SILENCE_SECONDS", "4"),
        ("SORTIE_HEADER_SECONDS", "3"),
    ])
    .await;
    let user = server.admin().await;
    let upload = user.create_upload(&[("Upload-Length", "12")]).await;
    let token = user.token.clone().unwrap_or_default();
    let mut stream = connect(&server).await;
    let head = format!(
        "PATCH {upload} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nTus-Resumable: 1.0.0\r\n\
         Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\nContent-Length: 12\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    // Takes 1.5 times the silence limit, with pauses far below it.
    for byte in 0..12_u8 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        stream.write_all(&[byte]).await.expect("sent");
    }
    let answer = until(&mut stream, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert!(
        answer.to_lowercase().contains("upload-offset: 12\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn silent_json_body_is_refused() {
    let server = TestServer::with(&[("SORTIE_BODY_SILENCE_SECONDS", "1")]).await;
    let mut stream = connect(&server).await;
    let head = b"POST /api/auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    stream.write_all(head).await.expect("sent");
    let answer = until(&mut stream, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
}

#[tokio::test]
async fn excess_connections_wait_for_a_permit() {
    let server = TestServer::with(&[
        ("SORTIE_MAX_CONNECTIONS", "2"),
        ("SORTIE_HEADER_SECONDS", "1"),
    ])
    .await;
    // Two silent connections use both permits.
    let _first = connect(&server).await;
    let _second = connect(&server).await;
    let mut third = connect(&server).await;
    third
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .expect("sent");
    // Served after a silent connection is closed.
    let answer = until(&mut third, "\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
}

#[tokio::test]
async fn shutdown_completes_the_request_in_flight() {
    let mut server = TestServer::start().await;
    let user = server.admin().await;
    let upload = user.create_upload(&[("Upload-Length", "4")]).await;
    let token = user.token.clone().unwrap_or_default();
    let mut stream = connect(&server).await;
    let mut idle = connect(&server).await;
    let head = format!(
        "PATCH {upload} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nTus-Resumable: 1.0.0\r\n\
         Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\nContent-Length: 4\r\n\
         Expect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    // The server is reading the body.
    until(&mut stream, "100 Continue\r\n\r\n").await;
    let sending = async {
        // The idle connection is closed immediately.
        assert_eq!(rest(&mut idle).await, "");
        stream.write_all(b"abcd").await.expect("sent");
        rest(&mut stream).await
    };
    let (answer, ()) = tokio::join!(sending, server.restart());
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
}
