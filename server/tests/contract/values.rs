//! The chart's values, to the letter.

use crate::file;

/// As contract and platform have them.
const RECORDING: &str = r#"recording:
  enabled: false
  storageBackend: "local"    # "local" or "s3"
  storagePath: "/data/recordings"
  maxSizeMB: 500
  retentionDays: 0           # 0 = keep forever
  s3:
    bucket: ""
    region: "us-east-1"
    endpoint: ""
    prefix: "recordings/"
"#;

/// What each of them becomes.
const VARIABLES: [(&str, &str); 9] = [
    ("recording.enabled", "SORTIE_VIDEO_RECORDING_ENABLED"),
    (
        "recording.storageBackend",
        "SORTIE_RECORDING_STORAGE_BACKEND",
    ),
    ("recording.storagePath", "SORTIE_RECORDING_STORAGE_PATH"),
    ("recording.maxSizeMB", "SORTIE_RECORDING_MAX_SIZE_MB"),
    ("recording.retentionDays", "SORTIE_RECORDING_RETENTION_DAYS"),
    ("recording.s3.bucket", "SORTIE_RECORDING_S3_BUCKET"),
    ("recording.s3.region", "SORTIE_RECORDING_S3_REGION"),
    ("recording.s3.endpoint", "SORTIE_RECORDING_S3_ENDPOINT"),
    ("recording.s3.prefix", "SORTIE_RECORDING_S3_PREFIX"),
];

#[test]
fn the_values_are_those_of_the_platform() {
    let values = file("deploy/helm/sortie-recording/values.yaml");
    assert!(values.contains(RECORDING));
}

/// That they arrive in the rendered chart is what `tests/deploy/chart_test.py` looks at.
#[test]
fn every_value_is_used() {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/helm/sortie-recording/templates"
    );
    let mut templates = String::new();
    for entry in std::fs::read_dir(folder).expect("templates") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            templates += &std::fs::read_to_string(path).expect("text");
        }
    }
    for (value, variable) in VARIABLES {
        assert!(
            templates.contains(variable),
            "{value}: {variable} is not set"
        );
        let last = value.rsplit('.').next().unwrap_or_default();
        assert!(
            templates.contains(&format!(".{last}")),
            "{value} is not used"
        );
    }
    assert!(templates.contains("mountPath: {{ .Values.recording.storagePath"));
}
