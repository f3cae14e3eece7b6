//! Frames of a live picture, from the bytes of a `multipart/x-mixed-replace` response.

/// Largest part of a stream. A frame has 50 kB.
const PART_MAX: usize = 2 << 20;

/// Splits a stream into its frames, by the `Content-Length` of each part.
#[derive(Clone, Debug, Default)]
pub struct PictureReader {
    /// Bytes of the incomplete part.
    rest: Vec<u8>,
}

/// The stream is not one of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotPictures;

impl PictureReader {
    /// Adds bytes; returns the newest frame that is complete now.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, NotPictures> {
        self.rest.extend_from_slice(bytes);
        let mut newest = None;
        while let Some(begin) = find(&self.rest, b"\r\n\r\n").map(|at| at + 4) {
            let length = content_length(&self.rest[..begin]).ok_or(NotPictures)?;
            let Some(frame) = self.rest.get(begin..begin + length) else {
                break;
            };
            newest = Some(frame.to_vec());
            self.rest.drain(..begin + length);
        }
        match self.rest.len() > PART_MAX {
            true => Err(NotPictures),
            false => Ok(newest),
        }
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|it| it == wanted)
}

/// Returns the length of a part by its head; `None` without a plausible one.
fn content_length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let (_, length) = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    length
        .trim()
        .parse()
        .ok()
        .filter(|length| *length <= PART_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "--b\r\nContent-Type: image/jpeg\r\nContent-Length: 3\r\n\r\none\r\n--b\r\n\
                          Content-Type: image/jpeg\r\nContent-Length: 5\r\n\r\nt\r\n\r\n\r\n--b\r\n";

    #[test]
    fn every_split_gives_the_same_frames() {
        for at in 0..=STREAM.len() {
            let mut reader = PictureReader::default();
            let (before, after) = STREAM.as_bytes().split_at(at);
            let first = reader.push(before).unwrap();
            let last = reader.push(after).unwrap().or(first);
            assert_eq!(last.as_deref(), Some(b"t\r\n\r\n".as_slice()), "{at}");
        }
    }

    #[test]
    fn frames_follow_one_another() {
        let mut reader = PictureReader::default();
        let mut frames = Vec::new();
        for byte in STREAM.as_bytes() {
            frames.extend(reader.push(&[*byte]).unwrap());
        }
        assert_eq!(frames, [b"one".to_vec(), b"t\r\n\r\n".to_vec()]);
    }

    #[test]
    fn other_streams_are_refused() {
        for text in [
            "<html>\r\n\r\n",
            "--b\r\nContent-Length: x\r\n\r\n",
            "--b\r\nContent-Length: 99999999\r\n\r\n",
        ] {
            let refused = PictureReader::default().push(text.as_bytes());
            assert_eq!(refused, Err(NotPictures), "{text}");
        }
        let endless = PictureReader::default().push(&vec![b'x'; PART_MAX + 1]);
        assert_eq!(endless, Err(NotPictures));
    }
}
