//! Other sign-in methods: an embedding platform, an OpenID provider, a proxy.

use std::net::IpAddr;
#[cfg(feature = "sso")]
use std::time::Duration;

use super::network::Network;
use super::{Reader, Secret};

/// Sign-in methods besides passwords; off unless configured.
#[derive(Clone, Debug, Default)]
pub struct SignInConfig {
    /// `SORTIE_AUTH_JWT_…`: bearer tokens of an embedding platform.
    pub jwt: Option<JwtConfig>,
    /// `SORTIE_OIDC_…`: OpenID Connect.
    #[cfg(feature = "sso")]
    pub oidc: Option<OidcConfig>,
    /// `SORTIE_PROXY_AUTH_HEADER`: header, in lower case, in which a trusted proxy asserts the user.
    pub proxy_header: Option<String>,
    /// `SORTIE_TRUSTED_PROXIES`: networks of the proxies that describe the client. Empty: none configured.
    pub trusted_proxies: Vec<Network>,
    /// `SORTIE_TRUSTED_PROXIES=none`: proxies on this machine are not trusted either.
    pub distrusts_loopback: bool,
}

/// Tokens of an embedding platform.
#[derive(Clone, Debug)]
pub struct JwtConfig {
    /// `SORTIE_AUTH_JWT_SECRET` or `SORTIE_AUTH_JWT_JWKS_URL`.
    pub keys: JwtKeys,
    /// `SORTIE_AUTH_JWT_ISSUER`.
    pub issuer: Option<String>,
    /// `SORTIE_AUTH_JWT_AUDIENCE`.
    pub audience: Option<String>,
    /// `SORTIE_AUTH_JWT_LEEWAY_SECONDS`.
    pub leeway_seconds: i64,
    /// `SORTIE_AUTH_JWT_USER_CLAIM`: claim with the user's permanent identity.
    pub user_claim: String,
    /// `SORTIE_AUTH_JWT_NAME_CLAIM`: claim with the display name.
    pub name_claim: String,
    /// `SORTIE_AUTH_JWT_ROLE_CLAIM`; absent: tokens have no roles.
    pub role_claim: Option<String>,
    /// `SORTIE_AUTH_JWT_ADMIN_VALUES`: values of the role claim that make an administrator.
    pub admin_values: Vec<String>,
    /// `SORTIE_AUTH_JWT_TENANT_CLAIM` and `SORTIE_AUTH_JWT_TENANT`: only tokens of this tenant.
    pub tenant: Option<(String, String)>,
}

/// Keys for the platform's tokens.
#[derive(Clone, Debug)]
pub enum JwtKeys {
    /// HS256.
    Secret(Secret),
    /// RS, PS, ES or EdDSA with the keys published at this URL.
    #[cfg(feature = "sso")]
    JwksUrl(String),
}

/// Connection to an OpenID provider.
#[cfg(feature = "sso")]
#[derive(Clone, Debug)]
pub struct OidcConfig {
    /// `SORTIE_OIDC_ISSUER`.
    pub issuer: String,
    /// `SORTIE_OIDC_CLIENT_ID`.
    pub client_id: String,
    /// `SORTIE_OIDC_CLIENT_SECRET`; absent: a public client.
    pub client_secret: Option<Secret>,
    /// `SORTIE_OIDC_REDIRECT_URL`: `/api/auth/oidc/callback` of this server as browsers reach it.
    pub redirect_url: String,
    /// `SORTIE_OIDC_NAME`: name of the provider on the sign-in page.
    pub name: String,
    /// `SORTIE_OIDC_SCOPES`.
    pub scopes: String,
    /// `SORTIE_OIDC_ROLE_CLAIM`; absent: the provider has no roles.
    pub role_claim: Option<String>,
    /// `SORTIE_OIDC_ADMIN_VALUES`.
    pub admin_values: Vec<String>,
    /// `SORTIE_OIDC_REQUIRED_CLAIM` and `SORTIE_OIDC_REQUIRED_VALUES`: only users with one of the values are admitted.
    pub required: Option<(String, Vec<String>)>,
    /// `SORTIE_OIDC_REQUIRED_DOMAINS`, in lower case: only users with a verified address in one of them are admitted.
    pub required_domains: Option<Vec<String>>,
    /// `SORTIE_OIDC_UNCONFIRMED_HOURS`: time for which a sign-in continues while the provider does not confirm it.
    pub unconfirmed: Duration,
}

