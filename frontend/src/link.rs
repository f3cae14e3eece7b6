//! Whether the device behind a page still answers, and when to ask it again.

/// Seconds before each try once it does not answer. A restart of an appliance takes about a minute.
const WAITS: [u32; 8] = [2, 4, 8, 15, 30, 30, 30, 30];
/// While it says things by itself, it is asked only so often whether it is there: a device that loses its power says
/// nothing at all, and its connection looks open.
const ASK_QUIET_S: u32 = 10;
/// While it cannot say anything by itself, it is asked so often.
const ASK_S: u32 = 2;

/// The state of the connection. Call [`tick`](Self::tick) once a second while somebody watches, and ask the device
/// whenever that says so; tell it the outcome by [`heard`](Self::heard) or [`missed`](Self::missed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// It answers.
    Up {
        /// Seconds since it was heard of last.
        quiet_s: u32,
    },
    /// It does not; the next try comes by itself.
    Waiting {
        /// Tries so far.
        tries: usize,
        /// Seconds until the next one.
        left_s: u32,
    },
    /// It is being asked again.
    Trying {
        /// Tries before this one.
        tries: usize,
    },
    /// All tries have failed.
    GivenUp,
}

impl Default for Link {
    fn default() -> Self {
        Self::Up { quiet_s: 0 }
    }
}

impl Link {
    /// A second has passed; whether the device is to be asked now. `is_told` says whether it tells changes by itself.
    pub fn tick(&mut self, is_told: bool) -> bool {
        match self {
            Self::Up { quiet_s } => {
                *quiet_s += 1;
                let most = if is_told { ASK_QUIET_S } else { ASK_S };
                let is_due = *quiet_s >= most;
                if is_due {
                    *quiet_s = 0;
                }
                is_due
            }
            Self::Waiting { tries, left_s } => {
                *left_s = left_s.saturating_sub(1);
                let is_due = *left_s == 0;
                if is_due {
                    *self = Self::Trying { tries: *tries };
                }
                is_due
            }
            Self::Trying { .. } | Self::GivenUp => false,
        }
    }

    /// It has said something; whether it had been lost, so that everything has to be asked for anew.
    pub fn heard(&mut self) -> bool {
        let was_lost = self.is_lost();
        *self = Self::default();
        was_lost
    }

    /// It was asked and did not answer.
    pub fn missed(&mut self) {
        let tries = match *self {
            Self::Up { .. } => 0,
            Self::Trying { tries } => tries + 1,
            Self::Waiting { .. } | Self::GivenUp => return,
        };
        *self = match WAITS.get(tries) {
            Some(&left_s) => Self::Waiting { tries, left_s },
            None => Self::GivenUp,
        };
    }

    /// Somebody does not want to wait; whether the device is to be asked now.
    pub fn hurry(&mut self) -> bool {
        match *self {
            Self::Waiting { tries, .. } => *self = Self::Trying { tries },
            Self::Up { .. } | Self::Trying { .. } | Self::GivenUp => return false,
        }
        true
    }

    /// Whether it does not answer.
    pub fn is_lost(self) -> bool {
        !matches!(self, Self::Up { .. })
    }

    /// What is happening about it, in words; nothing while it answers.
    pub fn words(self) -> String {
        let of = WAITS.len();
        match self {
            Self::Up { .. } | Self::GivenUp => String::new(),
            Self::Waiting { tries, left_s } => {
                format!("Trying again in {left_s} s (try {} of {of})", tries + 1)
            }
            Self::Trying { tries } => format!("Trying again now (try {} of {of})", tries + 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks until it is to be asked; answers after how many seconds.
    fn until_asked(link: &mut Link, is_told: bool) -> u32 {
        (1..1000)
            .find(|_| link.tick(is_told))
            .expect("it is never asked")
    }

    #[test]
    fn it_is_asked_more_often_while_it_tells_nothing() {
        let mut link = Link::default();
        assert_eq!(until_asked(&mut link, true), ASK_QUIET_S);
        assert_eq!(until_asked(&mut link, false), ASK_S);
        assert!(!link.heard());
    }

    #[test]
    fn what_it_says_puts_the_question_off() {
        let mut link = Link::default();
        for _ in 1..ASK_QUIET_S {
            assert!(!link.tick(true));
        }
        link.heard();
        assert!(!link.tick(true));
    }

    #[test]
    fn after_so_many_tries_it_is_given_up_and_comes_back_when_it_is_heard_of() {
        let mut link = Link::default();
        link.missed();
        for (number, wait) in WAITS.into_iter().enumerate() {
            let words = format!("Trying again in {wait} s (try {} of 8)", number + 1);
            assert_eq!(link.words(), words);
            assert!(link.is_lost());
            assert_eq!(until_asked(&mut link, false), wait);
            assert_eq!(link, Link::Trying { tries: number });
            assert!(!link.tick(false), "it is being asked already");
            link.missed();
        }
        assert_eq!(link, Link::GivenUp);
        assert!(!link.tick(false));
        assert!(!link.hurry(), "a reload is offered instead");
        assert!(link.heard());
        assert_eq!(link, Link::default());
        assert_eq!(link.words(), "");
    }

    #[test]
    fn who_does_not_want_to_wait_need_not() {
        let mut link = Link::default();
        assert!(!link.hurry());
        link.missed();
        assert!(link.hurry());
        assert_eq!(link.words(), "Trying again now (try 1 of 8)");
        // An answer to an older question, which failed meanwhile.
        let mut waiting = Link::Waiting {
            tries: 1,
            left_s: 3,
        };
        waiting.missed();
        assert_eq!(
            waiting,
            Link::Waiting {
                tries: 1,
                left_s: 3
            }
        );
    }
}
