//! Claims of a JWT signed by another party (RFC 7519, section 4). Pure: the time is an argument.

use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use sortie_api::Role;

/// Longest token in bytes. 150 groups with long names need about 16 KiB.
pub(super) const LONGEST_TOKEN: usize = 64 * 1024;

/// Types of tokens that are signed with the same keys and are neither ID tokens nor access tokens.
pub(super) const OTHER_TYPES: [&str; 3] = ["logout+jwt", "secevent+jwt", "dpop+jwt"];

/// Required values of the registered claims.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    /// `iss`; `None` accepts every issuer that has the key.
    pub(super) issuer: Option<String>,
    /// One of `aud`; `None` accepts only tokens without `aud` (RFC 7519, section 4.1.3).
    pub(super) audience: Option<String>,
    /// Accepted difference of the clocks, in seconds.
    pub(super) leeway_seconds: i64,
}

/// Reason why claims are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ClaimError {
    #[error("it has expired")]
    Expired,
    /// `nbf` or `iat` is in the future.
    #[error("it was issued in the future")]
    FromTheFuture,
    /// Wrong signer or audience, or not a token.
    #[error("{0}")]
    Wrong(&'static str),
}

/// Claims of a signed token.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Claims(Map<String, Value>);

impl Claims {
    /// Reads the claims of a token with a valid signature by `key` and exactly this algorithm.
    pub(super) fn signed(
        token: &str,
        key: &DecodingKey,
        algorithm: Algorithm,
    ) -> Result<Self, ClaimError> {
        Self::signed_as(token, key, algorithm, &OTHER_TYPES)
    }

    /// [`Claims::signed`] with its own list of refused types.
    pub(super) fn signed_as(
        token: &str,
        key: &DecodingKey,
        algorithm: Algorithm,
        refused_types: &[&str],
    ) -> Result<Self, ClaimError> {
        if token.len() > LONGEST_TOKEN {
            return Err(ClaimError::Wrong("it is too long"));
        }
        let mut validation = Validation::new(algorithm);
        // Checked below against the server's clock.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let data = jsonwebtoken::decode::<UniqueNames>(token, key, &validation)
            .map_err(|_| ClaimError::Wrong("the signature or the form is wrong"))?;
        // RFC 7515, section 4.1.11: no extension is supported, so every critical one is refused.
        if data.header.crit.is_some() {
            return Err(ClaimError::Wrong("its header names critical extensions"));
        }
        let kind = data.header.typ.unwrap_or_default().to_ascii_lowercase();
        let kind = kind.strip_prefix("application/").unwrap_or(&kind);
        if refused_types.contains(&kind) {
            return Err(ClaimError::Wrong("it is a token of another type"));
        }
        match data.claims.0 {
            Value::Object(claims) => Ok(Self(claims)),
            _ => Err(ClaimError::Wrong("its claims are no object")),
        }
    }

    /// Reads claims from JSON received over an authenticated connection.
    #[cfg(feature = "sso")]
    pub(super) fn from_json(json: &[u8]) -> Result<Self, ClaimError> {
        match serde_json::from_slice::<UniqueNames>(json) {
            Ok(UniqueNames(Value::Object(claims))) => Ok(Self(claims)),
            _ => Err(ClaimError::Wrong(
                "it is not a JSON object, or names a claim twice",
            )),
        }
    }

    /// Checks `exp`, which must be present, `nbf`, `iat`, `iss` and `aud`.
    pub(super) fn check(&self, expected: &Expected, now_ms: i64) -> Result<(), ClaimError> {
        let now = now_ms.div_euclid(1000);
        let expires = self
            .seconds("exp")?
            .ok_or(ClaimError::Wrong("exp is missing"))?;
        if now >= expires.saturating_add(expected.leeway_seconds) {
            return Err(ClaimError::Expired);
        }
        self.check_origin(expected, now_ms)
    }

    /// Checks `nbf`, `iat`, `iss` and `aud`.
    pub(super) fn check_origin(&self, expected: &Expected, now_ms: i64) -> Result<(), ClaimError> {
        let now = now_ms.div_euclid(1000);
        for name in ["nbf", "iat"] {
            if let Some(begins) = self.seconds(name)?
                && begins > now.saturating_add(expected.leeway_seconds)
            {
                return Err(ClaimError::FromTheFuture);
            }
        }
        if let Some(issuer) = &expected.issuer
            && self.string("iss") != Some(issuer)
        {
            return Err(ClaimError::Wrong("the issuer is another"));
        }
        match &expected.audience {
            Some(audience) if !self.audiences().any(|it| it == audience) => {
                Err(ClaimError::Wrong("the audience is another"))
            }
            None if self.has("aud") => Err(ClaimError::Wrong(
                "it names an audience, and none is configured",
            )),
            _ => Ok(()),
        }
    }

    /// Returns the values of `aud`: a text or a list.
    fn audiences(&self) -> impl Iterator<Item = &str> {
        let values = match self.0.get("aud") {
            Some(Value::Array(values)) => values.as_slice(),
            Some(value) => std::slice::from_ref(value),
            None => &[],
        };
        values.iter().filter_map(Value::as_str)
    }

