//! The whole server with recordings in Azure Blob Storage, behind an unreliable network.

use crate::support::TestServer;
use crate::support::azurite::{ACCOUNT, CONTAINER, KEY, azurite};
use crate::support::fault_proxy::{Fault, FaultProxy};
use crate::support::store::{
    MIB, check_bad_day, check_deletion, check_failed, check_life, check_lost_completion,
    check_restarts, run_until_ready, wait_until_confirmed,
};
use crate::support::streams::{large_webm, send};

/// Starts a server that stores recordings at this endpoint, under a unique prefix.
async fn server(endpoint: &str, more: &[(&str, &str)]) -> TestServer {
    let prefix = uuid::Uuid::new_v4().simple().to_string();
    let variables = [
        ("SORTIE_RECORDING_STORAGE_BACKEND", "azure"),
        ("SORTIE_RECORDING_AZURE_CONTAINER", CONTAINER),
        ("SORTIE_RECORDING_AZURE_PREFIX", &prefix),
        ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
        ("AZURE_STORAGE_ACCOUNT_KEY", KEY),
        ("AZURE_STORAGE_ENDPOINT", endpoint),
    ];
    // The last value of a name takes precedence.
    TestServer::with(&[&variables, more].concat()).await
}

/// A proxy in front of Azurite, and its endpoint.
async fn proxy() -> (FaultProxy, String) {
    let proxy = FaultProxy::start(&azurite().origin(), |_, _| Fault::None).await;
    let endpoint = format!("{}/{ACCOUNT}", proxy.endpoint);
    (proxy, endpoint)
}

#[tokio::test]
async fn recording_is_stored_served_and_deleted() {
    let server = server(&azurite().endpoint, &[]).await;
    check_life(&server, "azure").await;
}

#[tokio::test]
async fn upload_keeps_its_blocks_after_a_restart() {
    let (proxy, endpoint) = proxy().await;
    let mut server = server(&endpoint, &[]).await;
    let id = check_restarts(&mut server).await;
    let blob = format!("/{id}.webm");
    let lists = |(line, _): &(String, Fault)| line.contains(&blob) && line.contains("=blocklist");
    assert_eq!(proxy.log().iter().filter(|&entry| lists(entry)).count(), 1);
}

#[tokio::test]
async fn store_faults_lose_no_byte() {
    let (proxy, endpoint) = proxy().await;
    let server = server(&endpoint, &[]).await;
    check_bad_day(&proxy, &server).await;
}

/// The commit succeeds and its answer is lost. A retry no longer finds the blocks, as they belong to a blob.
#[tokio::test]
async fn lost_answer_to_the_completion_is_tolerated() {
    let (proxy, endpoint) = proxy().await;
    let server = server(&endpoint, &[]).await;
    let completes = |line: &str| line.contains("comp=blocklist");
    check_lost_completion(&proxy, &server, completes).await;
}

/// Lost blocks: the recording fails with a reason and can be deleted.
#[tokio::test]
async fn lost_blocks_fail_the_recording() {
    let (proxy, endpoint) = proxy().await;
    let sqlite = [("SORTIE_DB_TYPE", "sqlite")];
    let server = server(&endpoint, &sqlite).await;
    let client = server.admin().await;
    let stream = large_webm(20 * MIB);
    let (id, _) = client.start_recording().await;
    send(&client, &id, &stream, 0, 19 * MIB, 4 * MIB).await;
    wait_until_confirmed(&server, &id, 1).await;
    proxy.plan(|_, line| {
        if line.contains("comp=blocklist") {
            Fault::Refused("InvalidBlockList")
        } else {
            Fault::None
        }
    });
    send(&client, &id, &stream, 19 * MIB, stream.len(), 4 * MIB).await;
    check_failed(&client, &id).await;
    proxy.plan(|_, _| Fault::None);
    check_deletion(&client, &id).await;
    let staging = server.database_file().with_file_name("staging");
    assert!(!staging.join(&id).exists());
}

#[test]
fn missing_container_stops_the_start() {
    let said = run_until_ready(&[
        ("SORTIE_RECORDING_STORAGE_BACKEND", "azure"),
        ("SORTIE_RECORDING_AZURE_CONTAINER", "nowhere"),
        ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT),
        ("AZURE_STORAGE_ACCOUNT_KEY", KEY),
        ("AZURE_STORAGE_ENDPOINT", &azurite().endpoint),
    ]);
    assert!(!said.contains("listens on"), "{said}");
    assert!(said.contains("cannot use the bucket nowhere"), "{said}");
    assert!(said.contains("SORTIE_RECORDING_AZURE_CONTAINER"), "{said}");
}
