//! Lines the guest says, as `guest/serve.sh` defines them.

use super::Event;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// Commands are taken.
    Ready,
    /// A command did something.
    Of(u64, Event),
    /// Nothing that was agreed.
    Noise(String),
}

impl From<&str> for Said {
    fn from(line: &str) -> Self {
        if line == "ready" {
            return Self::Ready;
        }
        let digits = line.bytes().take_while(u8::is_ascii_digit).count();
        let (job, rest) = line.split_at(digits);
        let event = if let Some(text) = rest.strip_prefix('|') {
            Some(Event::Line(text.to_owned()))
        } else if let Some(code) = rest.strip_prefix('=') {
            code.parse().ok().map(Event::Ended)
        } else {
            None
        };
        match (job.parse(), event) {
            (Ok(job), Some(event)) => Self::Of(job, event),
            _ => Self::Noise(line.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Said) {
        assert_eq!(Said::from(line), expected);
    }

    #[test]
    fn lines_are_told_apart() {
        check("ready", Said::Ready);
        check("3|ready", Said::Of(3, Event::Line("ready".to_owned())));
        check("12|a|b=0", Said::Of(12, Event::Line("a|b=0".to_owned())));
        check("12|", Said::Of(12, Event::Line(String::new())));
        check("12=0", Said::Of(12, Event::Ended(0)));
        check("12=139", Said::Of(12, Event::Ended(139)));
        for noise in ["", "12", "12=", "12=x", "|a", "=0", "x|a", "Oops: 0000"] {
            check(noise, Said::Noise(noise.to_owned()));
        }
    }
}