    /// Returns a NumericDate (RFC 7519, section 2) in whole seconds.
    pub(super) fn seconds(&self, name: &str) -> Result<Option<i64>, ClaimError> {
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

    /// Whether a claim of exactly this name exists, whatever its value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns the claim of exactly this name.
    #[cfg(feature = "sso")]
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Returns a claim of exactly this name that is text.
    pub(super) fn string(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// Finds a claim by a path of names separated by dots (`realm_access.roles`). Names may contain dots themselves
    /// (`https://example.org/roles`, `resource_access.sortie.example.com.roles`): at each step the longest name that
    /// exists is taken, and no other is tried after it.
    fn find(&self, path: &str) -> Option<&Value> {
        let mut object = &self.0;
        let mut rest = path;
        loop {
            if let Some(value) = object.get(rest) {
                return Some(value);
            }
            let dots = rest.rmatch_indices('.').map(|(at, _)| at);
            let (value, at) = dots
                .filter_map(|at| Some((object.get(&rest[..at])?, at)))
                .next()?;
            object = value.as_object()?;
            rest = &rest[at + 1..];
        }
    }

    /// Returns a claim that is text, or a whole number as some systems write identities.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        scalar(self.find(path)?)
    }

    /// Returns the values of a claim: text or a whole number is one value, a list has those of its elements that are
    /// text or whole numbers. The claim `scope` is a list separated by spaces (RFC 8693, section 4.2). Objects, true,
    /// false, null and nested lists have no values.
    pub(super) fn values(&self, path: &str) -> Vec<String> {
        match self.find(path) {
            Some(Value::String(text)) if path == "scope" => {
                let scopes = text.split(' ').filter(|scope| !scope.is_empty());
                scopes.map(str::to_owned).collect()
            }
            Some(Value::Array(values)) => values.iter().filter_map(scalar).collect(),
            Some(value) => scalar(value).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// Returns the [`Claims::values`] of a claim, or the names in an object of roles as Zitadel writes them:
    /// `{"admin": {"<organisation>": "<domain>"}}`. A name whose value is neither `true` nor an object with members is
    /// not a role: `{"admin": false}` grants nothing.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let is_granted = |value: &Value| match value {
            Value::Bool(is_granted) => *is_granted,
            Value::Object(members) => !members.is_empty(),
            _ => false,
        };
        match self.find(path) {
            Some(Value::Object(roles)) => {
                let granted = roles.iter().filter(|(_, value)| is_granted(value));
                granted.map(|(name, _)| name.clone()).collect()
            }
            _ => self.values(path),
        }
    }

    /// Returns the roles that a claim gives: always `user`, and `admin` if one of `admin_values` is among its names,
    /// compared byte by byte.
    pub(super) fn roles(&self, path: &str, admin_values: &[String]) -> Vec<Role> {
        let given = self.names(path);
        if given.iter().any(|value| admin_values.contains(value)) {
            vec![Role::User, Role::Admin]
        } else {
            vec![Role::User]
        }
    }

    /// Adds claims of another source about the same subject; existing ones win. An address and its verification are
    /// taken from one source: the other may be about another address.
    #[cfg(feature = "sso")]
    pub(super) fn complete(&mut self, other: Self) {
        const MAIL: [&str; 2] = ["email", "email_verified"];
        let has_mail = MAIL.iter().any(|name| self.0.contains_key(*name));
        for (name, value) in other.0 {
            if has_mail && MAIL.contains(&name.as_str()) {
                continue;
            }
            self.0.entry(name).or_insert(value);
        }
    }
}

/// Returns a text or an integer as text. `1.0` and `1e0` are refused: they could mean another identity than `1`.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// JSON without repeated names in objects: readers differ in which value counts (RFC 8259, section 4).
struct UniqueNames(Value);

impl<'de> Deserialize<'de> for UniqueNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueNamesVisitor).map(Self)
    }
}

struct UniqueNamesVisitor;

