//! ustreamer's MJPEG over HTTP.

use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use reqwest::Client;

use super::Address;

/// Longest head of a picture.
const LONGEST_HEAD: usize = 16 << 10;
/// Largest accepted picture in bytes.
const LARGEST: usize = 32 << 20;
/// Longest wait for a connection, and for further bytes.
const PATIENCE: Duration = Duration::from_secs(5);

/// Picture of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    /// Whether ustreamer has a signal.
    pub(super) online: bool,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) jpeg: Vec<u8>,
}

/// Parser of the parts of `multipart/x-mixed-replace`.
#[derive(Default)]
struct Parts {
    buffer: BytesMut,
    /// Head of the picture that is received, and its length.
    head: Option<(Picture, usize)>,
}

impl Parts {
    fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next complete picture.
    fn next(&mut self) -> Result<Option<Picture>, &'static str> {
        if self.head.is_none() {
            let end = self.buffer.windows(4).position(|it| it == b"\r\n\r\n");
            let Some(end) = end else {
                let is_too_long = self.buffer.len() > LONGEST_HEAD;
                return if is_too_long {
                    Err("the head of a picture is too long")
                } else {
                    Ok(None)
                };
            };
            let head = self.buffer.split_to(end);
            self.buffer.advance(4);
            self.head = Some(parse_head(&head)?);
        }
        match self.head.take() {
            Some((mut picture, length)) if self.buffer.len() >= length => {
                picture.jpeg = self.buffer.split_to(length).to_vec();
                Ok(Some(picture))
            }
            incomplete => {
                self.head = incomplete;
                Ok(None)
            }
        }
    }
}

fn parse_head(head: &[u8]) -> Result<(Picture, usize), &'static str> {
    let head = std::str::from_utf8(head).map_err(|_| "the head of a picture is no text")?;
    let field = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        let found = fields.find(|(it, _)| it.trim().eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    };
    let number = |name: &str| field(name).and_then(|value| value.parse().ok());
    let length = number("Content-Length").and_then(|it| usize::try_from(it).ok());
    let length = length.filter(|it| *it <= LARGEST);
    let length = length.ok_or("a picture has no length, or is too large")?;
    let side = |name: &str| number(name).and_then(|it: u64| u32::try_from(it).ok());
    let (Some(width), Some(height)) = (side("X-UStreamer-Width"), side("X-UStreamer-Height"))
    else {
        return Err("it does not send ustreamer's fields; is it ustreamer?");
    };
    let picture = Picture {
        online: field("X-UStreamer-Online").is_none_or(|it| it.eq_ignore_ascii_case("true")),
        width,
        height,
        jpeg: Vec::new(),
    };
    Ok((picture, length))
}

/// Receives pictures until the stream ends or `on_picture` returns `false`.
///
/// # Errors
///
/// The reason in words.
pub(super) async fn receive(
    address: &Address,
    mut on_picture: impl FnMut(Picture) -> bool,
) -> Result<(), String> {
    // Fails if the server has installed the same provider.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut client = Client::builder()
        .connect_timeout(PATIENCE)
        .read_timeout(PATIENCE);
    let mut url = match address {
        Address::Http(url) => url.clone(),
        Address::Socket(path) => {
            client = client.unix_socket(path.as_path());
            "http://localhost/stream".to_owned()
        }
        Address::Memory(_) => return Ok(()),
    };
    // Requests the fields with size and signal.
    url += if url.contains('?') {
        "&extra_headers=1"
    } else {
        "?extra_headers=1"
    };
    let client = client.build().map_err(|error| words(&error))?;
    let answer = client.get(url).send().await;
    let answer = answer.and_then(reqwest::Response::error_for_status);
    let mut answer = answer.map_err(|error| words(&error))?;
    let mut parts = Parts::default();
    while let Some(bytes) = answer.chunk().await.map_err(|error| words(&error))? {
        parts.push(&bytes);
        while let Some(picture) = parts.next()? {
            if !on_picture(picture) {
                return Ok(());
            }
        }
    }
    Err("the stream has ended".to_owned())
}

/// Error with its innermost cause, without the address, which may have a password.
fn words(error: &reqwest::Error) -> String {
    if let Some(status) = error.status() {
        return format!("it answers {status}");
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.is_timeout() {
        "it does not answer".to_owned()
    } else {
        cause.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(width: u32, online: bool, jpeg: &[u8]) -> Vec<u8> {
        let head = format!(
            "--boundarydonotcross\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\nX-Timestamp: 1.5\r\n\
             X-UStreamer-Online: {online}\r\nX-UStreamer-Width: {width}\r\nX-UStreamer-Height: 480\r\n\r\n",
            jpeg.len()
        );
        [head.as_bytes(), jpeg, b"\r\n"].concat()
    }

    fn all(parts: &mut Parts) -> Vec<Picture> {
        std::iter::from_fn(|| parts.next().unwrap()).collect()
    }

    proptest! {
        #[test]
        fn pictures_survive_any_division(
            pictures in prop::collection::vec((1..2000_u32, any::<bool>(), prop::collection::vec(any::<u8>(), 0..300)), 0..5),
            size in 1..400_usize,
        ) {
            let stream: Vec<u8> = pictures.iter().flat_map(|(width, online, jpeg)| part(*width, *online, jpeg)).collect();
            let mut parts = Parts::default();
            let mut found = Vec::new();
            for bytes in stream.chunks(size) {
                parts.push(bytes);
                found.extend(all(&mut parts));
            }
            let expected: Vec<_> = pictures
                .into_iter()
                .map(|(width, online, jpeg)| Picture { online, width, height: 480, jpeg })
                .collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn hostile_streams_are_bounded(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let mut parts = Parts::default();
            parts.push(&bytes);
            while let Ok(Some(_)) = parts.next() {}
        }
    }

    #[test]
    fn other_streams_are_refused() {
        for head in [
            "Content-Type: image/jpeg\r\n\r\n",
            "Content-Length: 99999999999\r\nX-UStreamer-Width: 1\r\nX-UStreamer-Height: 1\r\n\r\n",
            "Content-Length: 3\r\n\r\n",
        ] {
            let mut parts = Parts::default();
            parts.push(head.as_bytes());
            assert!(parts.next().is_err(), "{head}");
        }
        let mut parts = Parts::default();
        parts.push(&vec![b'a'; LONGEST_HEAD + 1]);
        assert!(parts.next().is_err());
    }
}
