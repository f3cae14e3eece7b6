//! Queue of the markers that a recorder makes: by the user or the app, and automatically.

use super::command::Command;
use crate::{MarkKind, RecorderError, Refusal};

/// Limit of a text on our server, in characters.
const TEXT_MAX: usize = 500;
/// Limit of a recording's markers on our server.
const MARKS_MAX: usize = 1_000;
/// Number of markers after which none is made automatically, so that the others fit.
const AUTOMATIC_MAX: usize = 500;
/// First and longest wait between attempts.
const BACKOFF_MS: f64 = 1_000.0;
const BACKOFF_CAP_MS: f64 = 30_000.0;
/// Attempts after the server holds all bytes. The markers that it does not accept then stay on the device.
const LAST_ATTEMPTS: u32 = 5;

/// Marker to send to our server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewMark {
    /// Number within the recording, by which the server recognises a repetition.
    pub(crate) number: usize,
    /// Time in the file in ms.
    pub(crate) time_ms: u64,
    pub(crate) kind: MarkKind,
    pub(crate) text: String,
}

/// Marker that the server does not hold yet.
#[derive(Debug)]
struct Mark {
    part: usize,
    /// Time in the whole recording is in `time_ms`.
    mark: NewMark,
}

/// Recording on the server with the bytes of a part, or with the rest of them.
#[derive(Debug)]
struct Destination {
    part: usize,
    /// Length of the whole recording where the file begins, in ms.
    from_ms: u64,
    recording: String,
}

/// Outcome of an attempt to send a marker.
#[derive(Debug)]
pub(super) enum Sent {
    /// The server holds this number of markers of a part, or never accepts them.
    Settled(Command, Option<RecorderError>),
    /// It is tried again later.
    Again,
    /// The markers stay on the device.
    GivenUp,
}

#[derive(Debug)]
pub(super) struct Marks {
    unsent: Vec<Mark>,
    count: usize,
    /// Length of the whole recording at the beginning of each part, and number of settled markers of the part.
    parts: Vec<(u64, usize)>,
    destinations: Vec<Destination>,
    /// Parts whose bytes are on the server, but not all of their markers.
    held: Vec<usize>,
    is_in_flight: bool,
    retry_at_ms: f64,
    backoff_ms: f64,
    /// Whether the server holds all bytes.
    is_uploaded: bool,
    last_attempts: u32,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            unsent: Vec::new(),
            count: 0,
            parts: vec![(0, 0)],
            destinations: Vec::new(),
            held: Vec::new(),
            is_in_flight: false,
            retry_at_ms: 0.0,
            backoff_ms: BACKOFF_MS,
            is_uploaded: false,
            last_attempts: 0,
        }
    }
}

impl Marks {
    /// Makes a marker for the user or the app.
    pub(super) fn make(
        &mut self,
        part: usize,
        time_ms: u64,
        kind: MarkKind,
        text: String,
    ) -> Result<Command, RecorderError> {
        let is_valid = text.chars().count() <= TEXT_MAX
            && !text.chars().any(|it| it.is_control() && it != '\n');
        let (status, detail) = match is_valid {
            true if self.count < MARKS_MAX => return Ok(self.add(part, time_ms, kind, text)),
            true => (409, "This recording has 1,000 markers, which is the limit."),
            false => (
                400,
                "The text of a marker must have at most 500 characters, and no control characters besides line breaks.",
            ),
        };
        Err(Refusal::of_status(status, detail.to_owned()).into())
    }

    /// Makes a marker automatically.
    pub(super) fn make_automatic(
        &mut self,
        part: usize,
        time_ms: u64,
        kind: MarkKind,
        text: String,
    ) -> Option<Command> {
        (self.count < AUTOMATIC_MAX).then(|| self.add(part, time_ms, kind, text))
    }

    fn add(&mut self, part: usize, time_ms: u64, kind: MarkKind, text: String) -> Command {
        let mark = NewMark {
            number: self.count,
            time_ms,
            kind,
            text,
        };
        self.count += 1;
        let kept = mark.in_file(self.start_of(part));
        self.unsent.push(Mark { part, mark });
        Command::KeepMark(part, kept)
    }

