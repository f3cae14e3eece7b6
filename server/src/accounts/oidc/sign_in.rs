//! Sign-in of a user who returns from the provider.

use std::sync::Arc;

use sortie_api::OidcMethod;

use super::super::{Accounts, SignInSource, SignedIn, tokens};
use super::{Answer, Oidc, OidcError};

impl Accounts {
    pub(in crate::accounts) fn oidc(&self) -> Result<&Arc<Oidc>, OidcError> {
        self.inner.oidc.as_ref().ok_or(OidcError::Off)
    }

    /// Name of the provider on the sign-in page.
    pub(crate) fn oidc_method(&self) -> Option<OidcMethod> {
        self.inner.oidc.as_ref().map(|oidc| OidcMethod {
            name: oidc.config.name.clone(),
            url: "/api/auth/oidc/login".to_owned(),
        })
    }

    /// Begins a sign-in: returns the address for the browser and its login state.
    pub(crate) async fn begin_oidc(
        &self,
        return_to: String,
    ) -> Result<(String, String), OidcError> {
        self.oidc()?.begin(return_to).await
    }

    /// Completes a sign-in: returns the user and the path to return to.
    pub(crate) async fn finish_oidc(
        &self,
        login_cookie: &str,
        answer: Answer,
        source: &SignInSource,
    ) -> Result<(SignedIn, String), OidcError> {
        let (external, grant, return_to) = self
            .oidc()?
            .redeem(login_cookie, answer, source.address)
            .await?;
        let user = self.provision(&external).await?;
        if user.disabled {
            return Err(OidcError::Disabled { user_id: user.id });
        }
        let user_id = user.id.clone();
        let signed_in = self.begin_external_sign_in(user, source).await?;
        let signed_in = signed_in.ok_or(OidcError::Disabled { user_id })?;
        let sign_in_id = tokens::family_of(&signed_in.refresh_token).unwrap_or_default();
        self.keep_oidc_sign_in(sign_in_id, &signed_in.user.id, &grant)
            .await?;
        // The roles may have changed; the user's other credentials must follow.
        self.user_changed(&signed_in.user.id);
        Ok((signed_in, return_to))
    }
}
