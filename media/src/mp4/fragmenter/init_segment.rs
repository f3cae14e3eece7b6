//! The initialization segment: `ftyp` and `moov` of a fragmented file.

use super::{TIMESCALE, VideoTrack};
use crate::mp4::boxes::{write, write_full_with, write_words};

pub(super) const TRACK_ID: u32 = 1;
/// Brand `isom`, compatible with the features of finished and fragmented files.
const FTYP: &[u8] = b"isom\0\0\x02\0isomiso6avc1mp41";
/// Movie timescale in units per second.
const MOVIE_TIMESCALE: u32 = 1000;
/// 1.0 as 16.16 fixed-point number, and the unity matrix (section 8.2.2).
const ONE: u32 = 0x0001_0000;
const MATRIX: [u32; 9] = [ONE, 0, 0, 0, ONE, 0, 0, 0, 0x4000_0000];
/// Language code "und" (section 8.4.2.3).
const UNDETERMINED: u16 = 0x55C4;
/// `track_enabled` and `track_in_movie` (section 8.3.2.1).
const TRACK_ENABLED: u32 = 3;

/// Encodes `ftyp` and `moov`.
pub(super) fn init_segment(track: &VideoTrack) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out, *b"ftyp", |out| out.extend_from_slice(FTYP));
    write(&mut out, *b"moov", |out| {
        write_full_with(out, *b"mvhd", 0, 0, |out| {
            zeros(out, 8);
            write_words(out, &[MOVIE_TIMESCALE, 0, ONE]);
            // Volume 1.0, then reserved bytes.
            out.extend(0x0100u16.to_be_bytes());
            zeros(out, 10);
            write_words(out, &MATRIX);
            zeros(out, 24);
            write_words(out, &[TRACK_ID + 1]);
        });
        write(out, *b"trak", |out| trak(out, track));
        write(out, *b"mvex", |out| {
            write_full_with(out, *b"trex", 0, 0, |out| {
                write_words(out, &[TRACK_ID, 1, 0, 0, 0])
            });
        });
    });
    out
}

fn trak(out: &mut Vec<u8>, track: &VideoTrack) {
    write_full_with(out, *b"tkhd", 0, TRACK_ENABLED, |out| {
        zeros(out, 8);
        write_words(out, &[TRACK_ID, 0, 0]);
        zeros(out, 16);
        write_words(out, &MATRIX);
        write_words(
            out,
            &[u32::from(track.width) << 16, u32::from(track.height) << 16],
        );
    });
    write(out, *b"mdia", |out| {
        write_full_with(out, *b"mdhd", 0, 0, |out| {
            zeros(out, 8);
            write_words(out, &[u32::try_from(TIMESCALE).unwrap_or(u32::MAX), 0]);
            out.extend(UNDETERMINED.to_be_bytes());
            zeros(out, 2);
        });
        write_full_with(out, *b"hdlr", 0, 0, |out| {
            zeros(out, 4);
            out.extend(b"vide");
            zeros(out, 12);
            out.extend(b"Video\0");
        });
        write(out, *b"minf", |out| {
            write_full_with(out, *b"vmhd", 0, 1, |out| zeros(out, 8));
            write(out, *b"dinf", |out| {
                write_full_with(out, *b"dref", 0, 0, |out| {
                    write_words(out, &[1]);
                    // Flag 1: the media data is in this file.
                    write_full_with(out, *b"url ", 0, 1, |_| {});
                });
            });
            write(out, *b"stbl", |out| {
                write_full_with(out, *b"stsd", 0, 0, |out| {
                    write_words(out, &[1]);
                    write(out, *b"avc1", |out| sample_entry(out, track));
                });
                // Empty: the samples are in movie fragments.
                write_full_with(out, *b"stts", 0, 0, |out| zeros(out, 4));
                write_full_with(out, *b"stsc", 0, 0, |out| zeros(out, 4));
                write_full_with(out, *b"stsz", 0, 0, |out| zeros(out, 8));
                write_full_with(out, *b"stco", 0, 0, |out| zeros(out, 4));
            });
        });
    });
}

/// Writes an `avc1` sample entry: ISO/IEC 14496-15, section 5.4.2.1; 14496-12, section 12.1.3.
fn sample_entry(out: &mut Vec<u8>, track: &VideoTrack) {
    zeros(out, 6);
    out.extend(1u16.to_be_bytes());
    zeros(out, 16);
    out.extend(track.width.to_be_bytes());
    out.extend(track.height.to_be_bytes());
    // 72 dpi, one frame per sample, no compressor name, depth 24.
    write_words(out, &[0x0048_0000, 0x0048_0000, 0]);
    out.extend(1u16.to_be_bytes());
    zeros(out, 32);
    out.extend(0x0018u16.to_be_bytes());
    out.extend(u16::MAX.to_be_bytes());
    write(out, *b"avcC", |out| {
        out.extend_from_slice(&track.avc_config)
    });
    if let Some(colour) = track.colour {
        write(out, *b"colr", |out| {
            out.extend(b"nclx");
            for number in [colour.primaries, colour.transfer, colour.matrix] {
                out.extend(number.to_be_bytes());
            }
            out.push(u8::from(colour.full_range) << 7);
        });
    }
}

fn zeros(out: &mut Vec<u8>, count: usize) {
    out.resize(out.len() + count, 0);
}