impl SignInConfig {
    pub(super) fn read(reader: &mut Reader<'_>, own_secret: Option<&str>) -> Self {
        const PROXIES: &str = "SORTIE_TRUSTED_PROXIES";
        let distrusts_loopback = reader
            .text(PROXIES)
            .is_some_and(|text| text.trim() == "none");
        let trusted_proxies = if distrusts_loopback {
            Vec::new()
        } else {
            networks(reader, PROXIES)
        };
        Self {
            jwt: JwtConfig::read(reader, own_secret),
            #[cfg(feature = "sso")]
            oidc: OidcConfig::read(reader),
            proxy_header: proxy_header(reader, trusted_proxies.is_empty()),
            trusted_proxies,
            distrusts_loopback,
        }
    }

    /// Whether this peer is a proxy whose description of the client is trusted. Proxies on this machine are trusted
    /// unless others are configured, but may not assert users ([`Self::trusts`]).
    pub(crate) fn trusts_forwarding(&self, peer: IpAddr) -> bool {
        if self.trusted_proxies.is_empty() {
            return !self.distrusts_loopback && peer.to_canonical().is_loopback();
        }
        self.trusts(peer)
    }

    /// Whether this peer may assert the user of a request.
    pub(crate) fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies
            .iter()
            .any(|network| network.contains(peer))
    }
}

fn networks(reader: &mut Reader<'_>, name: &'static str) -> Vec<Network> {
    let mut networks = Vec::new();
    for word in list(reader, name) {
        match word.parse() {
            Ok(network) => networks.push(network),
            Err(()) => reader.wrong(
                name,
                format!("{word:?} is neither an address nor a network like 10.0.0.0/8 or fd00::/8"),
            ),
        }
    }
    networks
}

fn proxy_header(reader: &mut Reader<'_>, nobody_is_trusted: bool) -> Option<String> {
    const NAME: &str = "SORTIE_PROXY_AUTH_HEADER";
    let header = reader.text(NAME)?.to_ascii_lowercase();
    let is_name = axum::http::HeaderName::from_bytes(header.as_bytes()).is_ok();
    // Headers that every client sends, or that have another meaning here.
    let is_taken = [
        "authorization",
        "cookie",
        "host",
        "origin",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-request-id",
    ]
    .contains(&header.as_str());
    if !is_name || is_taken {
        reader.wrong(
            NAME,
            format!("{header:?} cannot carry a user's name; for example X-Forwarded-User"),
        );
    }
    if nobody_is_trusted {
        reader.wrong(
            NAME,
            "needs SORTIE_TRUSTED_PROXIES: without it anybody could write this header",
        );
    }
    Some(header)
}

/// Splits a list at commas; values may contain spaces.
fn list(reader: &Reader<'_>, name: &str) -> Vec<String> {
    let text = reader.text(name).unwrap_or_default();
    let values = text.split(',').map(str::trim);
    let values = values.filter(|value| !value.is_empty());
    values.map(str::to_owned).collect()
}

/// Reads a list that must not be empty if set; `None`: not set.
fn values(reader: &mut Reader<'_>, name: &'static str) -> Option<Vec<String>> {
    reader.text(name)?;
    let values = list(reader, name);
    if values.is_empty() {
        reader.wrong(
            name,
            "has only commas and spaces; name values or leave it out",
        );
    }
    Some(values)
}

fn admin_values(reader: &mut Reader<'_>, name: &'static str) -> Vec<String> {
    values(reader, name).unwrap_or_else(|| vec!["admin".to_owned()])
}

