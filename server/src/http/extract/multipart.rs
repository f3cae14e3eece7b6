//! Reader of `multipart/form-data` (RFC 7578) in bounded memory and linear time. No I/O; the fuzz target `form`
//! compiles this file.
//!
//! [`Multipart::push`] takes bytes in pieces of any size; [`Multipart::next`] returns the parts' headers and bytes. The
//! buffer holds at most a preamble, the headers of one part, or as many bytes as a boundary has.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::memmem;

/// Limit of the bytes before the first boundary.
pub(crate) const MAX_PREAMBLE: usize = 4 * 1024;
/// Limit of the bytes of one part's headers.
pub(crate) const MAX_HEADERS: usize = 8 * 1024;
/// Limit of the white space after a boundary.
const MAX_PADDING: usize = 64;
/// RFC 2046, section 5.1.1.
const MAX_BOUNDARY: usize = 70;

/// Errors of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum MultipartError {
    #[error("The form does not start with its boundary.")]
    LongPreamble,
    #[error("A part of the form has more than 8 KiB of headers.")]
    LongHeaders,
    #[error("The headers of a part of the form cannot be read.")]
    WrongHeaders,
    #[error("A boundary of the form is followed by other text in its line.")]
    WrongBoundary,
    #[error("The form ends before its last boundary.")]
    Incomplete,
}

/// Event of a [`Multipart`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Start of a part, with its headers.
    Part(PartHeaders),
    /// Bytes of the part, not empty.
    Data(Bytes),
    /// End of the form: the last boundary.
    End,
}

/// Parameters of a part's `Content-Disposition`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartHeaders {
    pub(crate) name: Option<String>,
    pub(crate) filename: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Preamble,
    Boundary,
    Headers,
    Body,
    End,
}

/// State of the reader.
#[derive(Debug)]
pub(crate) struct Multipart {
    place: Place,
    /// `CRLF--boundary`.
    delimiter: memmem::Finder<'static>,
    buffer: BytesMut,
    /// Length of the buffer's prefix in which neither the delimiter nor the end of the headers begins.
    searched: usize,
    pushed: VecDeque<Bytes>,
}

