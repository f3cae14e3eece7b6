//! The request in flight; there is at most one.

use super::{Config, Millis, RequestId};

/// Purpose of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Create,
    QueryOffset,
    Send {
        offset: u64,
        len: u64,
        declared: Option<u64>,
    },
    Delete,
}

/// A request in flight and its deadlines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InFlight {
    pub(super) request: RequestId,
    pub(super) purpose: Purpose,
    pub(super) deadline: Millis,
    /// Time at which the missing response is reported; `None` if it has been reported, or never is.
    pub(super) report_at: Option<Millis>,
}

impl InFlight {
    pub(super) fn new(request: RequestId, purpose: Purpose, now: Millis, config: &Config) -> Self {
        let body = match purpose {
            Purpose::Send { len, .. } => len,
            Purpose::Create | Purpose::QueryOffset | Purpose::Delete => 0,
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

    /// Extends the deadline after `sent` bytes of the body were sent: the remaining bytes get their full transfer time.
    /// The deadline never becomes earlier, so that a wrong count cannot shorten it.
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

/// Transfer time of a body on the slowest supported network.
fn transfer_ms(body: u64, config: &Config) -> Millis {
    body.saturating_mul(1_000) / config.slowest_bytes_per_s.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(len: u64) -> InFlight {
        let purpose = Purpose::Send {
            offset: 0,
            len,
            declared: None,
        };
        InFlight::new(RequestId(0), purpose, 1_000, &Config::default())
    }

    #[test]
    fn body_extends_the_deadline() {
        assert_eq!(flight(0).deadline, 31_000);
        assert_eq!(flight(64 << 10).deadline, 32_000);
        assert_eq!(flight(8 << 20).deadline, 31_000 + 128_000);
        assert_eq!(
            flight(u64::MAX).deadline,
            1_000 + 30_000 + u64::MAX / (64 << 10)
        );
    }

    #[test]
    fn progress_never_shortens_the_deadline() {
        let config = Config::default();
        let mut flight = flight(64 << 10);
        flight.progressed(64 << 10, 1_500, &config);
        assert_eq!(flight.deadline, 32_000);
        flight.progressed(32 << 10, 20_000, &config);
        assert_eq!(flight.deadline, 50_500);
    }
}
