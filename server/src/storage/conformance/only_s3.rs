//! What only a store can do to a recording.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::fault_proxy::{Fault, FaultProxy};
use super::seaweedfs::{ADMIN, READER, seaweedfs};
use super::*;
use crate::config::{S3Key, S3StorageConfig};
use crate::storage::BucketLocation;
use crate::storage::bucket::{ListedUpload, Remote};

async fn uploads_of(remote: &Arc<Remote>, prefix: &str) -> Vec<ListedUpload> {
    let uploads = Remote::uploads(Arc::clone(remote), prefix);
    uploads.try_collect().await.expect("a list")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        std::fs::copy(&path, to.join(name)).expect("a copy");
    }
}

fn staging(bench: &Bench, id: &str) -> std::path::PathBuf {
    bench.location().common().staging.join(id)
}

/// The process dies while it finishes, and again behind the end: it is done again, and nothing is lost.
#[tokio::test]
async fn finishing_is_taken_up_wherever_it_was() -> Checked {
    for length in [5000, TWO_PARTS + 5000] {
        let mut bench = Bench::s3();
        let (id, stream) = ("again", stream(length));
        let keep = HEAD_ROOM + length - 100;
        let writer = bench.grown(id, &stream, &[]).await?;
        bench.quiesce(id, immutable(length)).await;
        // Dropped where it first waits; the blocking work behind it goes on.
        let finish = writer.finish(finishing(keep, 777));
        let _ = tokio::time::timeout(Duration::ZERO, finish).await;

        let writer = bench.storage.reopen(id).await?.writer;
        drop(writer);
        let kept = bench.folder.path().join("kept");
        copy(&staging(&bench, id), &kept);
        let writer = bench.storage.reopen(id).await?.writer;
        writer.finish(finishing(keep, 777)).await?;
        // The store has it, but nobody was told.
        bench.crash();
        copy(&kept, &staging(&bench, id));
        let writer = bench.storage.reopen(id).await?.writer;
        bench.finished(id, writer, &stream, 100, 777).await?;
    }
    Ok(())
}

/// Nothing of a deleted recording stays in the store.
#[tokio::test]
async fn an_upload_is_given_up_with_its_recording() -> Checked {
    let mut bench = Bench::s3();
    let (remote, prefix) = (bench.remote(), bench.location().common().prefix.clone());
    let stream = stream(3 * PART);
    let writer = bench.grown("given-up", &stream, &[]).await?;
    bench.quiesce("given-up", immutable(3 * PART)).await;
    let uploads = uploads_of(&remote, &prefix).await;
    assert_eq!(uploads.len(), 1, "{uploads:?}");
    assert_eq!(uploads[0].key, format!("{prefix}given-up.webm"));
    drop(writer);
    let path = bench.storage.growing_path("given-up");
    bench.storage.delete(&path).await?;
    let uploads = uploads_of(&remote, &prefix).await;
    assert!(uploads.is_empty(), "{uploads:?}");
    Ok(())
}

/// Somebody gave the upload up: without parts in it another is begun, with parts it is said.
#[tokio::test]
async fn an_upload_that_is_gone() -> Checked {
    let mut bench = Bench::s3();
    let (remote, prefix) = (bench.remote(), bench.location().common().prefix.clone());
    let stream = stream(3 * PART);
    let writer = bench.grown("gone", &stream, &[]).await?;
    bench.quiesce("gone", immutable(3 * PART)).await;
    for upload in uploads_of(&remote, &prefix).await {
        remote
            .abort(&upload.key.as_str().into(), &upload.upload_id)
            .await
            .expect("given up");
    }
    let keep = HEAD_ROOM + 3 * PART;
    let Err(StorageError::Lost(error)) = writer.finish(finishing(keep, 0)).await else {
        panic!("parts are lost");
    };
    assert!(error.to_string().contains("lifecycle"), "{error}");
    Ok(())
}