impl Multipart {
    /// Creates a reader for this `Content-Type`; `None` if it is not a form with a boundary.
    pub(crate) fn of_type(content_type: &str) -> Option<Self> {
        let (kind, parameters) = content_type.split_once(';')?;
        if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
            return None;
        }
        let boundary = parameter(parameters, "boundary")?;
        let plain = boundary.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !plain || !(1..=MAX_BOUNDARY).contains(&boundary.len()) {
            return None;
        }
        let delimiter = format!("\r\n--{boundary}");
        Some(Self {
            place: Place::Preamble,
            delimiter: memmem::Finder::new(delimiter.as_bytes()).into_owned(),
            // A boundary at the beginning has no line end before it.
            buffer: BytesMut::from(&b"\r\n"[..]),
            searched: 0,
            pushed: VecDeque::new(),
        })
    }

    /// Adds the next bytes of the form.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.pushed.push_back(bytes);
    }

    /// Returns the next event; `None`: more bytes are needed.
    ///
    /// # Errors
    /// The form is malformed or too large; the reader must not be used any more.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, MultipartError> {
        loop {
            if let Some(event) = self.step()? {
                return Ok(Some(event));
            }
            match self.pushed.pop_front() {
                Some(bytes) => self.buffer.extend_from_slice(&bytes),
                None => return Ok(None),
            }
        }
    }

    /// Searches the buffer; each byte is searched once.
    fn find(&mut self, finder: &memmem::Finder<'_>) -> Option<usize> {
        let found = finder.find(self.buffer.get(self.searched..).unwrap_or_default());
        let found = found.map(|at| self.searched + at);
        if found.is_none() {
            let overlap = finder.needle().len() - 1;
            self.searched = self.buffer.len().saturating_sub(overlap).max(self.searched);
        }
        found
    }

    fn skip(&mut self, count: usize, place: Place) {
        self.buffer.advance(count);
        self.searched = 0;
        self.place = place;
    }

    /// Reads an event from the buffer.
    fn step(&mut self) -> Result<Option<Event>, MultipartError> {
        loop {
            match self.place {
                Place::Preamble => {
                    let delimiter = self.delimiter.clone();
                    let length = delimiter.needle().len();
                    match self.find(&delimiter) {
                        Some(at) if at <= MAX_PREAMBLE => self.skip(at + length, Place::Boundary),
                        None if self.searched <= MAX_PREAMBLE => return Ok(None),
                        _ => return Err(MultipartError::LongPreamble),
                    }
                }
                Place::Boundary => {
                    if self.buffer.starts_with(b"--") {
                        self.place = Place::End;
                        return Ok(Some(Event::End));
                    }
                    let blanks = self.buffer.iter().take_while(|byte| b" \t".contains(byte));
                    let blanks = blanks.count();
                    match self.buffer.get(blanks..) {
                        _ if blanks > MAX_PADDING => return Err(MultipartError::WrongBoundary),
                        None | Some([] | [b'\r']) => return Ok(None),
                        Some([b'-']) if blanks == 0 => return Ok(None),
                        // For a part without headers, this line end is also the one of the empty line.
                        Some([b'\r', b'\n', ..]) => self.skip(blanks, Place::Headers),
                        Some(_) => return Err(MultipartError::WrongBoundary),
                    }
                }
                Place::Headers => {
                    let end = memmem::Finder::new(b"\r\n\r\n");
                    match self.find(&end) {
                        Some(at) if at <= MAX_HEADERS => {
                            let headers = part_headers(self.buffer.get(..at).unwrap_or_default());
                            self.skip(at + 4, Place::Body);
                            return Ok(Some(Event::Part(headers?)));
                        }
                        None if self.searched <= MAX_HEADERS => return Ok(None),
                        _ => return Err(MultipartError::LongHeaders),
                    }
                }
                Place::Body => {
                    let delimiter = self.delimiter.clone();
                    let length = delimiter.needle().len();
                    let (end, found) = match self.find(&delimiter) {
                        Some(at) => (at, true),
                        // The rest may be the start of a boundary.
                        None => (self.buffer.len().saturating_sub(length - 1), false),
                    };
                    let data = self.buffer.split_to(end).freeze();
                    self.searched = 0;
                    if found {
                        self.skip(length, Place::Boundary);
                    }
                    if !data.is_empty() {
                        return Ok(Some(Event::Data(data)));
                    }
                    if !found {
                        return Ok(None);
                    }
                }
                Place::End => return Ok(None),
            }
        }
    }
}

/// Reads the headers of a part. They begin with the line end of the boundary.
fn part_headers(bytes: &[u8]) -> Result<PartHeaders, MultipartError> {
    let text = std::str::from_utf8(bytes).map_err(|_| MultipartError::WrongHeaders)?;
    let mut headers = PartHeaders::default();
    for line in text.split("\r\n").filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(MultipartError::WrongHeaders)?;
        if name.trim_end().eq_ignore_ascii_case("content-disposition") {
            let (_, parameters) = value.split_once(';').unwrap_or((value, ""));
            headers.name = parameter(parameters, "name");
            headers.filename = parameter(parameters, "filename");
        }
    }
    Ok(headers)
}

/// Value of a parameter: a token, or a quoted text with `\"` for a quote. Browsers do not escape other backslashes.
fn parameter(mut parameters: &str, wanted: &str) -> Option<String> {
    loop {
        let (name, rest) = parameters.split_once('=')?;
        let name = name.trim_matches([' ', '\t', ';']);
        let rest = rest.trim_start();
        let (value, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let (value, after) = rest.split_once(';').unwrap_or((rest, ""));
                (value.trim_end().to_owned(), after)
            }
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        parameters = after;
    }
}

