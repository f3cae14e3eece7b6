//! Recording as ffprobe reads it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Video file that ffprobe has decoded completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clip {
    pub width: u64,
    pub height: u64,
    pub frames: u64,
    pub duration_ms: u64,
}

impl Clip {
    /// Decodes a file.
    ///
    /// # Errors
    /// ffprobe reports a warning or an error.
    pub fn read(path: &Path) -> Result<Self> {
        let output = Command::new("ffprobe")
            .args([
                "-v",
                "warning",
                "-count_frames",
                "-select_streams",
                "v:0",
                "-of",
                "json",
            ])
            .args([
                "-show_entries",
                "stream=width,height,nb_read_frames:format=duration",
            ])
            .arg(path)
            .output()
            .context("ffprobe cannot be started")?;
        let complaints = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() || !complaints.trim().is_empty() {
            bail!("{}: ffprobe says: {}", path.display(), complaints.trim());
        }
        Self::from_json(&serde_json::from_slice(&output.stdout)?)
            .with_context(|| format!("{}: it has no video with frames", path.display()))
    }

    fn from_json(probed: &Value) -> Option<Self> {
        let stream = &probed["streams"][0];
        let duration = probed["format"]["duration"].as_str()?;
        let (seconds, fraction) = duration.split_once('.')?;
        let ms: u64 = fraction.get(..3)?.parse().ok()?;
        Some(Self {
            width: stream["width"].as_u64()?,
            height: stream["height"].as_u64()?,
            frames: stream["nb_read_frames"].as_str()?.parse().ok()?,
            duration_ms: seconds.parse::<u64>().ok()? * 1000 + ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ffprobe_output_is_parsed() {
        let probed = json!({
            "streams": [{"width": 640, "height": 480, "nb_read_frames": "151"}],
            "format": {"duration": "5.033000"}
        });
        let clip = Clip {
            width: 640,
            height: 480,
            frames: 151,
            duration_ms: 5033,
        };
        assert_eq!(Clip::from_json(&probed), Some(clip));
        assert_eq!(Clip::from_json(&json!({"streams": [], "format": {}})), None);
    }

    #[test]
    fn non_video_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"nothing").unwrap();
        assert!(Clip::read(file.path()).is_err());
    }
}
