//! The fields of the whole-file way in: which counts, which is the file, what is refused. No I/O; the fuzz target
//! `form` compiles this file by itself.

/// A recording's id is shorter.
pub(super) const MAX_ID_BYTES: usize = 200;
/// Fields before the file.
pub(super) const MAX_FIELDS: u32 = 64;
/// Bytes in them altogether: nobody keeps a connection busy with what is thrown away.
pub(super) const MAX_BYTES_BEFORE: usize = 64 * 1024;

/// Why a form is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormError {
    #[error("recording_id is missing: say which recording is meant, before the file.")]
    NoRecordingId,
    #[error("recording_id is too long.")]
    LongRecordingId,
    #[error("recording_id is not text.")]
    NotText,
    #[error("recording_id is there twice: say once which recording is meant.")]
    Twice,
    #[error("There is too much before the field named file.")]
    TooMuch,
    #[error("The form has no field named file.")]
    NoFile,
}

/// What a field is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// Not the file: its bytes go to [`UploadForm::bytes`].
    Before,
    /// The bytes that follow are the recording with this id.
    File { recording_id: String },
}

/// A form that is being read.
///
/// Call [`Self::field`] at the beginning of each field and [`Self::bytes`] with its bytes, in any pieces, until
/// [`Field::File`] is answered. A form that ends before is [`FormError::NoFile`].
#[derive(Debug, Default)]
pub(super) struct UploadForm {
    recording_id: Option<Vec<u8>>,
    in_recording_id: bool,
    fields: u32,
    bytes: usize,
}

impl UploadForm {
    /// A field begins, and the one before it is complete.
    ///
    /// # Errors
    /// When it must not be there, or the file begins before there is a `recording_id`.
    pub(super) fn field(&mut self, name: Option<&str>) -> Result<Field, FormError> {
        self.in_recording_id = false;
        if name == Some("file") {
            let id = self.recording_id.take().unwrap_or_default();
            let recording_id = String::from_utf8(id).map_err(|_| FormError::NotText)?;
            return if recording_id.is_empty() {
                Err(FormError::NoRecordingId)
            } else {
                Ok(Field::File { recording_id })
            };
        }
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(FormError::TooMuch);
        }
        if name == Some("recording_id") {
            if self.recording_id.is_some() {
                return Err(FormError::Twice);
            }
            self.recording_id = Some(Vec::new());
            self.in_recording_id = true;
        }
        Ok(Field::Before)
    }

    /// Bytes of the field that began last.
    ///
    /// # Errors
    /// When there are too many of them.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), FormError> {
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > MAX_BYTES_BEFORE {
            return Err(FormError::TooMuch);
        }
        if self.in_recording_id
            && let Some(id) = &mut self.recording_id
        {
            if id.len() + bytes.len() > MAX_ID_BYTES {
                return Err(FormError::LongRecordingId);
            }
            id.extend_from_slice(bytes);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads fields with their pieces; the last answer counts.
    #[track_caller]
    fn check(fields: &[(&str, &[&[u8]])], expected: Result<&str, FormError>) {
        let mut form = UploadForm::default();
        let mut read = || {
            for (name, pieces) in fields {
                match form.field(Some(name).filter(|name| !name.is_empty()).copied())? {
                    Field::File { recording_id } => return Ok(recording_id),
                    Field::Before => {
                        for piece in *pieces {
                            form.bytes(piece)?;
                        }
                    }
                }
            }
            Err(FormError::NoFile)
        };
        assert_eq!(read(), expected.map(str::to_owned));
    }

    #[test]
    fn the_id_comes_in_pieces_and_nameless_fields_do_not_count() {
        check(
            &[("recording_id", &[b"ab", b"", b"c"]), ("file", &[])],
            Ok("abc"),
        );
        check(
            &[
                ("duration", &[b"1.5"]),
                ("recording_id", &[b"a"]),
                ("", &[b"b"]),
                ("file", &[]),
            ],
            Ok("a"),
        );
    }

    #[test]
    fn a_file_needs_an_id_before_it() {
        check(&[("file", &[])], Err(FormError::NoRecordingId));
        check(
            &[("recording_id", &[]), ("file", &[])],
            Err(FormError::NoRecordingId),
        );
        check(&[("recording_id", &[b"a"])], Err(FormError::NoFile));
        check(&[], Err(FormError::NoFile));
    }

    #[test]
    fn an_id_is_short_text_and_there_once() {
        let longest = [b'a'; MAX_ID_BYTES];
        let text = "a".repeat(MAX_ID_BYTES);
        check(&[("recording_id", &[&longest]), ("file", &[])], Ok(&text));
        check(
            &[("recording_id", &[&longest, b"a"])],
            Err(FormError::LongRecordingId),
        );
        check(
            &[("recording_id", &[b"\xFF"]), ("file", &[])],
            Err(FormError::NotText),
        );
        check(
            &[("recording_id", &[b"a"]), ("recording_id", &[b"b"])],
            Err(FormError::Twice),
        );
    }

    #[test]
    fn what_is_thrown_away_is_bounded() {
        let much = [0; MAX_BYTES_BEFORE];
        check(&[("duration", &[&much])], Err(FormError::NoFile));
        check(
            &[("duration", &[&much]), ("other", &[b"a"])],
            Err(FormError::TooMuch),
        );
        let many = usize::try_from(MAX_FIELDS).expect("small");
        check(&vec![("", &[] as &[&[u8]]); many], Err(FormError::NoFile));
        check(
            &vec![("", &[] as &[&[u8]]); many + 1],
            Err(FormError::TooMuch),
        );
    }
}