/// Splits a text at the closing quote.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' if characters.next_if(|(_, next)| *next == '"').is_some() => value.push('"'),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=\"b o\"";

    type Parts = Vec<(PartHeaders, Vec<u8>)>;

    /// Name, file name and bytes of a part.
    type Expected<'a> = (Option<&'a str>, Option<&'a str>, &'a [u8]);

    /// Reads a form in pieces of this size.
    fn read(form: &[u8], piece: usize) -> Result<Parts, MultipartError> {
        let mut multipart = Multipart::of_type(TYPE).unwrap();
        let mut parts = Parts::new();
        let mut pieces = form.chunks(piece);
        loop {
            match multipart.next()? {
                Some(Event::Part(headers)) => parts.push((headers, Vec::new())),
                Some(Event::Data(bytes)) => parts.last_mut().unwrap().1.extend_from_slice(&bytes),
                Some(Event::End) => return Ok(parts),
                None => match pieces.next() {
                    Some(bytes) => multipart.push(Bytes::copy_from_slice(bytes)),
                    None => return Err(MultipartError::Incomplete),
                },
            }
            // The buffer is bounded.
            assert!(multipart.buffer.len() <= MAX_HEADERS + piece + 100);
        }
    }

    #[track_caller]
    fn check(form: &[u8], expected: Result<&[Expected<'_>], MultipartError>) {
        for piece in [1, 2, 3, 7, 64, form.len().max(1)] {
            let parts = read(form, piece);
            let parts = parts.as_ref().map(|parts| {
                let part = |(headers, bytes): &(PartHeaders, Vec<u8>)| {
                    (
                        headers.name.clone(),
                        headers.filename.clone(),
                        bytes.clone(),
                    )
                };
                parts.iter().map(part).collect::<Vec<_>>()
            });
            let expected = expected.map(|parts| {
                let part = |(name, filename, bytes): &Expected<'_>| {
                    (
                        name.map(str::to_owned),
                        filename.map(str::to_owned),
                        bytes.to_vec(),
                    )
                };
                parts.iter().map(part).collect::<Vec<_>>()
            });
            assert_eq!(
                parts.map_err(|error| *error),
                expected,
                "in pieces of {piece}"
            );
        }
    }

    #[test]
    fn parts_are_read_in_any_pieces() {
        check(
            b"--b o\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b\r\n\r\n--b o \t\r\n\
              content-disposition:form-data;filename=\"x \\\"y\\z.webm\"; name=file\r\nContent-Type: video/webm\r\n\r\n\
              \r\n--b o\r\n\r\nbare\r\n--b o--\r\nepilogue",
            Ok(&[
                (Some("a"), None, b"1\r\n--b\r\n"),
                (Some("file"), Some("x \"y\\z.webm"), b""),
                (None, None, b"bare"),
            ]),
        );
        check(b"preamble\r\n--b o--", Ok(&[]));
    }

    #[test]
    fn malformed_form_is_rejected() {
        check(b"", Err(MultipartError::Incomplete));
        check(b"--b o\r\n\r\nabc", Err(MultipartError::Incomplete));
        check(
            b"--b o\r\nno header\r\n\r\nabc\r\n--b o--",
            Err(MultipartError::WrongHeaders),
        );
        check(
            b"--b o\r\nA: \xff\r\n\r\nabc\r\n--b o--",
            Err(MultipartError::WrongHeaders),
        );
        check(
            b"--b ox\r\n\r\nabc\r\n--b o--",
            Err(MultipartError::WrongBoundary),
        );
        check(
            &[b"--b o".as_slice(), &[b' '; 100]].concat(),
            Err(MultipartError::WrongBoundary),
        );
    }

    #[test]
    fn preamble_and_headers_are_bounded() {
        let form = |before: usize, headers: usize| {
            let (before, headers) = ("p".repeat(before), "h".repeat(headers));
            format!("{before}\r\n--b o\r\nA: {headers}\r\n\r\n\r\n--b o--").into_bytes()
        };
        check(
            &form(MAX_PREAMBLE - 2, MAX_HEADERS - 5),
            Ok(&[(None, None, b"")]),
        );
        check(
            &form(MAX_PREAMBLE + 100, 0),
            Err(MultipartError::LongPreamble),
        );
        check(
            &form(0, MAX_HEADERS + 100),
            Err(MultipartError::LongHeaders),
        );
        check(&vec![b'p'; 1 << 20], Err(MultipartError::LongPreamble));
    }

    #[test]
    fn content_type_must_name_a_boundary() {
        for (kind, is_form) in [
            ("multipart/form-data; boundary=abc", true),
            ("Multipart/Form-Data; charset=utf-8; Boundary=\"a b\"", true),
            ("multipart/form-data", false),
            ("multipart/form-data; boundary=", false),
            ("multipart/mixed; boundary=abc", false),
            ("text/plain; boundary=abc", false),
            ("", false),
        ] {
            assert_eq!(Multipart::of_type(kind).is_some(), is_form, "{kind}");
        }
        let long = format!("multipart/form-data; boundary={}", "b".repeat(71));
        assert!(Multipart::of_type(&long).is_none());
    }
}
