//! What is different in Azure: multipart uploads have no name there, and end by themselves only after a week.

use super::*;
use crate::config::AzureStorageConfig;
use crate::storage::BucketLocation;

/// Nothing of a deleted recording stays in the store: its blocks are discarded, so that nobody can make a blob of
/// them any more.
#[tokio::test]
async fn blocks_are_discarded_with_their_recording() -> Checked {
    let mut bench = Bench::azure();
    let stream = stream(3 * PART);
    let writer = bench.grown("given-up", &stream, &[]).await?;
    bench.quiesce("given-up", immutable(3 * PART)).await;
    let state = bench
        .location()
        .common()
        .staging
        .join("given-up/state.json");
    let state = std::fs::read(state).expect("a state");
    let state: serde_json::Value = serde_json::from_slice(&state).expect("JSON");
    let parts: Vec<_> = state["parts"]
        .as_object()
        .expect("parts")
        .values()
        .collect();
    let parts: Vec<String> = parts
        .iter()
        .map(|part| part.as_str().unwrap_or_default().to_owned())
        .collect();
    assert!(!parts.is_empty(), "{state}");
    drop(writer);
    let path = bench.storage.growing_path("given-up");
    bench.storage.delete(&path).await?;

    let key = bench.storage.finished_path("given-up", "webm");
    let (remote, key) = (bench.remote(), key.as_str().into());
    let error = remote
        .complete(&key, "", parts)
        .await
        .expect_err("no blocks");
    assert!(
        format!("{error:?}").contains("InvalidBlockList"),
        "{error:?}"
    );
    let left: Vec<Stored> = bench.storage.list().try_collect().await?;
    assert!(left.is_empty(), "{left:?}");
    Ok(())
}

/// Blocks that nobody made a blob of for a week are gone, and the recording with them.
#[tokio::test]
async fn blocks_that_are_gone() -> Checked {
    let mut bench = Bench::azure();
    let stream = stream(3 * PART);
    let writer = bench.grown("gone", &stream, &[]).await?;
    bench.quiesce("gone", immutable(3 * PART)).await;
    let key = bench.storage.finished_path("gone", "webm");
    bench
        .remote()
        .abort(&key.as_str().into(), "")
        .await
        .expect("given up");
    let keep = HEAD_ROOM + 3 * PART;
    match writer.finish(finishing(keep, 0)).await {
        Err(StorageError::Lost(error)) => {
            assert!(error.to_string().contains("InvalidBlockList"), "{error}");
        }
        other => panic!("parts are lost: {other:?}"),
    }
    Ok(())
}

/// Giving up what is complete already harms nothing.
#[tokio::test]
async fn a_recording_outlives_giving_its_upload_up() -> Checked {
    let mut bench = Bench::azure();
    let stream = stream(1000);
    let writer = bench.grown("complete", &stream, &[]).await?;
    writer.finish(finishing(HEAD_ROOM + 1000, 0)).await?;
    let path = bench.storage.finished_path("complete", "webm");
    bench
        .remote()
        .abort(&path.as_str().into(), "")
        .await
        .expect("harmless");
    assert!(bench.object(&path).await? == expected(&stream, 0, 0));
    Ok(())
}

/// A blob is what its name says, to those who read it there; blocks are committed without saying so.
#[tokio::test]
async fn a_blob_has_its_type() -> Checked {
    let mut bench = Bench::azure();
    let stream = stream(2 * PART);
    let writer = bench.grown("typed", &stream, &[]).await?;
    bench.quiesce("typed", immutable(2 * PART)).await;
    writer.finish(finishing(HEAD_ROOM + 2 * PART, 0)).await?;
    let path = bench.storage.finished_path("typed", "webm");
    let told = bench.remote().content_type(&path.as_str().into()).await;
    assert_eq!(told.expect("a blob").as_deref(), Some("video/webm"));
    Ok(())
}

/// The start says what is wrong, in the words of whoever set it up.
#[tokio::test]
async fn what_the_probe_says() {
    let told = async |change: fn(&mut AzureStorageConfig)| {
        let mut bench = Bench::azure();
        if let Kind::Bucket(location) = &mut bench.kind
            && let BucketLocation::Azure(config) = &mut **location
        {
            change(config);
        }
        bench.crash();
        match bench.storage.probe().await {
            Err(StorageError::Io(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let said = told(|config| config.container = "nowhere".to_owned()).await;
    assert!(said.contains("SORTIE_RECORDING_AZURE_CONTAINER"), "{said}");
    assert!(said.contains("create it"), "{said}");
    let said = told(|config| {
        let wrong = "d3Jvbmc=".to_owned().into();
        config
            .credentials
            .insert("AZURE_STORAGE_ACCOUNT_KEY", wrong);
    })
    .await;
    assert!(said.contains("check AZURE_STORAGE_ACCOUNT_KEY"), "{said}");
    // Nobody listens on the discard port.
    let said = told(|config| config.endpoint = Some("http://127.0.0.1:9".to_owned())).await;
    assert!(said.contains("AZURE_STORAGE_ENDPOINT"), "{said}");
    assert!(said.contains("cannot be reached"), "{said}");
}
