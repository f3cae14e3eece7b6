//! Finish of a recording in S3, killed at each request to the store: before the store receives it, and after it
//! processed it. The server resumes after a restart, and the stored bytes are the same.

use std::process::Stdio;
use std::time::Duration;

use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::process::Process;
use crate::support::seaweedfs::seaweedfs;
use crate::support::store::s3_server;
use crate::support::streams::finished;
use crate::support::{TestServer, chromium_webm};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

/// More than one part of 8 MiB: the first is held back, the second is the incomplete last one.
const SIZE: usize = 9 * 1024 * 1024;
/// Number of bytes sent with the end.
const REST: usize = 1000;
/// Upper bound of requests for a finish of this few parts.
const MOST: u64 = 20;

/// Starts the real program on the data of `server`, which is stopped, and redirects `server`'s clients to it.
fn start(server: &mut TestServer) -> Process {
    let process = Process::start(server.program().stderr(Stdio::null()), None);
    server.url.clone_from(&process.url);
    process
}

/// A real recording, padded to this size by an element that players skip.
fn recording() -> Vec<u8> {
    /// Void element with an eight-byte size, in the last cluster.
    const VOID: [u8; 2] = [0xEC, 0x01];
    let mut bytes = chromium_webm();
    let payload = SIZE - bytes.len() - 9;
    bytes.extend(VOID);
    bytes.extend(&(payload as u64).to_be_bytes()[1..]);
    let mut state = 1_u32;
    bytes.extend((0..payload).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    }));
    bytes
}

/// Kills the server at the `n`th request of a finish. Returns `false` if the finish has fewer requests.
async fn finish_killed_at(n: u64, fault: Fault, stream: &[u8]) -> bool {
    let proxy = FaultProxy::start(&seaweedfs().endpoint, |_, _| Fault::None).await;
    let mut server = s3_server(&proxy.endpoint, &[]).await;
    server.stop().await;
    let program = start(&mut server);
    let client = server.admin().await;
    let (id, _) = client.start_recording().await;
    let upload = format!("/api/uploads/{id}");
    let end = stream.len() - REST;
    let answer = client.patch(&upload, 0, stream[..end].to_vec()).send();
    assert_eq!(answer.await.expect("an answer").status(), 204);

    let (reached, mut reaching) = mpsc::unbounded_channel();
    let mut count = 0;
    proxy.plan(move |_, _| {
        count += 1;
        // The retry after a lost answer shows that the store processed the request.
        if count == n + u64::from(fault == Fault::CutAfter) {
            let _ = reached.send(());
        }
        match count.cmp(&n) {
            std::cmp::Ordering::Less => Fault::None,
            std::cmp::Ordering::Equal => fault,
            std::cmp::Ordering::Greater => Fault::CutBefore,
        }
    });
    let last = client
        .patch(&upload, end as u64, stream[end..].to_vec())
        .header("Upload-Length", stream.len())
        .send();
    let met = tokio::select! {
        // Checked first: on a slow machine the failed request may also be answered.
        biased;
        _ = reaching.recv() => true,
        answer = last => {
            assert_eq!(answer.expect("an answer").status(), 204);
            false
        }
    };
    drop(program);
    proxy.plan(|_, _| Fault::None);

    let _program = start(&mut server);
    let client = server.admin().await;
    let mut row = client.recording(&id).await;
    for _ in 0..600 {
        if row["completed_at"].is_string() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        row = client.recording(&id).await;
        // Killed before the end was stored, the recording still grows; its sender sends the end again.
        if row["status"] == "recording" || row["status"] == "uploading" {
            let at = client.offset(&id).await;
            let rest = stream[usize::try_from(at).expect("small")..].to_vec();
            let again = client
                .patch(&upload, at, rest)
                .header("Upload-Length", stream.len());
            let _ = again.send().await;
        }
    }
    assert_eq!(row["status"], "ready", "{fault:?} of request {n}: {row}");
    let stored = client.get(&format!("/api/recordings/{id}/download")).send();
    let stored = stored.await.expect("an answer").bytes().await;
    assert!(
        stored.expect("a body") == finished(stream),
        "{fault:?} of request {n}: bytes differ"
    );
    met
}

#[tokio::test(flavor = "multi_thread")]
async fn finish_killed_at_any_store_request_resumes() {
    let stream = recording();
    for fault in [Fault::CutBefore, Fault::CutAfter] {
        let met = futures_util::stream::iter(1..=MOST)
            .map(|n| finish_killed_at(n, fault, &stream))
            .buffered(4)
            .take_while(|&met| std::future::ready(met))
            .count()
            .await as u64;
        assert!(
            (3..MOST).contains(&met),
            "{met} requests: a part, the first part, and the completion at least"
        );
    }
}
