//! Journal of the spool: one fact per line, each with a checksum that detects torn and damaged lines.
//!
//! `<FNV-1a of the rest, 8 hex digits> <name>=<value>\n`

/// Kind of a line. The names are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// Version of the format; the first line.
    Version,
    /// Owner of the recording, as an identifier that the page chooses.
    Owner,
    /// Base URL of our server.
    Server,
    /// Session on our server.
    Session,
    /// URL at which another tus server creates uploads.
    Endpoint,
    /// Unix time of the start in ms.
    Started,
    /// File name without extension.
    Name,
    /// MIME type of the recording.
    Type,
    /// Recording id on our server.
    Recording,
    /// URL of the upload.
    Upload,
    /// Offset of the first byte that is on the device; the server holds the bytes before it.
    From,
    /// Offset up to which the bytes are complete, length of the recording there in ms, and bytes acknowledged by the
    /// server.
    At,
    /// The recording was stopped: no bytes follow.
    Ended,
    /// First part of the recording: its id on our server, or the last segment of its upload URL on another one.
    Continues,
    /// External ID of the recording.
    ExternalId,
    /// Metadata of the recording: a JSON object.
    Metadata,
    /// Marker of the recording: the body that adds it to our server. There may be several.
    Mark,
    /// Number of markers, from the first one on, that need not be sent again.
    MarksSettled,
}

/// Version of the format. Other versions are not read.
const VERSION: &str = "1";

const NAMES: [(Fact, &str); 18] = [
    (Fact::Version, "sortie-spool"),
    (Fact::Owner, "owner"),
    (Fact::Server, "server"),
    (Fact::Session, "session"),
    (Fact::Endpoint, "endpoint"),
    (Fact::Started, "started"),
    (Fact::Name, "name"),
    (Fact::Type, "type"),
    (Fact::Recording, "recording"),
    (Fact::Upload, "upload"),
    (Fact::From, "from"),
    (Fact::At, "at"),
    (Fact::Ended, "ended"),
    (Fact::Continues, "continues"),
    (Fact::ExternalId, "external-id"),
    (Fact::Metadata, "metadata"),
    (Fact::Mark, "mark"),
    (Fact::MarksSettled, "marks-settled"),
];

/// Latest value of each fact, and all markers, in order of first use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts(Vec<(Fact, String)>);

impl Default for Facts {
    fn default() -> Self {
        Self(vec![(Fact::Version, VERSION.to_owned())])
    }
}

impl Facts {
    /// Sets a fact. Line breaks are removed, because they end the line.
    pub(crate) fn set(&mut self, fact: Fact, value: &str) {
        let value = value.chars().filter(|it| *it != '\n').collect();
        let mut known = self.0.iter_mut();
        match known.find(|it| it.0 == fact && fact != Fact::Mark) {
            Some(known) => known.1 = value,
            None => self.0.push((fact, value)),
        }
    }

    /// Returns the latest value of a fact.
    pub(crate) fn text(&self, fact: Fact) -> Option<&str> {
        self.all(fact).last()
    }

    /// Returns all values of a fact.
    pub(crate) fn all(&self, fact: Fact) -> impl Iterator<Item = &str> {
        let known = self.0.iter().filter(move |it| it.0 == fact);
        known.map(|it| it.1.as_str())
    }

    pub(crate) fn number(&self, fact: Fact) -> Option<u64> {
        self.text(fact)?.parse().ok()
    }

    /// Returns the line of a fact; empty if it is unknown.
    pub(crate) fn line(&self, fact: Fact) -> String {
        let value = self.text(fact);
        value.map_or_else(String::new, |value| line(fact, value))
    }

    /// Returns the lines of all facts.
    pub(crate) fn lines(&self) -> String {
        self.0
            .iter()
            .map(|(fact, value)| line(*fact, value))
            .collect()
    }

    /// Reads a journal up to the first damaged line; `None` without a line of this version.
    pub(crate) fn read(journal: &str) -> Option<Self> {
        let mut facts = Self(Vec::new());
        for line in journal.split_inclusive('\n') {
            let Some((name, value)) = checked(line) else {
                break;
            };
            // Newer versions may have other names; they are ignored.
            if let Some((fact, _)) = NAMES.iter().find(|it| it.1 == name) {
                facts.set(*fact, value);
            }
        }
        (facts.text(Fact::Version) == Some(VERSION)).then_some(facts)
    }
}

