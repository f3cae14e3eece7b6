//! Durability rules that a trace must satisfy.

use std::collections::{BTreeMap, HashMap, HashSet};

use sortie_media::HEAD_ROOM;

use super::event::Event;

/// Result of checking a trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Acknowledged offsets whose bytes were synced before.
    pub acknowledged: usize,
    /// Acknowledged creations whose name was synced before.
    pub created: usize,
    /// Objects finished in the right order.
    pub finished: usize,
    /// Answers to requests without concurrent ones that followed a sync of the database's log.
    pub rows: usize,
    pub faults: Vec<String>,
}

/// A write without a later sync.
#[derive(Clone, Copy, Debug)]
struct Write {
    at: u64,
    end: u64,
    /// Line in which it ended.
    ended: usize,
}

#[derive(Debug, Default)]
struct File {
    writes: Vec<Write>,
    /// Length of the durable prefix.
    durable: u64,
    length: u64,
    /// Line in which the last successful sync began.
    synced: usize,
    /// Last write at the end and last write to the head.
    last_append: Option<Write>,
    last_head: Option<(usize, Write)>,
    /// Whether all appended bytes were durable when the last write to the head began.
    head_after_index: bool,
}

/// Names that are not durable yet: path and line of their creation.
type Names = BTreeMap<String, usize>;

/// Checks the events of [`super::parse`].
pub fn check(events: &[(usize, Event)]) -> Report {
    let mut checker = Checker::default();
    for (line, event) in events {
        checker.handle(*line, event);
    }
    checker.report
}

#[derive(Default)]
struct Checker {
    report: Report,
    files: HashMap<String, File>,
    names: Names,
    requests: HashMap<String, String>,
    finished: HashSet<String>,
}

impl Checker {
    fn fault(&mut self, line: usize, what: &str) {
        self.report
            .faults
            .push(format!("line {}: {what}", line + 1));
    }

    fn handle(&mut self, line: usize, event: &Event) {
        match event {
            Event::Created { path } => {
                self.names.insert(path.clone(), line);
                self.files.entry(path.clone()).or_default();
            }
            Event::Wrote {
                path,
                at,
                len,
                begun,
            } => {
                let file = self.files.entry(path.clone()).or_default();
                file.wrote(*begun, line, *at, *len);
            }
            Event::Cut { path, len } => {
                let file = self.files.entry(path.clone()).or_default();
                file.length = *len;
                file.durable = file.durable.min(*len);
                let head_room = *len == HEAD_ROOM;
                file.writes.retain(|write| write.at < *len);
                if head_room {
                    // A hole counts as written.
                    file.writes.push(Write {
                        at: 0,
                        end: *len,
                        ended: line,
                    });
                }
            }
            Event::Synced { path, begun } => {
                self.names
                    .retain(|name, since| !(parent(name) == path.as_str() && *since < *begun));
                if let Some(file) = self.files.get_mut(path) {
                    file.sync(*begun);
                }
            }
            Event::Renaming { from, .. } => self.renaming(line, from),
            Event::Renamed { from, to } => {
                self.names.remove(from);
                self.names.insert(to.clone(), line);
                if let Some(file) = self.files.remove(from) {
                    self.files.insert(to.clone(), file);
                }
                self.finished.insert(to.clone());
            }
            Event::Read { connection, text } => {
                let verbs = ["PATCH ", "POST ", "HEAD ", "GET ", "DELETE "];
                match self.requests.get_mut(connection) {
                    // The server first reads 24 bytes, to distinguish HTTP/2 from HTTP/1.
                    Some(request) if !request.contains('\n') => request.push_str(text),
                    None if verbs.iter().any(|verb| text.starts_with(verb)) => {
                        self.requests.insert(connection.clone(), text.clone());
                    }
                    _ => {}
                }
            }
            Event::Answer { connection, text } => {
                if let Some(request) = self.requests.remove(connection) {
                    self.answer(line, &request, text);
                }
            }
        }
    }

    fn renaming(&mut self, line: usize, from: &str) {
        let Some(file) = self.files.get(from).filter(|_| from.ends_with(".part")) else {
            return;
        };
        let problem = if !file.writes.is_empty() {
            Some("is renamed with writes that are not synced")
        } else if file.last_head.is_none() {
            Some("is renamed without a head")
        } else if !file.head_after_index {
            Some("got its head before its index was synced")
        } else {
            None
        };
        match problem {
            Some(problem) => self.fault(line, &format!("{from} {problem}")),
            None => self.report.finished += 1,
        }
    }

