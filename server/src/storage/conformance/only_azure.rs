//! Differences of Azure: multipart uploads have no id, and uncommitted blocks expire after a week.

use super::*;
use crate::config::AzureStorageConfig;
use crate::storage::BucketLocation;

/// A deletion discards the uncommitted blocks of a recording, so that no blob can be committed from them.
#[tokio::test]
async fn deletion_discards_uncommitted_blocks() -> Checked {
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

/// Uncommitted blocks that Azure removed after a week make the recording lost.
#[tokio::test]
async fn expired_blocks_are_reported_as_lost() -> Checked {
    let mut bench = Bench::azure();
    let stream = stream(3 * PART);
    let writer = bench.grown("gone", &stream, &[]).await?;
    bench.quiesce("gone", immutable(3 * PART)).await;
    let key = bench.storage.finished_path("gone", "webm");
    bench
        .remote()
        .abort(&key.as_str().into(), "")
        .await
        .expect("aborted");
    let keep = HEAD_ROOM + 3 * PART;
    match writer.finish(finishing(keep, 0)).await {
        Err(StorageError::Lost(error)) => {
            assert!(error.to_string().contains("InvalidBlockList"), "{error}");
        }
        other => panic!("parts are lost: {other:?}"),
    }
    Ok(())
}

/// Aborting the upload of a complete recording does not change it.
#[tokio::test]
async fn abort_after_completion_keeps_the_recording() -> Checked {
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

/// The content type follows from the name: block lists are committed without attributes.
#[tokio::test]
async fn blob_has_the_content_type_of_its_name() -> Checked {
    let mut bench = Bench::azure();
    let stream = stream(2 * PART);
    let writer = bench.grown("typed", &stream, &[]).await?;
    bench.quiesce("typed", immutable(2 * PART)).await;
    writer.finish(finishing(HEAD_ROOM + 2 * PART, 0)).await?;
    let path = bench.storage.finished_path("typed", "webm");
    let content_type = bench.remote().content_type(&path.as_str().into()).await;
    assert_eq!(content_type.expect("a blob").as_deref(), Some("video/webm"));
    Ok(())
}

/// The startup check names the setting to correct.
#[tokio::test]
async fn probe_names_the_setting_to_correct() {
    let probe = async |change: fn(&mut AzureStorageConfig)| {
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
    let message = probe(|config| config.container = "nowhere".to_owned()).await;
    assert!(
        message.contains("SORTIE_RECORDING_AZURE_CONTAINER"),
        "{message}"
    );
    assert!(message.contains("create it"), "{message}");
    let message = probe(|config| {
        let wrong = "d3Jvbmc=".to_owned().into();
        config
            .credentials
            .insert("AZURE_STORAGE_ACCOUNT_KEY", wrong);
    })
    .await;
    assert!(
        message.contains("check AZURE_STORAGE_ACCOUNT_KEY"),
        "{message}"
    );
    // No server listens on the discard port.
    let message = probe(|config| config.endpoint = Some("http://127.0.0.1:9".to_owned())).await;
    assert!(message.contains("AZURE_STORAGE_ENDPOINT"), "{message}");
    assert!(message.contains("cannot be reached"), "{message}");
}