    /// Records that a further part begins when the recording is this long.
    pub(super) fn add_part(&mut self, recorded_ms: u64) {
        self.parts.push((recorded_ms, 0));
    }

    /// Records that a part is sent to this recording on the server.
    pub(super) fn sends_to(&mut self, part: usize, recording: &str) {
        let from_ms = self.start_of(part);
        self.destinations.push(Destination {
            part,
            from_ms,
            recording: recording.to_owned(),
        });
    }

    /// Records that the rest of a part after `safe_ms` of the whole recording is sent to this recording. Its file begins with a
    /// cluster, whose first picture is at `media_ms` of the part: returns a marker of the gap before it.
    pub(super) fn sends_rest_to(
        &mut self,
        part: usize,
        recording: &str,
        safe_ms: u64,
        media_ms: Option<u64>,
    ) -> Option<Command> {
        let media_ms = media_ms.map(|it| self.start_of(part) + it);
        let from_ms = media_ms.unwrap_or(safe_ms).max(safe_ms);
        self.destinations.push(Destination {
            part,
            from_ms,
            recording: recording.to_owned(),
        });
        let gap_s = (from_ms - safe_ms) / 1_000;
        let text = format!("{gap_s} s before this cannot be played");
        (gap_s > 0)
            .then(|| self.make_automatic(part, from_ms, MarkKind::Gap, text))
            .flatten()
    }

    /// Returns the length of the whole recording at the beginning of a part.
    fn start_of(&self, part: usize) -> u64 {
        self.parts.get(part).map_or(0, |it| it.0)
    }

    fn destination(&self, mark: &Mark) -> Option<&Destination> {
        let own = self.destinations.iter().filter(|it| it.part == mark.part);
        let mut begun = own.clone().filter(|it| it.from_ms <= mark.mark.time_ms);
        // A part without bytes is not uploaded.
        let any = || self.destinations.last().filter(|_| self.is_uploaded);
        begun
            .next_back()
            .or_else(|| own.clone().next())
            .or_else(any)
    }

    /// Returns the next marker to send, once the server holds the recording up to it: the bytes after that may become another
    /// recording there.
    pub(super) fn step(&mut self, now_ms: f64, safe_ms: u64) -> Option<Command> {
        if self.is_in_flight || now_ms < self.retry_at_ms {
            return None;
        }
        let is_there = |it: &&Mark| it.mark.time_ms <= safe_ms || self.is_uploaded;
        let mark = self.unsent.first().filter(is_there)?;
        let Destination {
            recording, from_ms, ..
        } = self.destination(mark)?;
        let command = Command::SendMark(recording.clone(), mark.mark.in_file(*from_ms));
        self.is_in_flight = true;
        Some(command)
    }

    /// Takes the outcome of [`Command::SendMark`].
    pub(super) fn handle_sent(&mut self, now_ms: f64, sent: Result<(), RecorderError>) -> Sent {
        self.is_in_flight = false;
        if sent.as_ref().is_err_and(is_temporary) {
            self.last_attempts += u32::from(self.is_uploaded);
            if self.last_attempts >= LAST_ATTEMPTS {
                self.unsent.clear();
                return Sent::GivenUp;
            }
            self.retry_at_ms = now_ms + self.backoff_ms;
            self.backoff_ms = (self.backoff_ms * 2.0).min(BACKOFF_CAP_MS);
            return Sent::Again;
        }
        self.backoff_ms = BACKOFF_MS;
        if self.unsent.is_empty() {
            return Sent::Again;
        }
        let Mark { part, .. } = self.unsent.remove(0);
        let mut settled = 0;
        if let Some(part) = self.parts.get_mut(part) {
            part.1 += 1;
            settled = part.1;
        }
        Sent::Settled(Command::MarksSettled(part, settled), sent.err())
    }

    /// Whether the device must keep a part whose bytes are on the server, until its markers are, too.
    pub(super) fn hold(&mut self, part: usize) -> bool {
        let has_unsent = self.unsent.iter().any(|it| it.part == part);
        if has_unsent {
            self.held.push(part);
        }
        has_unsent
    }

