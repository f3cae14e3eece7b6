//! Events parsed from strace's lines.

use std::collections::HashMap;

/// A system call. Calls of other threads may occur between its begin and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A file was created (`openat` with `O_CREAT`).
    Created {
        path: String,
    },
    /// A write to a file ended.
    Wrote {
        path: String,
        at: u64,
        len: u64,
        /// Line in which the write began.
        begun: usize,
    },
    /// A file's length was set.
    Cut {
        path: String,
        len: u64,
    },
    /// `fsync` or `fdatasync` of a file or folder succeeded.
    Synced {
        path: String,
        /// Line in which the sync began.
        begun: usize,
    },
    Renaming {
        from: String,
        to: String,
    },
    Renamed {
        from: String,
        to: String,
    },
    /// A read from a connection: a request's head, a part of one, or a body.
    Read {
        connection: String,
        /// First bytes of the data.
        text: String,
    },
    /// The first write of an answer began.
    Answer {
        connection: String,
        /// First bytes of the data.
        text: String,
    },
}

/// A call that has begun.
struct Call {
    name: String,
    arguments: String,
    begun: usize,
}

/// Parses a trace into events with their line numbers, in order.
pub fn parse(trace: &str) -> Vec<(usize, Event)> {
    let mut events = Vec::new();
    let mut unfinished: HashMap<&str, Call> = HashMap::new();
    for (number, line) in trace.lines().enumerate() {
        let (pid, rest) = match line.split_once(' ') {
            Some((pid, rest)) if pid.bytes().all(|byte| byte.is_ascii_digit()) => {
                (pid, rest.trim_start())
            }
            _ => ("", line),
        };
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some((_, tail)) = resumed.split_once(" resumed>") else {
                continue;
            };
            if let Some(mut call) = unfinished.remove(pid) {
                call.arguments.push_str(tail);
                ended(&mut events, number, &call);
            }
            continue;
        }
        let Some((name, arguments)) = rest.split_once('(') else {
            continue;
        };
        let (arguments, is_unfinished) = match arguments.strip_suffix("<unfinished ...>") {
            Some(arguments) => (arguments, true),
            None => (arguments, false),
        };
        let call = Call {
            name: name.to_owned(),
            arguments: arguments.to_owned(),
            begun: number,
        };
        begun(&mut events, number, &call);
        if is_unfinished {
            unfinished.insert(pid, call);
        } else {
            ended(&mut events, number, &call);
        }
    }
    events
}

/// Adds the events that count when the call begins, because they must not be too early.
fn begun(events: &mut Vec<(usize, Event)>, number: usize, call: &Call) {
    match call.name.as_str() {
        "sendto" | "sendmsg" | "write" | "writev" => {
            let connection = descriptor(&call.arguments);
            let text = quoted(&call.arguments).next().unwrap_or_default();
            if connection.starts_with("TCP") && text.starts_with("HTTP/1.1 ") {
                let (connection, text) = (connection.to_owned(), unescape(text));
                events.push((number, Event::Answer { connection, text }));
            }
        }
        "rename" | "renameat" | "renameat2" => {
            if let Some((from, to)) = two_paths(&call.arguments) {
                events.push((number, Event::Renaming { from, to }));
            }
        }
        _ => {}
    }
}

/// Adds the events that count when the call ends, because they must not be too late.
fn ended(events: &mut Vec<(usize, Event)>, number: usize, call: &Call) {
    let Some((arguments, result)) = call.arguments.rsplit_once(" = ") else {
        return;
    };
    let result_number = result.split([' ', '<']).next().unwrap_or_default();
    let Ok(result) = result_number.parse::<i64>() else {
        return;
    };
    let path = descriptor(arguments).to_owned();
    let event = match call.name.as_str() {
        _ if result < 0 => return,
        "openat" if arguments.contains("O_CREAT") => Event::Created {
            path: quoted(arguments).next().unwrap_or_default().to_owned(),
        },
        "pwrite64" | "pwritev" => {
            let numbers = numbers_at_the_end(arguments);
            Event::Wrote {
                path,
                at: numbers,
                len: result.unsigned_abs(),
                begun: call.begun,
            }
        }
        "ftruncate" => Event::Cut {
            path,
            len: numbers_at_the_end(arguments),
        },
        "fsync" | "fdatasync" => Event::Synced {
            path,
            begun: call.begun,
        },
        "rename" | "renameat" | "renameat2" => match two_paths(arguments) {
            Some((from, to)) => Event::Renamed { from, to },
            None => return,
        },
        "recvfrom" | "recvmsg" | "read" | "readv" => {
            if !path.starts_with("TCP") {
                return;
            }
            Event::Read {
                connection: path,
                text: unescape(quoted(arguments).next().unwrap_or_default()),
            }
        }
        _ => return,
    };
    events.push((number, event));
}