impl<'de> Visitor<'de> for UniqueNamesVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON without repeated names")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(UniqueNames(value)) = list.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            let UniqueNames(value) = object.next_value()?;
            if members.insert(name, value).is_some() {
                return Err(de::Error::custom("a name comes twice"));
            }
        }
        Ok(Value::Object(members))
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
    fn invalid_times_issuer_or_audience_are_refused() {
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
        for audience in [
            json!("other"),
            json!([]),
            json!("sortie other"),
            json!("Sortie"),
            json!(" sortie"),
            json!(7),
            json!({ "sortie": true }),
            json!([["sortie"]]),
            Value::Null,
        ] {
            check(with("aud", audience), Err(Wrong("the audience is another")));
        }
        check(
            json!({ "iss": "https://platform", "aud": "sortie" }),
            Err(Wrong("exp is missing")),
        );
    }

    #[test]
    fn without_a_configured_audience_tokens_with_aud_are_refused() {
        let expected = Expected {
            issuer: None,
            audience: None,
            leeway_seconds: 0,
        };
        let check = |json: Value| claims(json).check(&expected, NOW_MS);
        assert_eq!(check(json!({ "exp": NOW + 1 })), Ok(()));
        for audience in [json!("other"), json!(""), json!([]), Value::Null] {
            let refused = check(json!({ "exp": NOW + 1, "aud": audience }));
            assert!(matches!(refused, Err(ClaimError::Wrong(_))));
        }
    }

    #[test]
    fn longest_name_of_a_path_wins() {
        let claims = claims(json!({
            "sub": 7,
            "https://example.org/roles": ["flat"],
            "https://example.org/app": { "roles": ["in a URL"] },
            "realm_access": { "roles": ["realm"] },
            "resource_access": {
                "sortie": { "example": "no object", "roles": ["short"] },
                "sortie.example.com": { "roles": ["dotted"] },
                "sortie.example.com.roles": null,
            },
            "a": { "b": { "c": "short" } },
            "a.b": {},
        }));
        assert_eq!(claims.text("sub").as_deref(), Some("7"));
        for (path, value) in [
            ("https://example.org/roles", "flat"),
            ("https://example.org/app.roles", "in a URL"),
            ("realm_access.roles", "realm"),
            ("resource_access.sortie.roles", "short"),
        ] {
            assert_eq!(claims.values(path), [value], "{path}");
        }
        for missing in [
            "realm_access",
            "realm_access.x",
            "realm_access.roles.0",
            "realm_access.",
            ".roles",
            "",
            ".",
            "resource_access.sortie.example.com.x",
            // A longer name exists but has no value.
            "resource_access.sortie.example.com.roles",
            "a.b.c",
        ] {
            assert!(claims.values(missing).is_empty(), "{missing}");
        }
        let dotted = Claims(
            json!({ "resource_access": { "sortie.example.com": { "roles": ["dotted"] } } })
                .as_object()
                .cloned()
                .unwrap_or_default(),
        );
        assert_eq!(
            dotted.values("resource_access.sortie.example.com.roles"),
            ["dotted"]
        );
    }

    #[test]
    fn admin_role_requires_an_exact_value() {
        let admins = [
            "admin".to_owned(),
            "Domain Admins".to_owned(),
            "7".to_owned(),
        ];
        let is_admin = |value: Value| {
            let roles = claims(json!({ "roles": value })).roles("roles", &admins);
            roles.contains(&Role::Admin)
        };
        for value in [
            json!("admin"),
            json!("Domain Admins"),
            json!(["user", "admin"]),
            json!(["admin", "admin"]),
            json!([null, 1, true, {}, "admin"]),
            json!(7),
            json!(["7"]),
            // As Zitadel writes roles.
            json!({ "user": { "1": "a.example" }, "admin": { "1": "a.example" } }),
            json!({ "admin": true }),
        ] {
            assert!(is_admin(value.clone()), "{value}");
        }
        for value in [
            json!("no admin rights"),
            json!("admin user"),
            json!("admin,user"),
            json!("Admins"),
            json!("Admin"),
            json!("ADMIN"),
            json!(" admin"),
            json!("admin "),
            json!("admin\n"),
            json!("\u{430}dmin"),
            json!("admin\u{200b}"),
            json!("\u{ff41}dmin"),
            json!(""),
            json!(7.0),
            json!(true),
            json!(null),
            json!([]),
            json!([["admin"]]),
            json!([{ "name": "admin" }]),
            json!(["[admin]", "Domain", "Admins"]),
            json!({}),
            json!({ "admin": false }),
            json!({ "admin": null }),
            json!({ "admin": {} }),
            json!({ "admin": [] }),
            json!({ "admin": "no" }),
            json!({ "admin": 1 }),
            json!({ "Admin": { "1": "a.example" } }),
            json!({ "nested": { "admin": { "1": "a.example" } } }),
        ] {
            assert!(!is_admin(value.clone()), "{value}");
        }
        assert_eq!(claims(json!({})).roles("roles", &admins), [Role::User]);
    }

    #[test]
    fn only_the_scope_claim_is_split_at_spaces() {
        let claims = claims(json!({
            "scope": "read  admin", "scopes": "read admin", "nested": { "scope": "read admin" },
        }));
        assert_eq!(claims.values("scope"), ["read", "admin"]);
        assert_eq!(claims.values("scopes"), ["read admin"]);
        assert_eq!(claims.values("nested.scope"), ["read admin"]);
        // The keys of an object are role names, not values.
        assert!(claims.values("nested").is_empty());
    }

    #[cfg(feature = "sso")]
    #[test]
    fn claims_with_duplicate_names_are_refused() {
        for json in [
            r#"{"roles":"user","roles":"admin"}"#,
            r#"{"a":{"roles":1,"roles":2}}"#,
            r#"{"a":[{"b":1,"b":1}]}"#,
            r#"["roles"]"#,
            "null",
            "{",
        ] {
            assert!(Claims::from_json(json.as_bytes()).is_err(), "{json}");
        }
        let kept = r#"{"a":[1,-1,1.5,true,null,"x",{"b":{}}]}"#;
        let claims = Claims::from_json(kept.as_bytes()).unwrap();
        assert_eq!(Value::Object(claims.0).to_string(), kept);
    }
}