    /// Returns a held part whose markers are on the server.
    pub(super) fn take_released(&mut self) -> Option<usize> {
        let is_free = |part: &usize| !self.unsent.iter().any(|it| it.part == *part);
        let at = self.held.iter().position(is_free)?;
        Some(self.held.remove(at))
    }

    /// Records that the server holds all bytes.
    pub(super) fn uploaded(&mut self) {
        self.is_uploaded = true;
        if self.destinations.is_empty() {
            self.unsent.clear();
        }
        self.retry_at_ms = 0.0;
    }

    /// Whether nothing but markers is missing on the server, and they are settled.
    pub(super) fn is_settled(&self) -> bool {
        self.is_uploaded && self.unsent.is_empty()
    }

    /// Forgets the parts that stay on the device.
    pub(super) fn leave(&mut self) {
        self.held.clear();
    }
}

impl NewMark {
    /// Returns the marker for a file that begins at this length of the whole recording.
    fn in_file(&self, from_ms: u64) -> Self {
        let mut mark = self.clone();
        mark.time_ms = mark.time_ms.saturating_sub(from_ms);
        mark
    }
}

/// Whether the same request may succeed later.
pub(crate) fn is_temporary(error: &RecorderError) -> bool {
    match error {
        RecorderError::Refused(refusal) => {
            matches!(refusal.status, ..400 | 408 | 425 | 429 | 500..)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(marks: &mut Marks, part: usize, time_ms: u64) -> Command {
        let made = marks.make(part, time_ms, MarkKind::Note, "x".to_owned());
        made.expect("a marker")
    }

    fn sent_to(command: Option<Command>) -> Option<(String, u64)> {
        match command? {
            Command::SendMark(recording, mark) => Some((recording, mark.time_ms)),
            _ => None,
        }
    }

    fn refused(status: u16) -> Result<(), RecorderError> {
        Err(Refusal::of_status(status, String::new()).into())
    }

    #[test]
    fn markers_are_sent_in_order_with_their_time_in_the_file() {
        let mut marks = Marks::default();
        note(&mut marks, 0, 1_000);
        assert_eq!(sent_to(marks.step(0.0, u64::MAX)), None, "no upload yet");
        marks.sends_to(0, "a");
        assert_eq!(
            sent_to(marks.step(0.0, 999)),
            None,
            "its bytes are not there"
        );
        assert_eq!(
            sent_to(marks.step(0.0, 1_000)),
            Some(("a".to_owned(), 1_000))
        );
        assert_eq!(sent_to(marks.step(0.0, u64::MAX)), None, "one at a time");
        marks.add_part(5_000);
        let Command::KeepMark(1, kept) = note(&mut marks, 1, 7_000) else {
            panic!("kept in its part");
        };
        assert_eq!((kept.time_ms, kept.number), (2_000, 1));
        let Sent::Settled(Command::MarksSettled(0, 1), None) = marks.handle_sent(0.0, Ok(()))
        else {
            panic!("settled");
        };
        assert_eq!(
            sent_to(marks.step(0.0, u64::MAX)),
            None,
            "the upload of its part has not begun"
        );
        marks.sends_to(1, "b");
        assert_eq!(
            sent_to(marks.step(0.0, u64::MAX)),
            Some(("b".to_owned(), 2_000))
        );
    }

    #[test]
    fn marker_in_the_rest_of_an_ended_upload_belongs_to_the_further_part() {
        let mut marks = Marks::default();
        marks.sends_to(0, "a");
        note(&mut marks, 0, 1_000);
        note(&mut marks, 0, 9_000);
        assert_eq!(marks.sends_rest_to(0, "rest", 4_000, None), None);
        assert_eq!(
            sent_to(marks.step(0.0, u64::MAX)),
            Some(("a".to_owned(), 1_000))
        );
        marks.handle_sent(0.0, Ok(()));
        assert_eq!(
            sent_to(marks.step(0.0, u64::MAX)),
            Some(("rest".to_owned(), 5_000))
        );
    }

    #[test]
    fn rest_that_begins_later_has_a_marker_of_the_gap() {
        let mut marks = Marks::default();
        marks.add_part(10_000);
        marks.sends_to(1, "a");
        note(&mut marks, 1, 19_000);
        let Some(Command::KeepMark(1, gap)) = marks.sends_rest_to(1, "rest", 14_000, Some(6_500))
        else {
            panic!("a marker");
        };
        assert_eq!((gap.kind, gap.time_ms), (MarkKind::Gap, 6_500));
        assert_eq!(gap.text, "2 s before this cannot be played");
        assert_eq!(
            sent_to(marks.step(0.0, u64::MAX)),
            Some(("rest".to_owned(), 2_500))
        );
        marks.handle_sent(0.0, Ok(()));
        assert_eq!(
            sent_to(marks.step(0.0, u64::MAX)),
            Some(("rest".to_owned(), 0))
        );
    }

    #[test]
    fn unreachable_server_gets_the_marker_later_and_a_refusal_settles_it() {
        let mut marks = Marks::default();
        marks.sends_to(0, "a");
        note(&mut marks, 0, 1);
        assert!(marks.step(0.0, u64::MAX).is_some());
        let failed = marks.handle_sent(0.0, Err(RecorderError::Unreachable));
        assert!(matches!(failed, Sent::Again));
        assert!(marks.step(999.0, u64::MAX).is_none());
        assert!(marks.step(1_000.0, u64::MAX).is_some());
        assert!(matches!(
            marks.handle_sent(1_000.0, refused(503)),
            Sent::Again
        ));
        assert!(marks.step(2_999.0, u64::MAX).is_none());
        assert!(marks.step(3_000.0, u64::MAX).is_some());
        let Sent::Settled(_, Some(error)) = marks.handle_sent(3_000.0, refused(404)) else {
            panic!("settled");
        };
        assert!(!is_temporary(&error));
        assert!(marks.step(9_000.0, u64::MAX).is_none());
    }

    #[test]
    fn part_is_held_until_its_markers_are_settled() {
        let mut marks = Marks::default();
        marks.sends_to(0, "a");
        assert!(!marks.hold(0));
        note(&mut marks, 0, 1);
        assert!(marks.hold(0));
        assert_eq!(marks.take_released(), None);
        marks.uploaded();
        assert!(!marks.is_settled());
        assert!(marks.step(0.0, u64::MAX).is_some());
        marks.handle_sent(0.0, Ok(()));
        assert_eq!(marks.take_released(), Some(0));
        assert!(marks.is_settled());
    }

    #[test]
    fn markers_stay_on_the_device_when_only_they_fail() {
        let mut marks = Marks::default();
        marks.sends_to(0, "a");
        note(&mut marks, 0, 1);
        marks.uploaded();
        for attempt in 1..=LAST_ATTEMPTS {
            assert!(marks.step(f64::MAX, u64::MAX).is_some());
            let sent = marks.handle_sent(0.0, refused(500));
            assert_eq!(matches!(sent, Sent::GivenUp), attempt == LAST_ATTEMPTS);
        }
        assert!(marks.is_settled());
    }

    #[test]
    fn marker_of_a_part_without_bytes_goes_to_the_last_upload() {
        let mut marks = Marks::default();
        marks.sends_to(0, "a");
        marks.add_part(4_000);
        note(&mut marks, 1, 4_500);
        assert!(marks.step(0.0, u64::MAX).is_none());
        marks.uploaded();
        assert_eq!(
            sent_to(marks.step(0.0, u64::MAX)),
            Some(("a".to_owned(), 4_500))
        );
    }

    #[test]
    fn texts_and_number_are_limited() {
        let mut marks = Marks::default();
        let mut make = |text: &str| marks.make(0, 0, MarkKind::Note, text.to_owned());
        for text in ["ä".repeat(501), "a\0b".to_owned(), "\u{85}".to_owned()] {
            assert!(make(&text).is_err());
        }
        assert!(make(&"ä".repeat(500)).is_ok());
        assert!(make("two\nlines").is_ok());
        for _ in 2..MARKS_MAX {
            note(&mut marks, 0, 0);
        }
        let error = marks.make(0, 0, MarkKind::Note, String::new()).unwrap_err();
        assert_eq!(error.code(), crate::ErrorCode::Conflict);
        assert!(
            marks
                .make_automatic(0, 0, MarkKind::Pause, String::new())
                .is_none()
        );
    }
}
