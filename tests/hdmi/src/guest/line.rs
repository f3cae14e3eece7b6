//! Lines from the guest, as `guest/serve.sh` defines them.

use std::time::Duration;

use super::Event;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GuestLine {
    /// The guest accepts commands.
    Ready,
    /// Time in the guest.
    Time(Duration),
    /// Event of the command with this number.
    Of(Duration, u64, Event),
    Noise(String),
}

impl From<&str> for GuestLine {
    fn from(line: &str) -> Self {
        if line == "ready" {
            return Self::Ready;
        }
        read(line).unwrap_or_else(|| Self::Noise(line.to_owned()))
    }
}

fn read(line: &str) -> Option<GuestLine> {
    let time = |hundredths: &str| Some(Duration::from_millis(hundredths.parse::<u64>().ok()? * 10));
    let Some((at, rest)) = line.split_once(' ') else {
        return time(line).map(GuestLine::Time);
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (job, rest) = rest.split_at(digits);
    let event = match rest.strip_prefix('|') {
        Some(text) => Event::Line(text.to_owned()),
        None => Event::Ended(rest.strip_prefix('=')?.parse().ok()?),
    };
    Some(GuestLine::Of(time(at)?, job.parse().ok()?, event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: GuestLine) {
        assert_eq!(GuestLine::from(line), expected);
    }

    #[test]
    fn line_kinds_are_distinguished() {
        let at = Duration::from_millis(97_310);
        let said = |job, text: &str| GuestLine::Of(at, job, Event::Line(text.to_owned()));
        check("ready", GuestLine::Ready);
        check("9731", GuestLine::Time(at));
        check("9731 3|ready", said(3, "ready"));
        check("9731 12|a |b=0", said(12, "a |b=0"));
        check("9731 12|", said(12, ""));
        check("9731 12=0", GuestLine::Of(at, 12, Event::Ended(0)));
        check("9731 12=139", GuestLine::Of(at, 12, Event::Ended(139)));
        for noise in [
            "",
            "x",
            "1 12",
            "1 12=",
            "1 12=x",
            "1 |a",
            "1 =0",
            "x 1|a",
            "Oops: 0000",
        ] {
            check(noise, GuestLine::Noise(noise.to_owned()));
        }
    }
}
