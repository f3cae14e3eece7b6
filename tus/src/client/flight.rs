//! The one request that is under way.

use super::{Config, Millis, RequestId};

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Create,
    Ask,
    Send {
        offset: u64,
        len: u64,
        declared: Option<u64>,
    },
    Delete,
}

/// A request under way and when it is late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flight {
    pub(super) request: RequestId,
    pub(super) purpose: Purpose,
    pub(super) deadline: Millis,
    /// When the missing answer is reported; nothing once it was, or when it never is.
    pub(super) report_at: Option<Millis>,
}

impl Flight {
    pub(super) fn new(request: RequestId, purpose: Purpose, now: Millis, config: &Config) -> Self {
        let body = match purpose {
            Purpose::Send { len, .. } => len,
            Purpose::Create | Purpose::Ask | Purpose::Delete => 0,
        };
        Self {
            request,
            purpose,
            deadline: now.saturating_add(time_for(body, config)),
            report_at: config.report_late_after_ms.map(|late| {
                now.saturating_add(late)
                    .saturating_add(transfer_ms(body, config))
            }),
        }
    }

    /// `sent` bytes of the body have left: the rest gets its own time. A deadline never moves forward, so a
    /// wrong count cannot cut a request short.
    pub(super) fn progressed(&mut self, sent: u64, now: Millis, config: &Config) {
        if let Purpose::Send { len, .. } = self.purpose {
            let rest = now.saturating_add(time_for(len.saturating_sub(sent), config));
            self.deadline = self.deadline.max(rest);
        }
    }
}

fn time_for(body: u64, config: &Config) -> Millis {
    config.timeout_ms.saturating_add(transfer_ms(body, config))
}

/// Time that a body takes over the slowest network worth waiting for.
fn transfer_ms(body: u64, config: &Config) -> Millis {
    body.saturating_mul(1_000) / config.slowest_bytes_per_s.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(len: u64) -> Flight {
        let purpose = Purpose::Send {
            offset: 0,
            len,
            declared: None,
        };
        Flight::new(RequestId(0), purpose, 1_000, &Config::default())
    }

    #[test]
    fn a_body_buys_time() {
        assert_eq!(flight(0).deadline, 31_000);
        assert_eq!(flight(64 << 10).deadline, 32_000);
        assert_eq!(flight(8 << 20).deadline, 31_000 + 128_000);
        assert_eq!(
            flight(u64::MAX).deadline,
            1_000 + 30_000 + u64::MAX / (64 << 10)
        );
    }

    #[test]
    fn progress_only_ever_extends() {
        let config = Config::default();
        let mut flight = flight(64 << 10);
        flight.progressed(64 << 10, 1_500, &config);
        assert_eq!(flight.deadline, 32_000);
        flight.progressed(32 << 10, 20_000, &config);
        assert_eq!(flight.deadline, 50_500);
    }
}