fn line(fact: Fact, value: &str) -> String {
    let name = NAMES.iter().find(|it| it.0 == fact).map_or("", |it| it.1);
    let rest = format!("{name}={value}");
    format!("{:08x} {rest}\n", fnv(rest.as_bytes()))
}

fn checked(line: &str) -> Option<(&str, &str)> {
    let (sum, rest) = line.strip_suffix('\n')?.split_once(' ')?;
    let sum = u32::from_str_radix(sum, 16).ok()?;
    (sum == fnv(rest.as_bytes())).then(|| rest.split_once('='))?
}

/// FNV-1a, 32 bits: detects torn writes, not manipulation.
fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let mut facts = Facts::default();
        facts.set(Fact::Server, "");
        facts.set(Fact::Name, "a\nb\tc=d");
        facts.set(Fact::At, "10 1000 0");
        facts
    }

    #[test]
    fn facts_are_read_as_written() {
        let read = Facts::read(&facts().lines());
        assert_eq!(read, Some(facts()));
        assert_eq!(facts().text(Fact::Name), Some("ab\tc=d"));
    }

    #[test]
    fn latest_value_of_a_fact_counts() {
        let mut journal = facts().lines();
        let mut later = Facts::default();
        later.set(Fact::At, "20 2000 10");
        journal += &later.line(Fact::At);
        assert_eq!(later.line(Fact::Upload), "");
        let read = Facts::read(&journal).expect("a journal");
        assert_eq!(read.text(Fact::At), Some("20 2000 10"));
    }

    #[test]
    fn every_marker_is_kept() {
        let mut facts = facts();
        let mut journal = facts.lines();
        for number in 0..3 {
            facts.set(Fact::Mark, &format!("{{\"id\":\"r{number}\"}}"));
            journal += &facts.line(Fact::Mark);
        }
        let read = Facts::read(&journal).expect("a journal");
        let marks: Vec<_> = read.all(Fact::Mark).collect();
        assert_eq!(
            marks,
            [r#"{"id":"r0"}"#, r#"{"id":"r1"}"#, r#"{"id":"r2"}"#]
        );
        assert_eq!(Facts::read(&facts.lines()), Some(facts));
    }

    #[test]
    fn truncated_journal_keeps_complete_lines() {
        let whole = facts().lines();
        let lines: Vec<&str> = whole.split_inclusive('\n').collect();
        for cut in 0..whole.len() {
            let read = Facts::read(&whole[..cut]);
            let kept = lines
                .iter()
                .scan(0, |end, it| {
                    *end += it.len();
                    Some(*end)
                })
                .filter(|end| *end <= cut)
                .count();
            assert_eq!(read.map_or(0, |it| it.0.len()), kept, "cut at {cut}");
        }
    }

    #[test]
    fn journal_ends_at_a_damaged_line() {
        let damaged = facts().lines().replace("10 1000", "90 1000");
        let read = Facts::read(&damaged).expect("the lines before");
        assert_eq!(read.text(Fact::At), None);
        assert_eq!(read.text(Fact::Server), Some(""));
    }

    #[test]
    fn journal_of_another_version_is_not_read() {
        let mut facts = facts();
        facts.set(Fact::Version, "2");
        assert_eq!(Facts::read(&facts.lines()), None);
        assert_eq!(Facts::read(""), None);
        assert_eq!(Facts::read("\0\0\0\0"), None);
    }

    #[test]
    fn facts_of_later_versions_are_ignored() {
        let mut journal = facts().lines();
        let unknown = "later=1 2";
        journal += &format!("{:08x} {unknown}\n", fnv(unknown.as_bytes()));
        let mut last = Facts::default();
        last.set(Fact::Metadata, "{\"a\":\"\u{7f}\"}");
        journal += &last.line(Fact::Metadata);
        let read = Facts::read(&journal).expect("a journal");
        assert_eq!(read.text(Fact::Metadata), last.text(Fact::Metadata));
        assert_eq!(read.text(Fact::At), facts().text(Fact::At));
    }

    #[test]
    fn fact_names_are_unique() {
        for (i, (fact, name)) in NAMES.iter().enumerate() {
            assert!(NAMES[..i].iter().all(|it| it.0 != *fact && it.1 != *name));
        }
    }
}
