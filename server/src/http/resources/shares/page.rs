//! HTML of the pages for viewers. Without scripts, so that the strictest content policy applies.

use std::fmt::Write as _;

use crate::accounts::OpenShare;
use crate::clock::rfc3339;
use crate::db::RecordingRow;

/// Design tokens of the application, and the rules of these pages.
pub(super) const STYLE: &str = concat!(
    include_str!("../../../../../frontend/style/tokens.css"),
    include_str!("page.css")
);

/// Error of the form.
pub(super) const WRONG: &str = "The password is wrong, or the link is no longer valid.";

fn document(style: &str, title: &str, main: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"robots\" content=\"noindex, nofollow\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <link rel=\"stylesheet\" href=\"{style}\">\n</head>\n<body>\n<main>\n{main}</main>\n</body>\n</html>\n"
    )
}

/// Page with a heading and a sentence.
pub(super) fn message(style: &str, heading: &str, text: &str) -> String {
    let (heading_html, text) = (escape(heading), escape(text));
    let main = format!("<div class=\"card\">\n<h1>{heading_html}</h1>\n<p>{text}</p>\n</div>\n");
    document(style, heading, &main)
}

/// Page of every link that does not work.
pub(super) fn unavailable(style: &str) -> String {
    message(
        style,
        "This link is not available",
        "It may have expired or been revoked. Ask the person who sent it for a new one.",
    )
}

/// Sentence for a viewer who must wait.
pub(super) fn wait(seconds: u128) -> String {
    let (number, unit) = match seconds {
        ..120 => (seconds, "second"),
        _ => (seconds.div_ceil(60), "minute"),
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("Too many attempts. Try again in {number} {unit}{plural}.")
}

/// Form for the password. It names nothing of the recording, and is sent to the address of the page.
pub(super) fn form(style: &str, error: Option<&str>) -> String {
    let (invalid, error) = match error {
        None => ("", String::new()),
        Some(error) => (
            " aria-invalid=\"true\" aria-describedby=\"error\"",
            format!(
                "<p id=\"error\" class=\"error\" role=\"alert\">{}</p>\n",
                escape(error)
            ),
        ),
    };
    let main = format!(
        "<form class=\"card\" method=\"post\">\n<h1>Password required</h1>\n\
         <p>Enter the password of this recording. The person who sent the link knows it.</p>\n\
         <label for=\"password\">Password</label>\n\
         <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"off\" required autofocus{invalid}>\n\
         {error}<button type=\"submit\">Watch</button>\n</form>\n"
    );
    document(style, "Password required", &main)
}

/// Page of a recording. `parts` are the parts that can be played, `chosen` the index of the shown one; `address` is that
/// of the page.
pub(super) fn recording(
    style: &str,
    address: &str,
    share: &OpenShare,
    parts: &[&RecordingRow],
    chosen: usize,
) -> String {
    let first = &share.recording;
    let title = first.library.title.as_deref().unwrap_or("Recording");
    let title_html = escape(title);
    let mut main = format!(
        "<h1 dir=\"auto\">{title_html}</h1>\n<p class=\"quiet\">{}",
        moment(first.created_ms)
    );
    if let Some(part) = parts.get(chosen) {
        let range = share.row.range.as_ref();
        let length_ms = match range {
            None => part.duration_ms.unsigned_abs(),
            Some(range) => range.times_ms.end.saturating_sub(range.times_ms.start),
        };
        let (duration, iso) = duration(length_ms);
        let _ = write!(main, " · <time datetime=\"{iso}\">{duration}</time>");
        if let count @ 2.. = parts.len() {
            let _ = write!(main, " · Part {} of {count}", chosen + 1);
        }
        main += "</p>\n";
        let query = match part.part {
            number if number == 1 || range.is_some() => String::new(),
            number => format!("?part={number}"),
        };
        let poster = match part.library.pictures {
            _ if range.is_some() => String::new(),
            0 => String::new(),
            _ => format!(" poster=\"{address}/poster{query}\""),
        };
        let _ = writeln!(
            main,
            "<video controls playsinline preload=\"metadata\" aria-label=\"{title_html}\"{poster} \
             src=\"{address}/file{query}\"></video>"
        );
        main += &neighbours(address, parts, chosen);
    } else {
        let is_open = first.status.is_open();
        let text = match is_open {
            true => "This recording is not complete yet. Load this page again when it is.",
            false => "This recording cannot be played.",
        };
        let _ = writeln!(main, "</p>\n<p class=\"card\">{text}</p>");
    }
    let _ = writeln!(
        main,
        "<p class=\"quiet\">This link works until {}.</p>",
        moment(share.row.expires_ms)
    );
    document(style, title, &main)
}

/// Links to the parts before and after the shown one.
fn neighbours(address: &str, parts: &[&RecordingRow], chosen: usize) -> String {
    let link = |index: usize, label: &str| match parts.get(index) {
        Some(part) => format!("<a href=\"{address}?part={}\">{label}</a>\n", part.part),
        None => String::new(),
    };
    if parts.len() < 2 {
        return String::new();
    }
    let before = chosen.checked_sub(1);
    let before = before.map_or_else(String::new, |index| link(index, "Previous part"));
    let after = link(chosen + 1, "Next part");
    format!("<nav aria-label=\"Parts\">\n{before}{after}</nav>\n")
}

/// Formats a time, which the server knows in UTC only.
fn moment(ms: i64) -> String {
    let iso = rfc3339(ms);
    let (day, time) = (iso.get(..10), iso.get(11..16));
    let (day, time) = (day.unwrap_or_default(), time.unwrap_or_default());
    format!("<time datetime=\"{iso}\">{day} {time} UTC</time>")
}

/// Formats a duration for viewers and as ISO 8601.
fn duration(ms: u64) -> (String, String) {
    let seconds = ms.div_ceil(1000);
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let shown = match hours {
        0 => format!("{minutes}:{rest:02}"),
        _ => format!("{hours}:{minutes:02}:{rest:02}"),
    };
    (shown, format!("PT{seconds}S"))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_texts_is_escaped() {
        let page = message("/s/style.css", "</title><script>", "\"&'<b>");
        assert!(page.contains("<title>&lt;/title&gt;&lt;script&gt;</title>"));
        assert!(page.contains("<p>&quot;&amp;&#39;&lt;b&gt;</p>"));
    }

    #[test]
    fn durations_and_waits_are_rounded_up() {
        assert_eq!(duration(1), ("0:01".to_owned(), "PT1S".to_owned()));
        assert_eq!(duration(3_723_000).0, "1:02:03");
        assert_eq!(wait(1), "Too many attempts. Try again in 1 second.");
        assert_eq!(wait(121), "Too many attempts. Try again in 3 minutes.");
    }
}
