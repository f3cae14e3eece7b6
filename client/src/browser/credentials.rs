//! Credentials of requests and their renewal.

use std::cell::RefCell;
use std::rc::Rc;

use futures_channel::oneshot;

use super::fetch::{Call, Cancel};
use super::spawn;
use super::time::sleep;
use crate::{Authorization, RenewalFailed, Target};

/// Credentials of one recorder's requests.
pub(super) struct Credentials {
    authorization: Authorization,
    /// URL that renews cookies; `None` with another tus server.
    refresh_url: Option<String>,
    token: RefCell<Option<String>>,
    /// Requests that wait for the renewal under way. Requests that fail at the same time share one renewal.
    waiting: RefCell<Vec<oneshot::Sender<Result<(), RenewalFailed>>>>,
}

impl Credentials {
    pub(super) fn new(authorization: Authorization, target: &Target) -> Rc<Self> {
        let refresh_url = match target {
            Target::Server { base, .. } => Some(base.clone() + "/api/auth/refresh"),
            Target::Tus { .. } => None,
        };
        Rc::new(Self {
            authorization,
            refresh_url,
            token: RefCell::default(),
            waiting: RefCell::default(),
        })
    }

    /// Adds the credentials to a call; requests the first token if there is none.
    pub(super) async fn authorize(self: &Rc<Self>, call: &mut Call) -> Result<(), RenewalFailed> {
        if !matches!(self.authorization, Authorization::Bearer(_)) {
            return Ok(());
        }
        if self.token.borrow().is_none() {
            self.renew().await?;
        }
        let token = self.token.borrow().clone().ok_or(RenewalFailed::Refused)?;
        call.header("authorization", "Bearer ".to_owned() + &token);
        Ok(())
    }

    /// Renews the sign-in, or joins a renewal that is under way.
    pub(super) fn renew(
        self: &Rc<Self>,
    ) -> impl Future<Output = Result<(), RenewalFailed>> + 'static {
        let (sender, renewed) = oneshot::channel();
        let is_first = {
            let mut waiting = self.waiting.borrow_mut();
            waiting.push(sender);
            waiting.len() == 1
        };
        if is_first {
            let this = Rc::clone(self);
            spawn(async move {
                let outcome = this.renewal().await;
                for sender in this.waiting.take() {
                    let _receiver_dropped = sender.send(outcome);
                }
            });
        }
        async move { renewed.await.unwrap_or(Err(RenewalFailed::Unreachable)) }
    }

    /// Returns the token in use; `None` with cookies, which scripts cannot read.
    pub(super) fn token(&self) -> Option<String> {
        self.token.borrow().clone()
    }

    async fn renewal(&self) -> Result<(), RenewalFailed> {
        match &self.authorization {
            Authorization::Cookies => self.refresh_cookies().await,
            Authorization::CookiesRenewedBy(renew) => renew().await,
            Authorization::Bearer(token) => {
                *self.token.borrow_mut() = Some(token().await?);
                Ok(())
            }
        }
    }

    async fn refresh_cookies(&self) -> Result<(), RenewalFailed> {
        let url = self.refresh_url.as_ref().ok_or(RenewalFailed::Refused)?;
        let mut call = Call::new("POST", url);
        call.json("{}");
        let cancel = Cancel::new();
        let Ok(answer) = call.send(&cancel).await else {
            return Err(RenewalFailed::Unreachable);
        };
        match answer.status() {
            200..300 => Ok(()),
            429 => {
                // The caller retries with its own backoff, but not before this time.
                sleep(answer.retry_after_ms().unwrap_or_default()).await;
                Err(RenewalFailed::Unreachable)
            }
            400..500 => Err(RenewalFailed::Refused),
            _ => Err(RenewalFailed::Unreachable),
        }
    }
}
