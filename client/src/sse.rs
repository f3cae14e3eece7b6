//! Parser of server-sent events (WHATWG HTML, 9.2.6) that takes bytes in any split.

/// Size limit of an event; our server's events are shorter.
const EVENT_MAX: usize = 256 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerSentEvent {
    /// Field `event`; `message` without one.
    pub(crate) name: String,
    /// Fields `data`, one per line.
    pub(crate) data: String,
}

/// Parses bytes into events. The fields `id` and `retry` are ignored.
#[derive(Debug, Default)]
pub(crate) struct EventReader {
    line: Vec<u8>,
    /// Whether the last byte was a CR; an LF after it belongs to the same line end.
    after_cr: bool,
    began: bool,
    name: String,
    data: Option<String>,
}

impl EventReader {
    /// Adds bytes and returns the events that are complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<ServerSentEvent> {
        let mut events = Vec::new();
        for byte in bytes {
            let after_cr = std::mem::take(&mut self.after_cr);
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => {
                    self.after_cr = *byte == b'\r';
                    let line = std::mem::take(&mut self.line);
                    events.extend(self.end_line(&line));
                }
                // An overlong event is dropped, and the rest of its line is skipped.
                _ if self.line.len() >= EVENT_MAX => {}
                byte => self.line.push(*byte),
            }
        }
        events
    }

    fn end_line(&mut self, line: &[u8]) -> Option<ServerSentEvent> {
        let line = String::from_utf8_lossy(line);
        let mut line = line.as_ref();
        if !std::mem::replace(&mut self.began, true) {
            // A byte order mark may precede the stream.
            line = line.strip_prefix('\u{feff}').unwrap_or(line);
        }
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            return Some(ServerSentEvent {
                data: self.data.take()?,
                name: if name.is_empty() {
                    "message".to_owned()
                } else {
                    name
                },
            });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => match &mut self.data {
                None => self.data = Some(value.to_owned()),
                Some(data) if data.len() + value.len() < EVENT_MAX => {
                    data.push('\n');
                    data.push_str(value);
                }
                Some(_) => {}
            },
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, data)| ServerSentEvent {
                name: (*name).to_owned(),
                data: (*data).to_owned(),
            })
            .collect();
        assert_eq!(EventReader::default().push(text.as_bytes()), expected);
        // Any split results in the same events.
        let mut reader = EventReader::default();
        let split: Vec<_> = text
            .as_bytes()
            .iter()
            .flat_map(|byte| reader.push(std::slice::from_ref(byte)))
            .collect();
        assert_eq!(split, expected);
    }

    #[test]
    fn events_are_parsed_like_in_the_standard() {
        check(
            "event: hello\ndata: {}\nretry: 2000\n\n",
            &[("hello", "{}")],
        );
        check(
            "data:a\ndata: b\n\ndata\n\n",
            &[("message", "a\nb"), ("message", "")],
        );
        check(
            ": keep-alive\n\nevent: x\n\ndata: y\n\n",
            &[("message", "y")],
        );
        check(
            "event: a\r\ndata: 1\r\n\r\nevent: b\rdata: 2\r\r",
            &[("a", "1"), ("b", "2")],
        );
        check("\u{feff}data: ä\n\n", &[("message", "ä")]);
        check("data: not complete\n", &[]);
    }

    #[test]
    fn endless_line_takes_bounded_memory() {
        let mut reader = EventReader::default();
        for _ in 0..100 {
            assert!(reader.push(&[b'x'; 10_000]).is_empty());
        }
        assert!(reader.line.len() <= EVENT_MAX);
        reader.push(b"\n");
        assert_eq!(reader.push(b"data: y\n\n").len(), 1);
    }
}