/// The store has made the object of the parts, the answer was lost, and for a moment nobody sees it: as long as that may
/// come, nothing is lost.
#[tokio::test]
async fn what_was_asked_for_before_appears_later() -> Checked {
    let proxy = FaultProxy::start(&seaweedfs().endpoint, |_, _| Fault::None).await;
    let mut bench = Bench::s3_at(&proxy.endpoint);
    let stream = stream(3 * PART);
    let writer = bench.grown("later", &stream, &[]).await?;
    bench.quiesce("later", immutable(3 * PART)).await;
    let (mut asked, mut hidden) = (false, 2);
    proxy.plan(move |_, request| match request.split(' ').next() {
        Some("POST") if !asked => {
            asked = true;
            Fault::CutAfter
        }
        // Not every store answers the same again.
        Some("POST") => Fault::Status(404),
        Some("HEAD") if asked && hidden > 0 => {
            hidden -= 1;
            Fault::Status(404)
        }
        _ => Fault::None,
    });
    bench.finished("later", writer, &stream, 0, 0).await?;
    Ok(())
}

/// object_store keeps statuses to itself, and they are read out of its words. Should an update change those, this fails.
#[tokio::test]
async fn what_a_store_refuses_is_understood_and_not_asked_again() -> Checked {
    let proxy = FaultProxy::start(&seaweedfs().endpoint, |_, _| Fault::None).await;
    let mut bench = Bench::s3_at(&proxy.endpoint);
    let refused = Fault::Refused("EntityTooLarge");
    proxy.plan(move |_, _| refused);
    let (remote, key) = (bench.remote(), "refused".into());
    let put = remote.put(&key, "too large".into(), "text/plain").await;
    let words = put.expect_err("it is refused").to_string();
    assert!(words.contains("status code: 400"), "{words}");
    assert_eq!(proxy.log().len(), 1, "{words}");

    proxy.plan(|_, _| Fault::None);
    let writer = bench.grown("refused", &stream(1000), &[]).await?;
    proxy.plan(move |_, _| refused);
    let finished = writer.finish(finishing(HEAD_ROOM + 1000, 0)).await;
    assert!(
        matches!(finished, Err(StorageError::Full(_))),
        "{:?}",
        finished.err()
    );
    Ok(())
}

#[tokio::test]
async fn presigned_url_needs_no_credentials() -> Checked {
    let mut bench = Bench::s3();
    let stream = stream(1000);
    let writer = bench.grown("signed", &stream, &[]).await?;
    writer.finish(finishing(HEAD_ROOM + 1000, 0)).await?;
    let presigned = crate::storage::Presigned {
        content_disposition: "attachment; filename=\"a b.webm\"",
        content_type: "video/webm",
        expires_in: Duration::from_secs(60),
    };
    let path = bench.storage.finished_path("signed", "webm");
    let presigner = bench.storage.presigner().expect("presigned downloads");
    let url = presigner.presigned(&path, presigned).await?;
    let answer = reqwest::get(url).await.expect("an answer");
    let header = |name: &str| {
        answer.headers()[name]
            .to_str()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(
        header("content-disposition"),
        "attachment; filename=\"a b.webm\""
    );
    assert_eq!(header("content-type"), "video/webm");
    let bytes = answer.bytes().await.expect("a body");
    assert!(bytes == expected(&stream, 0, 0));
    Ok(())
}

/// The start says what is wrong, in the words of whoever set it up.
#[tokio::test]
async fn what_the_probe_says() {
    let change = |change: fn(&mut S3StorageConfig)| async move {
        let mut bench = Bench::s3();
        if let Kind::Bucket(location) = &mut bench.kind
            && let BucketLocation::S3(config) = &mut **location
        {
            change(config);
        }
        bench.crash();
        match bench.storage.probe().await {
            Err(StorageError::Io(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let told = change(|config| {
        config.credentials = Some(S3Key {
            access_key_id: READER.0.to_owned(),
            secret_access_key: READER.1.to_owned().into(),
            session_token: None,
        });
    })
    .await;
    assert!(
        told.contains("s3:PutObject on arn:aws:s3:::sortie/"),
        "{told}"
    );
    let told = change(|config| {
        config.credentials = Some(S3Key {
            access_key_id: ADMIN.0.to_owned(),
            secret_access_key: "wrong".to_owned().into(),
            session_token: None,
        });
    })
    .await;
    assert!(told.contains("AWS_SECRET_ACCESS_KEY"), "{told}");
    let told = change(|config| {
        config.credentials = Some(S3Key {
            access_key_id: "nobody".to_owned(),
            secret_access_key: "wrong".to_owned().into(),
            session_token: None,
        });
    })
    .await;
    assert!(told.contains("AWS_ACCESS_KEY_ID"), "{told}");
}