    fn answer(&mut self, line: usize, request: &str, answer: &str) {
        let status = answer.get(9..12).unwrap_or_default();
        let is_patch = request.starts_with("PATCH /api/uploads/");
        let is_creation = request.starts_with("POST /api/uploads ");
        // Rows of concurrent requests may be incomplete.
        if self.requests.is_empty() && status.starts_with('2') {
            let mut logs = self
                .files
                .iter()
                .filter(|(path, _)| path.ends_with(".db-wal"));
            if logs.any(|(_, file)| !file.writes.is_empty()) {
                self.fault(line, "answered before what the database wrote is synced");
            }
            self.report.rows += 1;
        }
        if is_creation && status == "201" {
            let Some(id) = header(answer, "location").and_then(|it| it.rsplit('/').next()) else {
                return self.fault(line, "a creation without a Location");
            };
            let part = format!("/{id}.part");
            let unsynced = self.names.keys().any(|name| name.ends_with(&part));
            let unwritten = !self.files.keys().any(|name| name.ends_with(&part));
            match (unwritten, unsynced) {
                (true, _) => self.fault(line, &format!("{id} is acknowledged, but was never made")),
                (_, true) => self.fault(
                    line,
                    &format!("{id} is acknowledged before its name is durable"),
                ),
                _ => self.report.created += 1,
            }
        } else if is_patch && status == "204" {
            let id = request
                .strip_prefix("PATCH /api/uploads/")
                .and_then(|rest| rest.split(' ').next())
                .unwrap_or_default();
            let offset = header(answer, "upload-offset").and_then(|it| it.parse::<u64>().ok());
            let Some(offset) = offset else {
                return self.fault(line, "an acknowledgement without an offset");
            };
            self.acknowledged(line, id, offset);
        }
    }

    fn acknowledged(&mut self, line: usize, id: &str, offset: u64) {
        let named = format!("/{id}.");
        let found = self.files.iter().find(|(path, _)| path.contains(&named));
        let Some((path, file)) = found else {
            return self.fault(
                line,
                &format!("{id} is acknowledged, but was never written"),
            );
        };
        let path = path.clone();
        let is_finished = self.finished.contains(&path);
        let wanted = HEAD_ROOM + offset;
        // Finishing may truncate a torn end.
        let have = file.durable;
        if !is_finished && have < wanted {
            let missing = format!(
                "{id} is acknowledged up to {offset}, but only {} bytes are durable",
                have.saturating_sub(HEAD_ROOM)
            );
            return self.fault(line, &missing);
        }
        if file.writes.iter().any(|write| write.at < wanted) {
            return self.fault(
                line,
                &format!("{id} is acknowledged with writes that are not synced"),
            );
        }
        if self.names.contains_key(&path) {
            return self.fault(
                line,
                &format!("{path} is acknowledged before its name is durable"),
            );
        }
        self.report.acknowledged += 1;
    }
}

impl File {
    fn wrote(&mut self, begun: usize, ended: usize, at: u64, len: u64) {
        let write = Write {
            at,
            end: at + len,
            ended,
        };
        if at == 0 {
            let appended = self.last_append;
            self.head_after_index = appended.is_none_or(|append| append.ended < self.synced);
            self.last_head = Some((begun, write));
        }
        if write.end > self.length {
            self.length = write.end;
            self.last_append = Some(write);
        }
        self.writes.push(write);
    }

