//! Any bytes as the form of the whole-file way in: no panic, what is refused is refused for a reason, and how the
//! bytes were cut into pieces on their way changes neither the recording meant nor the file.
//!
//! `scripts/fuzz.sh form`

#![no_main]

use std::convert::Infallible;

use futures_util::{FutureExt, stream};
use libfuzzer_sys::fuzz_target;
use multer::Multipart;

#[path = "../../src/http/upload_form.rs"]
mod upload_form;

use upload_form::{Field, FormError, MAX_BYTES_BEFORE, MAX_FIELDS, MAX_ID_BYTES, UploadForm};

const BOUNDARY: &str = "b";

/// What has become of a form.
#[derive(Debug, PartialEq)]
enum Outcome {
    File { recording_id: String, bytes: Vec<u8> },
    Refused(FormError),
    Unreadable,
}

impl From<FormError> for Outcome {
    fn from(error: FormError) -> Self {
        Self::Refused(error)
    }
}

impl From<multer::Error> for Outcome {
    fn from(_: multer::Error) -> Self {
        Self::Unreadable
    }
}

/// Reads a form as the server does.
async fn read(body: &[u8], piece: usize) -> Result<Outcome, Outcome> {
    let pieces: Vec<_> = body.chunks(piece).map(<[u8]>::to_vec).map(Ok::<_, Infallible>).collect();
    let mut multipart = Multipart::new(stream::iter(pieces), BOUNDARY);
    let mut form = UploadForm::default();
    let (mut fields, mut before) = (0, 0);
    while let Some(mut field) = multipart.next_field().await? {
        match form.field(field.name())? {
            Field::Before => {
                fields += 1;
                while let Some(bytes) = field.chunk().await? {
                    form.bytes(&bytes)?;
                    before += bytes.len();
                }
                assert!(fields <= MAX_FIELDS && before <= MAX_BYTES_BEFORE);
            }
            Field::File { recording_id } => {
                assert!((1..=MAX_ID_BYTES).contains(&recording_id.len()));
                let mut bytes = Vec::new();
                while let Some(more) = field.chunk().await? {
                    bytes.extend_from_slice(&more);
                }
                assert!(bytes.len() < body.len());
                return Ok(Outcome::File { recording_id, bytes });
            }
        }
    }
    Err(FormError::NoFile.into())
}

fn outcome(body: &[u8], piece: usize) -> Outcome {
    // All of it is there, so nothing ever waits.
    let read = read(body, piece).now_or_never().expect("the reader waits for nothing");
    read.unwrap_or_else(|refused| refused)
}

// The size of a piece, then the body.
fuzz_target!(|input: &[u8]| {
    let &[piece, ref body @ ..] = input else { return };
    let whole = outcome(body, body.len().max(1));
    let cut = outcome(body, usize::from(piece).max(1));
    if let Outcome::Refused(error) = &whole {
        assert!(error.to_string().ends_with('.'));
    }
    // What is both too much and unreadable may be seen as the one or the other first.
    if [&whole, &cut].iter().any(|outcome| matches!(outcome, Outcome::File { .. })) {
        assert_eq!(whole, cut);
    }
});
