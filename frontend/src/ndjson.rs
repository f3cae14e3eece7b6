//! Lines of a streamed answer (`application/x-ndjson`).

/// Splits bytes that arrive in pieces into lines.
#[derive(Clone, Debug, Default)]
pub struct LineReader {
    /// Bytes of a line whose end has not arrived.
    rest: Vec<u8>,
}

impl LineReader {
    /// Takes more bytes; returns the lines that are complete now, without those that are empty.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for byte in bytes {
            if *byte != b'\n' {
                self.rest.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.rest);
            if !line.is_empty() {
                lines.push(String::from_utf8_lossy(&line).into_owned());
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_split_gives_the_same_lines() {
        let bytes = "{\"id\":\"é\"}\n\n{\"id\":\"b\"}\nrest".as_bytes();
        for at in 0..=bytes.len() {
            let mut reader = LineReader::default();
            let mut lines = reader.push(&bytes[..at]);
            lines.extend(reader.push(&bytes[at..]));
            assert_eq!(lines, ["{\"id\":\"é\"}", "{\"id\":\"b\"}"], "{at}");
        }
    }
}