    /// A sync covers the writes that ended before it began.
    fn sync(&mut self, begun: usize) {
        self.synced = self.synced.max(begun);
        let (covered, rest): (Vec<_>, Vec<_>) =
            self.writes.iter().partition(|write| write.ended < begun);
        self.writes = rest;
        let mut covered = covered;
        covered.sort_by_key(|write| write.at);
        // Only contiguous writes: a hole is not durable data.
        for write in covered {
            if write.at <= self.durable {
                self.durable = self.durable.max(write.end);
            }
        }
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    /// A valid trace: created, one chunk, finished.
    const GOOD: &[&str] = &[
        r#"1 recvfrom(8<TCP:[s->c]>, "POST /api/uploads HTTP/1.1\r\nHost: x\r\n\r\n", 8192, 0, NULL, NULL) = 40"#,
        r#"2 openat(AT_FDCWD</>, "/r/a.part", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0666) = 9</r/a.part>"#,
        r#"2 ftruncate(9</r/a.part>, 4096) = 0"#,
        r#"2 fsync(9</r/a.part>) = 0"#,
        r#"2 fsync(10</r>) = 0"#,
        r#"1 writev(8<TCP:[s->c]>, [{iov_base="HTTP/1.1 201 Created\r\nlocation: /api/uploads/a\r\n\r\n", iov_len=60}], 1) = 60"#,
        r#"1 recvfrom(8<TCP:[s->c]>, "PATCH /api/uplo", 15, 0, NULL, NULL) = 15"#,
        r#"1 recvfrom(8<TCP:[s->c]>, "ads/a HTTP/1.1\r\nUpload-Offset: 0\r\n\r\n", 8192, 0, NULL, NULL) = 85"#,
        r#"2 pwrite64(9</r/a.part>, "x"..., 1000, 4096) = 1000"#,
        r#"2 pwrite64(9</r/a.part>, "x"..., 4096, 0) = 4096"#,
        r#"2 fdatasync(9</r/a.part>) = 0"#,
        r#"1 sendto(8<TCP:[s->c]>, "HTTP/1.1 204 No Content\r\nupload-offset: 1000\r\n\r\n", 60, MSG_NOSIGNAL, NULL, 0) = 60"#,
        r#"1 recvfrom(8<TCP:[s->c]>, "PATCH /api/uploads/a HTTP/1.1\r\nUpload-Length: 1000\r\n\r\n", 8192, 0, NULL, NULL) = 100"#,
        r#"3 pwrite64(9</r/a.part>, "index"..., 50, 5096) = 50"#,
        r#"3 fdatasync(9</r/a.part>) = 0"#,
        r#"3 pwrite64(9</r/a.part>, "head"..., 200, 0) = 200"#,
        r#"3 fdatasync(9</r/a.part>) = 0"#,
        r#"3 rename("/r/a.part", "/r/a.webm") = 0"#,
        r#"3 fsync(10</r>) = 0"#,
        r#"1 sendto(8<TCP:[s->c]>, "HTTP/1.1 204 No Content\r\nupload-offset: 1000\r\n\r\n", 60, MSG_NOSIGNAL, NULL, 0) = 60"#,
    ];

    #[track_caller]
    fn faults(lines: &[&str], expected: &str) {
        let report = check(&parse(&lines.join("\n")));
        assert!(
            report.faults.iter().any(|fault| fault.contains(expected)),
            "{expected:?} is not among {:?}",
            report.faults
        );
    }

    /// The valid trace without the lines of these numbers.
    fn without(numbers: &[usize]) -> Vec<&'static str> {
        let kept =
            |(number, line): (usize, &&'static str)| (!numbers.contains(&number)).then_some(*line);
        GOOD.iter().enumerate().filter_map(kept).collect()
    }

    #[test]
    fn valid_trace_has_no_fault() {
        let expected = Report {
            acknowledged: 2,
            created: 1,
            finished: 1,
            rows: 3,
            faults: Vec::new(),
        };
        assert_eq!(check(&parse(&GOOD.join("\n"))), expected);
    }

    #[test]
    fn missing_sync_is_reported() {
        faults(
            &without(&[4]),
            "a is acknowledged before its name is durable",
        );
        faults(&without(&[10]), "but only 0 bytes are durable");
        faults(&without(&[14]), "got its head before its index was synced");
        faults(
            &without(&[16]),
            "is renamed with writes that are not synced",
        );
        faults(
            &without(&[18]),
            "/r/a.webm is acknowledged before its name is durable",
        );
        faults(&without(&[8]), "but only 0 bytes are durable");
    }

    #[test]
    fn failed_early_or_late_sync_covers_nothing() {
        let mut failed = GOOD.to_vec();
        failed[10] = r#"2 fdatasync(9</r/a.part>) = -1 EIO (Input/output error)"#;
        faults(&failed, "but only 0 bytes are durable");

        let mut early = GOOD.to_vec();
        early[10] = "2 <... fdatasync resumed>) = 0";
        early[9] = r#"4 pwrite64(9</r/a.part>, "x"..., 4096, 0) = 4096"#;
        early[8] = r#"4 pwrite64(9</r/a.part>, "x"..., 1000, 4096) = 1000"#;
        early.insert(8, r#"2 fdatasync(9</r/a.part> <unfinished ...>"#);
        faults(&early, "but only 0 bytes are durable");

        let mut late = GOOD.to_vec();
        late[10] = r#"2 fdatasync(9</r/a.part> <unfinished ...>"#;
        late.insert(12, "2 <... fdatasync resumed>) = 0");
        faults(&late, "but only 0 bytes are durable");
    }

    #[test]
    fn unsynced_row_is_reported() {
        let mut lines = GOOD.to_vec();
        lines.insert(
            5,
            r#"5 pwrite64(11</d/sortie.db-wal>, "row"..., 4120, 32) = 4120"#,
        );
        faults(&lines, "answered before what the database wrote is synced");
        lines.insert(6, r#"5 fdatasync(11</d/sortie.db-wal>) = 0"#);
        assert_eq!(check(&parse(&lines.join("\n"))).faults, [""; 0]);
    }

    #[test]
    fn hole_is_not_durable() {
        let mut hole = GOOD.to_vec();
        hole[8] = r#"2 pwrite64(9</r/a.part>, "x"..., 900, 4196) = 900"#;
        faults(&hole, "but only 0 bytes are durable");
    }
}