/// Annotation of the first descriptor: `12</a/b.part>` or `9<TCP:[…]>`.
fn descriptor(arguments: &str) -> &str {
    let first = arguments.trim_start_matches(|c: char| c.is_ascii_digit());
    let Some(inside) = first.strip_prefix('<') else {
        return "";
    };
    // An address contains `->`, which is not the end.
    let ends = |(at, _): &(usize, &str)| !inside[..*at].ends_with('-');
    let end = inside.match_indices('>').find(ends);
    let end = end.map_or(inside.len(), |(at, _)| at);
    &inside[..end]
}

/// Returns the string arguments, still escaped.
fn quoted(arguments: &str) -> impl Iterator<Item = &str> {
    let mut rest = arguments;
    std::iter::from_fn(move || {
        let from = rest.find('"')? + 1;
        let mut to = from;
        let bytes = rest.as_bytes();
        while to < bytes.len() && bytes[to] != b'"' {
            to += if bytes[to] == b'\\' { 2 } else { 1 };
        }
        let found = rest.get(from..to)?;
        rest = rest.get(to + 1..).unwrap_or_default();
        Some(found)
    })
}

fn two_paths(arguments: &str) -> Option<(String, String)> {
    let mut paths = quoted(arguments);
    Some((paths.next()?.to_owned(), paths.next()?.to_owned()))
}

fn unescape(text: &str) -> String {
    text.replace("\\r\\n", "\n")
}

/// Returns the last argument, or 0 if it is not a number.
fn numbers_at_the_end(arguments: &str) -> u64 {
    let arguments = arguments.trim_end_matches([' ', ')']);
    let last = arguments.rsplit(", ").next().unwrap_or_default();
    last.parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_calls_of_threads_are_matched() {
        let trace = "\
12 pwrite64(9</r/a.part>, \"\\x01, = 5)\"..., 65536, 4096 <unfinished ...>
13 recvfrom(8<TCP:[127.0.0.1:80->127.0.0.1:4000]>, \"PATCH /api/uploads/a HTTP/1.1\\r\\nUpload-Offset: 0\\r\\n\", 8192, 0, NULL, NULL) = 300
12 <... pwrite64 resumed>) = 65536
12 fdatasync(9</r/a.part> <unfinished ...>
12 <... fdatasync resumed>) = 0
12 fdatasync(9</r/a.part>) = -1 EIO (Input/output error)
12 pwritev(9</r/a.part>, [{iov_base=\"x\"..., iov_len=40}, {iov_base=\"y\"..., iov_len=60}], 2, 69632) = 100
13 sendto(8<TCP:[127.0.0.1:80->127.0.0.1:4000]>, \"HTTP/1.1 204 No Content\\r\\nupload-offset: 65536\\r\\n\", 120, MSG_NOSIGNAL, NULL, 0) = 120
";
        let connection = "TCP:[127.0.0.1:80->127.0.0.1:4000]".to_owned();
        let expected = vec![
            (
                1,
                Event::Read {
                    connection: connection.clone(),
                    text: "PATCH /api/uploads/a HTTP/1.1\nUpload-Offset: 0\n".to_owned(),
                },
            ),
            (
                2,
                Event::Wrote {
                    path: "/r/a.part".to_owned(),
                    at: 4096,
                    len: 65536,
                    begun: 0,
                },
            ),
            (
                4,
                Event::Synced {
                    path: "/r/a.part".to_owned(),
                    begun: 3,
                },
            ),
            (
                6,
                Event::Wrote {
                    path: "/r/a.part".to_owned(),
                    at: 69632,
                    len: 100,
                    begun: 6,
                },
            ),
            (
                7,
                Event::Answer {
                    connection,
                    text: "HTTP/1.1 204 No Content\nupload-offset: 65536\n".to_owned(),
                },
            ),
        ];
        assert_eq!(parse(trace), expected);
    }

    #[test]
    fn creations_truncations_and_renames_are_parsed() {
        let trace = "\
7 openat(AT_FDCWD</w>, \"/r/a.part\", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0666) = 9</r/a.part>
7 ftruncate(9</r/a.part>, 4096)           = 0
7 rename(\"/r/a.part\", \"/r/a.webm\")    = 0
";
        let (from, to) = ("/r/a.part".to_owned(), "/r/a.webm".to_owned());
        let expected = vec![
            (0, Event::Created { path: from.clone() }),
            (
                1,
                Event::Cut {
                    path: from.clone(),
                    len: 4096,
                },
            ),
            (
                2,
                Event::Renaming {
                    from: from.clone(),
                    to: to.clone(),
                },
            ),
            (2, Event::Renamed { from, to }),
        ];
        assert_eq!(parse(trace), expected);
    }
}
