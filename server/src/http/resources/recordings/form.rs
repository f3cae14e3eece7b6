//! Fields of the single-request upload form, in any order. No I/O; the fuzz target `form` compiles this file.

/// Limit of the bytes of a recording's ID.
pub(crate) const MAX_ID_BYTES: usize = 200;
/// Limit of the number of fields other than the file.
pub(crate) const MAX_FIELDS: u32 = 64;
/// Limit of the bytes of these fields in total.
pub(crate) const MAX_FIELD_BYTES: usize = 64 * 1024;

/// Errors of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FormError {
    #[error("recording_id is missing. Name the recording.")]
    NoRecordingId,
    #[error("recording_id is too long.")]
    LongRecordingId,
    #[error("recording_id is not text.")]
    NotText,
    #[error("recording_id occurs twice. Name one recording.")]
    Twice,
    #[error("The form has too many fields or too many bytes besides the file.")]
    TooMuch,
    #[error("The form has no field named file.")]
    NoFile,
    #[error("The form has two fields named file. Send one recording at a time.")]
    TwoFiles,
}

/// Kind of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// The bytes must be passed to [`UploadForm::bytes`].
    Text,
    /// The bytes are the recording.
    File,
}

/// State of a form while it is read.
///
/// Call [`Self::field`] for each field, [`Self::bytes`] with the bytes of fields other than the file, and
/// [`Self::finish`] at the end.
#[derive(Debug, Default)]
pub(crate) struct UploadForm {
    recording_id: Option<Vec<u8>>,
    in_recording_id: bool,
    has_file: bool,
    fields: u32,
    bytes: usize,
}

impl UploadForm {
    /// Begins a field; the field before is complete.
    ///
    /// # Errors
    /// Too many fields, or a second one of this name.
    pub(crate) fn field(&mut self, name: Option<&str>) -> Result<Field, FormError> {
        self.in_recording_id = false;
        if name == Some("file") {
            if self.has_file {
                return Err(FormError::TwoFiles);
            }
            self.has_file = true;
            return Ok(Field::File);
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
        Ok(Field::Text)
    }

    /// Adds bytes to the current field.
    ///
    /// # Errors
    /// Too many bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), FormError> {
        self.bytes = self.bytes.saturating_add(bytes.len());
        if self.bytes > MAX_FIELD_BYTES {
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

    /// Returns the recording's ID; `None` if it is missing or empty.
    ///
    /// # Errors
    /// The ID is not UTF-8.
    pub(crate) fn recording_id(&self) -> Result<Option<&str>, FormError> {
        let id = self.recording_id.as_deref().unwrap_or_default();
        let id = std::str::from_utf8(id).map_err(|_| FormError::NotText)?;
        Ok((!id.is_empty()).then_some(id))
    }

    /// Completes the form; returns the recording's ID.
    ///
    /// # Errors
    /// The ID or the file is missing.
    pub(crate) fn finish(&self) -> Result<&str, FormError> {
        let id = self.recording_id()?.ok_or(FormError::NoRecordingId)?;
        if self.has_file {
            Ok(id)
        } else {
            Err(FormError::NoFile)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes fields with the pieces of their bytes to a form.
    #[track_caller]
    fn check(fields: &[(&str, &[&[u8]])], expected: Result<&str, FormError>) {
        let mut form = UploadForm::default();
        let mut read = || {
            for (name, pieces) in fields {
                let name = Some(*name).filter(|name| !name.is_empty());
                if form.field(name)? == Field::Text {
                    for piece in *pieces {
                        form.bytes(piece)?;
                    }
                }
            }
            form.finish().map(str::to_owned)
        };
        assert_eq!(read(), expected.map(str::to_owned));
    }

    #[test]
    fn fields_may_be_in_any_order_and_pieces() {
        check(
            &[("recording_id", &[b"ab", b"", b"c"]), ("file", &[])],
            Ok("abc"),
        );
        check(
            &[
                ("file", &[]),
                ("duration", &[b"1.5"]),
                ("recording_id", &[b"a"]),
                ("", &[b"b"]),
            ],
            Ok("a"),
        );
    }

    #[test]
    fn id_and_file_are_required() {
        check(&[("file", &[])], Err(FormError::NoRecordingId));
        check(
            &[("recording_id", &[]), ("file", &[])],
            Err(FormError::NoRecordingId),
        );
        check(&[("recording_id", &[b"a"])], Err(FormError::NoFile));
        check(&[], Err(FormError::NoRecordingId));
        check(
            &[("recording_id", &[b"a"]), ("file", &[]), ("file", &[])],
            Err(FormError::TwoFiles),
        );
    }

    #[test]
    fn id_must_be_one_short_text() {
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
    fn other_fields_are_bounded() {
        let much = [0; MAX_FIELD_BYTES];
        check(&[("duration", &[&much])], Err(FormError::NoRecordingId));
        check(
            &[("duration", &[&much]), ("other", &[b"a"])],
            Err(FormError::TooMuch),
        );
        let many = usize::try_from(MAX_FIELDS).expect("small");
        check(
            &vec![("", &[] as &[&[u8]]); many],
            Err(FormError::NoRecordingId),
        );
        check(
            &vec![("", &[] as &[&[u8]]); many + 1],
            Err(FormError::TooMuch),
        );
    }
}