impl JwtConfig {
    fn read(reader: &mut Reader<'_>, own_secret: Option<&str>) -> Option<Self> {
        let secret = reader.text("SORTIE_AUTH_JWT_SECRET");
        let url = reader.text("SORTIE_AUTH_JWT_JWKS_URL");
        let issuer = reader.text("SORTIE_AUTH_JWT_ISSUER");
        let audience = reader.text("SORTIE_AUTH_JWT_AUDIENCE");
        let keys = match (secret, url) {
            (None, None) => {
                // An issuer without keys would suggest that tokens are checked.
                if issuer.is_some() || audience.is_some() {
                    reader.wrong(
                        "SORTIE_AUTH_JWT_ISSUER",
                        "needs SORTIE_AUTH_JWT_SECRET or SORTIE_AUTH_JWT_JWKS_URL to check tokens with",
                    );
                }
                return None;
            }
            (Some(_), Some(_)) => {
                reader.wrong(
                    "SORTIE_AUTH_JWT_SECRET",
                    "cannot be used together with SORTIE_AUTH_JWT_JWKS_URL: choose one",
                );
                return None;
            }
            (Some(secret), None) => {
                if secret.len() < 32 {
                    reader.wrong("SORTIE_AUTH_JWT_SECRET", "must have at least 32 bytes");
                }
                if own_secret == Some(secret.as_str()) {
                    reader.wrong(
                        "SORTIE_AUTH_JWT_SECRET",
                        "must not be SORTIE_JWT_SECRET: the platform could sign our own tokens",
                    );
                }
                JwtKeys::Secret(secret.into())
            }
            (None, Some(url)) => {
                if issuer.is_none() || audience.is_none() {
                    reader.wrong(
                        "SORTIE_AUTH_JWT_JWKS_URL",
                        "needs SORTIE_AUTH_JWT_ISSUER and SORTIE_AUTH_JWT_AUDIENCE: the keys sign tokens for others too",
                    );
                }
                published(reader, url)?
            }
        };
        let claim = reader.text("SORTIE_AUTH_JWT_TENANT_CLAIM");
        let tenant = match (claim, reader.text("SORTIE_AUTH_JWT_TENANT")) {
            (None, None) => None,
            (Some(claim), Some(tenant)) => Some((claim, tenant)),
            _ => {
                reader.wrong(
                    "SORTIE_AUTH_JWT_TENANT_CLAIM",
                    "and SORTIE_AUTH_JWT_TENANT go together: set both or neither",
                );
                None
            }
        };
        let leeway = reader.number("SORTIE_AUTH_JWT_LEEWAY_SECONDS", 60, 0, 600);
        let or =
            |name: &str, default: &str| reader.text(name).unwrap_or_else(|| default.to_owned());
        Some(Self {
            keys,
            issuer,
            audience,
            leeway_seconds: i64::try_from(leeway).unwrap_or(60),
            user_claim: or("SORTIE_AUTH_JWT_USER_CLAIM", "sub"),
            name_claim: or("SORTIE_AUTH_JWT_NAME_CLAIM", "name"),
            role_claim: reader.text("SORTIE_AUTH_JWT_ROLE_CLAIM"),
            admin_values: admin_values(reader, "SORTIE_AUTH_JWT_ADMIN_VALUES"),
            tenant,
        })
    }
}

#[cfg(feature = "sso")]
fn published(reader: &mut Reader<'_>, url: String) -> Option<JwtKeys> {
    check_url(reader, "SORTIE_AUTH_JWT_JWKS_URL", &url);
    Some(JwtKeys::JwksUrl(url))
}

#[cfg(not(feature = "sso"))]
fn published(reader: &mut Reader<'_>, _: String) -> Option<JwtKeys> {
    reader.wrong(
        "SORTIE_AUTH_JWT_JWKS_URL",
        "is not available: this program was built without sso",
    );
    None
}

/// The document decides about identities, so it must be fetched over https; http is allowed on this machine and in
/// private networks.
#[cfg(feature = "sso")]
fn check_url(reader: &mut Reader<'_>, name: &'static str, url: &str) {
    let is_url = reqwest::Url::parse(url).is_ok_and(|url| {
        matches!(url.scheme(), "https" | "http") && url.has_host() && url.username().is_empty()
    });
    if !is_url {
        reader.wrong(name, format!("{url:?} is not an http or https URL"));
    }
}

#[cfg(feature = "sso")]
impl OidcConfig {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let issuer = reader.text("SORTIE_OIDC_ISSUER")?;
        check_url(reader, "SORTIE_OIDC_ISSUER", &issuer);
        let client_id = reader.text("SORTIE_OIDC_CLIENT_ID").unwrap_or_else(|| {
            reader.wrong("SORTIE_OIDC_CLIENT_ID", "is missing");
            String::new()
        });
        let redirect_url = reader.text("SORTIE_OIDC_REDIRECT_URL").unwrap_or_default();
        check_url(reader, "SORTIE_OIDC_REDIRECT_URL", &redirect_url);
        if !redirect_url.ends_with("/api/auth/oidc/callback") {
            reader.wrong(
                "SORTIE_OIDC_REDIRECT_URL",
                "must be this server's address as browsers reach it, with /api/auth/oidc/callback behind it",
            );
        }
        let scopes = reader.text("SORTIE_OIDC_SCOPES");
        let scopes = scopes.unwrap_or_else(|| "openid profile email".to_owned());
        let scopes: Vec<_> = scopes.split_whitespace().collect();
        if !scopes.contains(&"openid") {
            reader.wrong(
                "SORTIE_OIDC_SCOPES",
                "must contain openid; scopes are separated by spaces",
            );
        }
        let scopes = scopes.join(" ");
        let claim = reader.text("SORTIE_OIDC_REQUIRED_CLAIM");
        let required = match (claim, values(reader, "SORTIE_OIDC_REQUIRED_VALUES")) {
            (None, None) => None,
            (Some(claim), Some(values)) => Some((claim, values)),
            _ => {
                reader.wrong(
                    "SORTIE_OIDC_REQUIRED_CLAIM",
                    "and SORTIE_OIDC_REQUIRED_VALUES go together: set both or neither",
                );
                None
            }
        };
        let required_domains = domains(reader, "SORTIE_OIDC_REQUIRED_DOMAINS");
        let hours = reader.number("SORTIE_OIDC_UNCONFIRMED_HOURS", 24, 0, 720);
        let name = reader.text("SORTIE_OIDC_NAME");
        Some(Self {
            issuer,
            client_id,
            client_secret: reader.text("SORTIE_OIDC_CLIENT_SECRET").map(Secret::from),
            redirect_url,
            name: name.unwrap_or_else(|| "single sign-on".to_owned()),
            scopes,
            role_claim: reader.text("SORTIE_OIDC_ROLE_CLAIM"),
            admin_values: admin_values(reader, "SORTIE_OIDC_ADMIN_VALUES"),
            required,
            required_domains,
            unconfirmed: Duration::from_secs(hours * 60 * 60),
        })
    }
}

