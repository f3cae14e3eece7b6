//! The initialization segment: `ftyp` and `moov` of a fragmented file.

use super::boxes::{Kind, write, write_full, write_full_with, write_words};

/// Movie timescale in units per second.
const MOVIE_TIMESCALE: u32 = 1000;
/// 1.0 as 16.16 fixed-point number, and the unity matrix (section 8.2.2).
const ONE: u32 = 0x0001_0000;
const MATRIX: [u32; 9] = [ONE, 0, 0, 0, ONE, 0, 0, 0, 0x4000_0000];
/// Language code "und" (section 8.4.2.3).
const UNDETERMINED: u16 = 0x55C4;
/// `track_enabled` and `track_in_movie` (section 8.3.2.1).
const TRACK_ENABLED: u32 = 3;

/// Properties of a track.
#[derive(Debug)]
pub(crate) struct TrackDescription<'a> {
    pub(crate) id: u32,
    /// Media timescale in units per second.
    pub(crate) timescale: u32,
    pub(crate) media: Media,
    /// Type of the sample entry, such as `avc1`.
    pub(crate) entry: Kind,
    /// Boxes of the sample entry: the configuration of the codec.
    pub(crate) config: &'a [u8],
    /// Media time at which the presentation begins, in the media timescale.
    pub(crate) media_time: u64,
    /// Three-letter language code (ISO 639-2).
    pub(crate) language: Option<&'a str>,
}

/// Properties of the media of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    /// Size in pixels.
    Video {
        width: u16,
        height: u16,
    },
    Audio {
        channels: u16,
        sample_rate_hz: u32,
    },
}

