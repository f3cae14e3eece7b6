//! Lines of a streamed response (`application/x-ndjson`).

/// Splits a byte stream into lines.
#[derive(Clone, Debug, Default)]
pub struct LineReader {
    /// Bytes of the incomplete last line.
    rest: Vec<u8>,
}

impl LineReader {
    /// Adds bytes; returns the lines that are complete now, without empty ones.
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
