//! Names of recordings.

use jiff::Zoned;

/// Returns `recording_2026-11-21_16-00-00.mp4`, in local time. The writer appends a number if the name exists, as after
/// the clock was set back.
#[must_use]
pub fn file_name(now: &Zoned) -> String {
    format!("recording_{}.mp4", now.strftime("%Y-%m-%d_%H-%M-%S"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_name_is_local_time() {
        let time: Zoned = "2026-01-02T03:04:05+02:00[+02:00]".parse().unwrap();
        assert_eq!(file_name(&time), "recording_2026-01-02_03-04-05.mp4");
    }
}