/// Encodes `ftyp` with this payload, and a `moov` without samples. `duration_ms`: duration of the whole movie, if known.
pub(crate) fn init_segment(
    ftyp: &[u8],
    tracks: &[TrackDescription<'_>],
    duration_ms: Option<u64>,
) -> Vec<u8> {
    // In 32 bits, all ones stand for a duration that cannot be determined.
    let short = duration_ms.map_or(0, |ms| u32::try_from(ms).unwrap_or(u32::MAX));
    let next_id = tracks.iter().map(|track| track.id).max().unwrap_or(0) + 1;
    let mut out = Vec::new();
    write(&mut out, *b"ftyp", |out| out.extend_from_slice(ftyp));
    write(&mut out, *b"moov", |out| {
        write_full(out, *b"mvhd", |out| {
            zeros(out, 8);
            write_words(out, &[MOVIE_TIMESCALE, short, ONE]);
            // Volume 1.0, then reserved bytes.
            out.extend(0x0100u16.to_be_bytes());
            zeros(out, 10);
            write_words(out, &MATRIX);
            zeros(out, 24);
            write_words(out, &[next_id]);
        });
        for track in tracks {
            write(out, *b"trak", |out| trak(out, track, short));
        }
        write(out, *b"mvex", |out| {
            if let Some(duration_ms) = duration_ms {
                write_full_with(out, *b"mehd", 1, 0, |out| {
                    out.extend(duration_ms.to_be_bytes());
                });
            }
            for track in tracks {
                write_full(out, *b"trex", |out| {
                    write_words(out, &[track.id, 1, 0, 0, 0]);
                });
            }
        });
    });
    out
}

fn trak(out: &mut Vec<u8>, track: &TrackDescription<'_>, duration: u32) {
    let (volume, [width, height]) = match track.media {
        Media::Video { width, height } => (0u16, [width, height]),
        Media::Audio { .. } => (0x0100, [0; 2]),
    };
    write_full_with(out, *b"tkhd", 0, TRACK_ENABLED, |out| {
        zeros(out, 8);
        write_words(out, &[track.id, 0, duration]);
        zeros(out, 12);
        out.extend(volume.to_be_bytes());
        zeros(out, 2);
        write_words(out, &MATRIX);
        write_words(out, &[u32::from(width) << 16, u32::from(height) << 16]);
    });
    if track.media_time > 0 {
        write(out, *b"edts", |out| {
            write_full_with(out, *b"elst", 1, 0, |out| {
                out.extend(1u32.to_be_bytes());
                // A duration of 0 includes all fragments (section 8.6.6.1).
                out.extend(0u64.to_be_bytes());
                out.extend(track.media_time.to_be_bytes());
                out.extend(ONE.to_be_bytes());
            });
        });
    }
    write(out, *b"mdia", |out| mdia(out, track));
}

fn mdia(out: &mut Vec<u8>, track: &TrackDescription<'_>) {
    let is_video = matches!(track.media, Media::Video { .. });
    write_full(out, *b"mdhd", |out| {
        zeros(out, 8);
        write_words(out, &[track.timescale, 0]);
        out.extend(language_code(track.language).to_be_bytes());
        zeros(out, 2);
    });
    write_full(out, *b"hdlr", |out| {
        zeros(out, 4);
        out.extend(if is_video { b"vide" } else { b"soun" });
        zeros(out, 12);
        out.extend(if is_video { b"Video\0" } else { b"Audio\0" });
    });
    write(out, *b"minf", |out| {
        if is_video {
            write_full_with(out, *b"vmhd", 0, 1, |out| zeros(out, 8));
        } else {
            write_full(out, *b"smhd", |out| zeros(out, 4));
        }
        write(out, *b"dinf", |out| {
            write_full(out, *b"dref", |out| {
                write_words(out, &[1]);
                // Flag 1: the media data is in this file.
                write_full_with(out, *b"url ", 0, 1, |_| {});
            });
        });
        write(out, *b"stbl", |out| {
            write_full(out, *b"stsd", |out| {
                write_words(out, &[1]);
                write(out, track.entry, |out| sample_entry(out, track));
            });
            // Empty: the samples are in movie fragments.
            write_full(out, *b"stts", |out| zeros(out, 4));
            write_full(out, *b"stsc", |out| zeros(out, 4));
            write_full(out, *b"stsz", |out| zeros(out, 8));
            write_full(out, *b"stco", |out| zeros(out, 4));
        });
    });
}

/// Writes a sample entry: ISO/IEC 14496-12, sections 12.1.3 and 12.2.3.
fn sample_entry(out: &mut Vec<u8>, track: &TrackDescription<'_>) {
    zeros(out, 6);
    out.extend(1u16.to_be_bytes());
    match track.media {
        Media::Video { width, height } => {
            zeros(out, 16);
            out.extend(width.to_be_bytes());
            out.extend(height.to_be_bytes());
            // 72 dpi, one frame per sample, no compressor name, depth 24.
            write_words(out, &[0x0048_0000, 0x0048_0000, 0]);
            out.extend(1u16.to_be_bytes());
            zeros(out, 32);
            out.extend(0x0018u16.to_be_bytes());
            out.extend(u16::MAX.to_be_bytes());
        }
        Media::Audio {
            channels,
            sample_rate_hz,
        } => {
            zeros(out, 8);
            out.extend(channels.to_be_bytes());
            // Bits per sample: customary for compressed audio.
            out.extend(16u16.to_be_bytes());
            zeros(out, 4);
            // The field has 16 bits; readers take a higher rate from the configuration of the codec.
            let rate = u16::try_from(sample_rate_hz).unwrap_or(0);
            out.extend((u32::from(rate) << 16).to_be_bytes());
        }
    }
    out.extend_from_slice(track.config);
}

/// Packs a language code (section 8.4.2.3).
fn language_code(language: Option<&str>) -> u16 {
    match language.map(str::as_bytes) {
        Some(letters @ [_, _, _]) if letters.iter().all(u8::is_ascii_lowercase) => letters
            .iter()
            .fold(0, |code, letter| code << 5 | u16::from(letter - 0x60)),
        _ => UNDETERMINED,
    }
}

fn zeros(out: &mut Vec<u8>, count: usize) {
    out.resize(out.len() + count, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_packed() {
        for (language, expected) in [
            (Some("und"), UNDETERMINED),
            (Some("eng"), 0x15C7),
            (Some("de-AT"), UNDETERMINED),
            (Some("ENG"), UNDETERMINED),
            (None, UNDETERMINED),
        ] {
            assert_eq!(language_code(language), expected, "{language:?}");
        }
    }
}
