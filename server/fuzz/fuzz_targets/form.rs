//! Random bytes as the form of a single-request upload: no panic, a rejected form has an error, memory is bounded, and
//! the chunk size changes neither the recording's ID nor the file.
//!
//! `scripts/fuzz.sh form`

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

#[path = "../../src/http/resources/recordings/form.rs"]
mod form;
#[path = "../../src/http/extract/multipart.rs"]
mod multipart;

use form::{Field, FormError, MAX_FIELD_BYTES, MAX_FIELDS, MAX_ID_BYTES, UploadForm};
use multipart::{Event, Multipart, MultipartError};

const TYPE: &str = "multipart/form-data; boundary=b";

/// Outcome of a form.
#[derive(Debug, PartialEq)]
enum Outcome {
    File { recording_id: String, bytes: Vec<u8> },
    Refused(FormError),
    Unreadable(MultipartError),
}

impl From<FormError> for Outcome {
    fn from(error: FormError) -> Self {
        Self::Refused(error)
    }
}

impl From<MultipartError> for Outcome {
    fn from(error: MultipartError) -> Self {
        Self::Unreadable(error)
    }
}

/// Parses a form as the server does.
fn read(body: &[u8], piece: usize) -> Result<Outcome, Outcome> {
    let mut pieces = body.chunks(piece);
    let mut multipart = Multipart::of_type(TYPE).expect("a form");
    let mut form = UploadForm::default();
    let (mut fields, mut beside, mut in_file, mut file) = (0, 0, false, Vec::new());
    loop {
        match multipart.next()? {
            Some(Event::Part(part)) => {
                in_file = form.field(part.name.as_deref())? == Field::File;
                fields += u32::from(!in_file);
            }
            Some(Event::Data(bytes)) if in_file => file.extend_from_slice(&bytes),
            Some(Event::Data(bytes)) => {
                form.bytes(&bytes)?;
                beside += bytes.len();
            }
            Some(Event::End) => break,
            None => match pieces.next() {
                Some(bytes) => multipart.push(Bytes::copy_from_slice(bytes)),
                None => return Err(MultipartError::Incomplete.into()),
            },
        }
        assert!(fields <= MAX_FIELDS && beside <= MAX_FIELD_BYTES && file.len() < body.len().max(1));
    }
    let recording_id = form.finish()?.to_owned();
    assert!((1..=MAX_ID_BYTES).contains(&recording_id.len()));
    Ok(Outcome::File { recording_id, bytes: file })
}

fn outcome(body: &[u8], piece: usize) -> Outcome {
    read(body, piece).unwrap_or_else(|refused| refused)
}

// The first byte selects the chunk size; the rest is the body.
fuzz_target!(|input: &[u8]| {
    let &[piece, ref body @ ..] = input else { return };
    let whole = outcome(body, body.len().max(1));
    let cut = outcome(body, usize::from(piece).max(1));
    match &whole {
        Outcome::Refused(error) => assert!(error.to_string().ends_with('.')),
        Outcome::Unreadable(error) => assert!(error.to_string().ends_with('.')),
        Outcome::File { .. } => {}
    }
    // For a form that is both too large and malformed, either error may be found first.
    if [&whole, &cut].iter().any(|outcome| matches!(outcome, Outcome::File { .. })) {
        assert_eq!(whole, cut);
    }
});
