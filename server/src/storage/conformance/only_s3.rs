//! Faults and features of S3 stores.

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

/// A crash during the finish, and one after it: the repeated finish loses nothing.
#[tokio::test]
async fn interrupted_finish_is_resumed() -> Checked {
    for length in [5000, TWO_PARTS + 5000] {
        let mut bench = Bench::s3();
        let (id, stream) = ("again", stream(length));
        let keep = HEAD_ROOM + length - 100;
        let writer = bench.grown(id, &stream, &[]).await?;
        bench.quiesce(id, immutable(length)).await;
        // Dropped at its first wait; its blocking work continues.
        let finish = writer.finish(finishing(keep, 777));
        let _ = tokio::time::timeout(Duration::ZERO, finish).await;

        let writer = bench.storage.reopen(id).await?.writer;
        drop(writer);
        let kept = bench.folder.path().join("kept");
        copy(&staging(&bench, id), &kept);
        let writer = bench.storage.reopen(id).await?.writer;
        writer.finish(finishing(keep, 777)).await?;
        // The store has the object, but the process died before it recorded that.
        bench.crash();
        copy(&kept, &staging(&bench, id));
        let writer = bench.storage.reopen(id).await?.writer;
        bench.finished(id, writer, &stream, 100, 777).await?;
    }
    Ok(())
}

/// A deletion aborts the multipart upload of its recording.
#[tokio::test]
async fn deletion_aborts_the_multipart_upload() -> Checked {
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

/// A multipart upload with parts that something else aborted makes the recording lost.
#[tokio::test]
async fn aborted_upload_is_reported_as_lost() -> Checked {
    let mut bench = Bench::s3();
    let (remote, prefix) = (bench.remote(), bench.location().common().prefix.clone());
    let stream = stream(3 * PART);
    let writer = bench.grown("gone", &stream, &[]).await?;
    bench.quiesce("gone", immutable(3 * PART)).await;
    for upload in uploads_of(&remote, &prefix).await {
        remote
            .abort(&upload.key.as_str().into(), &upload.upload_id)
            .await
            .expect("aborted");
    }
    let keep = HEAD_ROOM + 3 * PART;
    let Err(StorageError::Lost(error)) = writer.finish(finishing(keep, 0)).await else {
        panic!("parts are lost");
    };
    assert!(error.to_string().contains("lifecycle"), "{error}");
    Ok(())
}

/// The store has completed the upload, the response was lost, and the object appears only later. No byte is lost.
#[tokio::test]
async fn object_that_appears_late_completes_the_finish() -> Checked {
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
        // Some stores answer 404 to a repeated request.
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

/// Statuses are parsed from the error texts of object_store. This fails if an update changes them.
#[tokio::test]
async fn refused_write_is_not_retried() -> Checked {
    let proxy = FaultProxy::start(&seaweedfs().endpoint, |_, _| Fault::None).await;
    let mut bench = Bench::s3_at(&proxy.endpoint);
    let refused = Fault::Refused("EntityTooLarge");
    proxy.plan(move |_, _| refused);
    let (remote, key) = (bench.remote(), "refused".into());
    let put = remote.put(&key, "too large".into(), "text/plain").await;
    let words = put.expect_err("a refusal").to_string();
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

/// The startup check names the setting to correct.
#[tokio::test]
async fn probe_names_the_setting_to_correct() {
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
    let message = change(|config| {
        config.credentials = Some(S3Key {
            access_key_id: READER.0.to_owned(),
            secret_access_key: READER.1.to_owned().into(),
            session_token: None,
        });
    })
    .await;
    assert!(
        message.contains("s3:PutObject on arn:aws:s3:::sortie/"),
        "{message}"
    );
    let message = change(|config| {
        config.credentials = Some(S3Key {
            access_key_id: ADMIN.0.to_owned(),
            secret_access_key: "wrong".to_owned().into(),
            session_token: None,
        });
    })
    .await;
    assert!(message.contains("AWS_SECRET_ACCESS_KEY"), "{message}");
    let message = change(|config| {
        config.credentials = Some(S3Key {
            access_key_id: "unknown".to_owned(),
            secret_access_key: "wrong".to_owned().into(),
            session_token: None,
        });
    })
    .await;
    assert!(message.contains("AWS_ACCESS_KEY_ID"), "{message}");
}