/// Reads domains of email addresses, in lower case.
#[cfg(feature = "sso")]
fn domains(reader: &mut Reader<'_>, name: &'static str) -> Option<Vec<String>> {
    let domains = values(reader, name)?;
    for domain in &domains {
        let is_domain = domain.contains('.')
            && domain
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
        if !is_domain {
            reader.wrong(name, format!("{domain:?} is not a domain like example.org"));
        }
    }
    let domains = domains.iter().map(|domain| domain.to_ascii_lowercase());
    Some(domains.collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;

    #[track_caller]
    fn check(variables: &[(&str, &str)], wrong: &[&str]) {
        let errors = read(variables).err().unwrap_or_default();
        let names: Vec<_> = errors.iter().map(|error| error.variable).collect();
        assert_eq!(names, wrong, "{errors:?}");
    }

    const SECRET: (&str, &str) = ("SORTIE_AUTH_JWT_SECRET", "0123456789abcdef0123456789abcdef");

    #[test]
    fn sign_in_methods_are_off_by_default() {
        let config = read(&[]).unwrap_or_else(|errors| panic!("{errors:?}"));
        assert!(config.sign_in.jwt.is_none());
        assert!(config.sign_in.proxy_header.is_none());
        assert!(!config.sign_in.trusts([127, 0, 0, 1].into()));
    }

    #[test]
    fn incomplete_sign_in_configuration_is_refused() {
        check(&[SECRET], &[]);
        check(
            &[("SORTIE_AUTH_JWT_SECRET", "short")],
            &["SORTIE_AUTH_JWT_SECRET"],
        );
        check(
            &[SECRET, ("SORTIE_JWT_SECRET", SECRET.1)],
            &["SORTIE_AUTH_JWT_SECRET"],
        );
        check(
            &[("SORTIE_AUTH_JWT_ISSUER", "https://platform")],
            &["SORTIE_AUTH_JWT_ISSUER"],
        );
        check(
            &[SECRET, ("SORTIE_AUTH_JWT_TENANT", "a")],
            &["SORTIE_AUTH_JWT_TENANT_CLAIM"],
        );
        check(
            &[("SORTIE_PROXY_AUTH_HEADER", "X-Forwarded-User")],
            &["SORTIE_PROXY_AUTH_HEADER"],
        );
        check(
            &[
                ("SORTIE_PROXY_AUTH_HEADER", "Cookie"),
                ("SORTIE_TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
            ],
            &["SORTIE_PROXY_AUTH_HEADER"],
        );
        check(
            &[("SORTIE_TRUSTED_PROXIES", "10.0.0.0/33, proxy.local")],
            &["SORTIE_TRUSTED_PROXIES", "SORTIE_TRUSTED_PROXIES"],
        );
    }

    #[cfg(feature = "sso")]
    #[test]
    fn published_keys_need_issuer_and_audience() {
        let url = (
            "SORTIE_AUTH_JWT_JWKS_URL",
            "https://platform/.well-known/jwks.json",
        );
        check(&[url, SECRET], &["SORTIE_AUTH_JWT_SECRET"]);
        check(&[url], &["SORTIE_AUTH_JWT_JWKS_URL"]);
        let named = [
            ("SORTIE_AUTH_JWT_ISSUER", "https://platform"),
            ("SORTIE_AUTH_JWT_AUDIENCE", "sortie"),
        ];
        check(&[url, named[0], named[1]], &[]);
        check(
            &[
                ("SORTIE_AUTH_JWT_JWKS_URL", "file:///etc/passwd"),
                named[0],
                named[1],
            ],
            &["SORTIE_AUTH_JWT_JWKS_URL"],
        );
        check(
            &[("SORTIE_OIDC_ISSUER", "https://id.example")],
            &[
                "SORTIE_OIDC_CLIENT_ID",
                "SORTIE_OIDC_REDIRECT_URL",
                "SORTIE_OIDC_REDIRECT_URL",
            ],
        );
    }
}
