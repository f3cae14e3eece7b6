//! What a JWT of somebody else says (RFC 7519, section 4). Pure: the time is an argument.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};
use sortie_api::Role;

/// The longest token that is looked at, in bytes. Real ones have one or two thousand.
const LONGEST_TOKEN: usize = 8 * 1024;

/// What must be true of the claims besides the signature.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// `iss`, unless anybody who has the key may have issued it.
    pub(super) issuer: Option<String>,
    /// One of `aud`, unless it may be for anybody.
    pub(super) audience: Option<String>,
    /// How far the clocks may be apart, in seconds.
    pub(super) leeway_seconds: i64,
}

/// Why claims are not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ClaimError {
    /// It was right once.
    #[error("it has expired")]
    Expired,
    /// Its time has not come: `nbf` or `iat` is in the future.
    #[error("it is from the future")]
    FromTheFuture,
    /// It was signed by somebody else, or for somebody else, or is no token at all.
    #[error("{0}")]
    Wrong(&'static str),
}

/// The claims of a signed token.
#[derive(Clone, Debug)]
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    /// Takes the claims of a token whose signature is right with `key` by exactly this algorithm.
    pub(super) fn signed(
        token: &str,
        key: &DecodingKey,
        algorithm: Algorithm,
    ) -> Result<Self, ClaimError> {
        if token.len() > LONGEST_TOKEN {
            return Err(ClaimError::Wrong("it is too long"));
        }
        let mut validation = Validation::new(algorithm);
        // All of this is looked at below, by our clock and with our reasons.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        jsonwebtoken::decode(token, key, &validation)
            .map(|data| Self(data.claims))
            .map_err(|_| ClaimError::Wrong("the signature or the form is wrong"))
    }

    /// Claims that came by a way that vouches for them.
    #[cfg(feature = "sso")]
    pub(super) fn unsigned(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    /// Checks `exp`, which must be there, `nbf`, `iat`, `iss` and `aud`.
    pub(super) fn check(&self, expected: &Expected, now_ms: i64) -> Result<(), ClaimError> {
        let now = now_ms.div_euclid(1000);
        let expires = self
            .seconds("exp")?
            .ok_or(ClaimError::Wrong("exp is missing"))?;
        if now >= expires.saturating_add(expected.leeway_seconds) {
            return Err(ClaimError::Expired);
        }
        for name in ["nbf", "iat"] {
            if let Some(begins) = self.seconds(name)?
                && begins > now.saturating_add(expected.leeway_seconds)
            {
                return Err(ClaimError::FromTheFuture);
            }
        }
        if let Some(issuer) = &expected.issuer
            && self.text("iss").as_deref() != Some(issuer)
        {
            return Err(ClaimError::Wrong("the issuer is another"));
        }
        if let Some(audience) = &expected.audience
            && !self.texts("aud").contains(audience)
        {
            return Err(ClaimError::Wrong("the audience is another"));
        }
        Ok(())
    }

    /// A NumericDate (RFC 7519, section 2), in whole seconds.
    fn seconds(&self, name: &str) -> Result<Option<i64>, ClaimError> {
        let Some(value) = self.0.get(name) else {
            return Ok(None);
        };
        #[expect(clippy::cast_possible_truncation, reason = "saturates, which will do")]
        let seconds = value
            .as_i64()
            .or_else(|| value.as_f64().map(|it| it as i64));
        match seconds {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(ClaimError::Wrong("a time is not a number")),
        }
    }

    /// A claim by its name, which may contain dots itself (`https://example.org/roles`), else by a path of names
    /// (`realm_access.roles`).
    fn find(&self, name: &str) -> Option<&Value> {
        if let Some(value) = self.0.get(name) {
            return Some(value);
        }
        let mut names = name.split('.');
        let first = self.0.get(names.next()?)?;
        names.try_fold(first, |value, name| value.get(name))
    }

    /// A claim that is text, or a number as some write identities.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        match self.find(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// A claim that is text, or several of them; separated by spaces as in `scope` they are several too.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        match self.find(name) {
            Some(Value::String(text)) if name == "aud" => vec![text.clone()],
            Some(Value::String(text)) => text.split_whitespace().map(str::to_owned).collect(),
            Some(Value::Array(values)) => values
                .iter()
                .filter_map(|value| value.as_str().map(str::to_owned))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The roles that a claim gives: `user` to everybody, `admin` to who has one of `admin_values`.
    pub(super) fn roles(&self, name: &str, admin_values: &[String]) -> Vec<Role> {
        let given = self.texts(name);
        if given.iter().any(|value| admin_values.contains(value)) {
            vec![Role::User, Role::Admin]
        } else {
            vec![Role::User]
        }
    }

    /// Adds what others say about the same person; what is here already wins.
    #[cfg(feature = "sso")]
    pub(super) fn complete(&mut self, other: Self) {
        for (name, value) in other.0 {
            self.0.entry(name).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW_MS: i64 = 1_795_253_400_250;
    const NOW: i64 = NOW_MS / 1000;

    fn claims(json: Value) -> Claims {
        match json {
            Value::Object(map) => Claims(map),
            _ => panic!("claims are an object"),
        }
    }

    #[track_caller]
    fn check(json: Value, result: Result<(), ClaimError>) {
        let expected = Expected {
            issuer: Some("https://platform".to_owned()),
            audience: Some("sortie".to_owned()),
            leeway_seconds: 60,
        };
        assert_eq!(claims(json).check(&expected, NOW_MS), result);
    }

    #[test]
    fn times_issuer_and_audience_must_be_right() {
        use ClaimError::{Expired, FromTheFuture, Wrong};
        let with = |name: &str, value: Value| {
            let mut json = json!({ "iss": "https://platform", "aud": ["x", "sortie"], "exp": NOW + 300, "iat": NOW });
            json[name] = value;
            json
        };
        check(with("aud", json!("sortie")), Ok(()));
        check(with("exp", json!(NOW - 59)), Ok(()));
        check(with("exp", json!(NOW - 60)), Err(Expired));
        check(with("exp", json!(i64::MIN)), Err(Expired));
        check(
            with("exp", json!("soon")),
            Err(Wrong("a time is not a number")),
        );
        check(with("exp", json!(1e300)), Ok(()));
        check(with("nbf", json!(NOW + 60)), Ok(()));
        check(with("nbf", json!(NOW + 61)), Err(FromTheFuture));
        check(with("iat", json!(NOW as f64 + 61.5)), Err(FromTheFuture));
        for issuer in [json!("https://platform/"), json!(["https://platform"])] {
            check(with("iss", issuer), Err(Wrong("the issuer is another")));
        }
        for audience in [json!("other"), json!([]), json!("sortie other"), json!(7)] {
            check(with("aud", audience), Err(Wrong("the audience is another")));
        }
        check(
            json!({ "iss": "https://platform", "aud": "sortie" }),
            Err(Wrong("exp is missing")),
        );
    }

    #[test]
    fn a_claim_is_found_by_name_or_by_path() {
        let claims = claims(json!({
            "sub": 7, "https://example.org/roles": ["a"], "realm_access": { "roles": ["b", 1] },
            "scope": "c d", "nothing": null,
        }));
        assert_eq!(claims.text("sub").as_deref(), Some("7"));
        assert_eq!(claims.texts("https://example.org/roles"), ["a"]);
        assert_eq!(claims.texts("realm_access.roles"), ["b"]);
        assert_eq!(claims.texts("scope"), ["c", "d"]);
        for missing in ["realm_access", "realm_access.x", "nothing", "", "."] {
            assert_eq!(claims.text(missing), None, "{missing}");
            assert!(claims.texts(missing).is_empty(), "{missing}");
        }
        let admins = ["d".to_owned()];
        assert_eq!(claims.roles("scope", &admins), [Role::User, Role::Admin]);
        assert_eq!(claims.roles("realm_access.roles", &admins), [Role::User]);
        assert_eq!(claims.roles("missing", &admins), [Role::User]);
    }
}
