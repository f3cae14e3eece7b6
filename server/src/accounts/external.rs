//! Users of other identity sources: an embedding platform, an OpenID provider, a trusted proxy.
//!
//! Each has a row of its own, found by source and subject. A row is never shared with a local user: a name chosen
//! elsewhere must not give access to a local account.

use sha2::{Digest, Sha256};
use sortie_api::{Role, UserSource};
use unicode_normalization::UnicodeNormalization as _;
use unicode_security::{MixedScript as _, skeleton};
use uuid::Uuid;

use crate::digest::to_hex;

/// Longest subject: OpenID Connect Core, section 2, allows 255 ASCII characters.
const LONGEST_SUBJECT: usize = 255;

/// Names that readers of the audit log could mistake for the server or its administrators.
const RESERVED_NAMES: [&str; 5] = ["admin", "administrator", "root", "sortie", "system"];

/// Identity as described by another source, within the limits of local users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct External {
    pub(super) source: UserSource,
    issuer: String,
    subject: String,
    username: String,
    pub(super) display_name: Option<String>,
    pub(super) email: Option<String>,
    /// `None`: the source has no roles, so administrators of this server set them.
    pub(super) roles: Option<Vec<Role>>,
}

/// Profile of a user at another source.
#[derive(Debug, Default)]
pub(super) struct Profile {
    /// Short name, from which the user name is made.
    pub(super) username: Option<String>,
    pub(super) display_name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) roles: Option<Vec<Role>>,
}

impl External {
    /// Returns `None` if the subject is invalid.
    pub(super) fn new(
        source: UserSource,
        issuer: &str,
        subject: &str,
        profile: Profile,
    ) -> Option<Self> {
        if subject.is_empty()
            || subject.len() > LONGEST_SUBJECT
            || subject.chars().any(char::is_control)
        {
            return None;
        }
        let username = profile
            .username
            // Converts full-width and other compatibility forms to plain letters.
            .and_then(|name| line(&name.nfkc().collect::<String>(), 64))
            .or_else(|| line(&subject.nfkc().collect::<String>(), 64))?;
        Some(Self {
            source,
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            username,
            display_name: profile.display_name.and_then(|name| line(&name, 128)),
            email: profile.email.filter(|email| is_plausible_email(email)),
            roles: profile.roles,
        })
    }

    /// Identity asserted by a trusted proxy.
    pub(super) fn from_proxy(name: &str) -> Option<Self> {
        Self::new(UserSource::Proxy, "", name.trim(), Profile::default())
    }

    /// Key of the user's row. An issuer contains no space, and the subject comes last.
    pub(super) fn key(&self) -> String {
        let source = match self.source {
            UserSource::Oidc => "oidc",
            UserSource::Jwt => "jwt",
            UserSource::Proxy | UserSource::Local | UserSource::Other => "proxy",
        };
        format!("{source} {} {}", self.issuer, self.subject)
    }

    /// User names to try, in this order. A name that resembles another one is only used with a suffix.
    pub(super) fn usernames(&self) -> Vec<String> {
        if is_deceptive(&self.username) {
            vec![self.other_username()]
        } else {
            vec![self.username.clone(), self.other_username()]
        }
    }

    /// Name with a suffix for a name that is taken: constant for this user and unique.
    fn other_username(&self) -> String {
        let hash = to_hex(&Sha256::digest(self.key()));
        let start: String = self.username.chars().take(54).collect();
        format!("{start}-{}", &hash[..8])
    }
}

/// Whether a name resembles another one: it mixes scripts, looks like Latin letters without being Latin (Unicode
/// Technical Standard 39), has the form of an id, or is or looks like a reserved name.
fn is_deceptive(name: &str) -> bool {
    let looks_like = |text: &str| skeleton(text).collect::<String>();
    let lower = name.to_lowercase();
    let look = looks_like(&lower);
    let is_reserved = RESERVED_NAMES
        .iter()
        .any(|reserved| looks_like(reserved) == look);
    let poses_as_latin = !name.is_ascii() && look.is_ascii();
    is_reserved || poses_as_latin || !name.is_single_script() || Uuid::try_parse(name).is_ok()
}

/// Whether a character is invisible: format characters, fillers and variation selectors.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Returns one line of at most `longest` visible characters, with single spaces; `None` if empty.
fn line(text: &str, longest: usize) -> Option<String> {
    let visible = text.chars().filter(|c| !is_invisible(*c));
    let spaced: String = visible
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control())
        .collect();
    let words: Vec<_> = spaced.split(' ').filter(|word| !word.is_empty()).collect();
    let text: String = words.join(" ").chars().take(longest).collect();
    let text = text.trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Plausibility check of an address; nothing is sent to it. RFC 5321, 4.5.3.1.3: at most 254.
pub(crate) fn is_plausible_email(email: &str) -> bool {
    let has_parts = email.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty() && !domain.is_empty() && !domain.contains('@')
    });
    has_parts && email.len() <= 254 && !email.chars().any(|c| c.is_control() || c.is_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn external(issuer: &str, subject: &str, username: Option<&str>) -> Option<External> {
        let profile = Profile {
            username: username.map(str::to_owned),
            ..Profile::default()
        };
        External::new(UserSource::Jwt, issuer, subject, profile)
    }

    #[test]
    fn issuer_is_part_of_the_identity() {
        let key = |issuer, subject| external(issuer, subject, None).unwrap().key();
        assert_ne!(key("https://a", "1"), key("https://b", "1"));
        assert_ne!(key("", "a b"), key("a", "b"));
        assert_ne!(key("", "1"), External::from_proxy("1").unwrap().key());
    }

    #[test]
    fn external_name_is_converted_to_a_valid_name() {
        let name = |subject, username| external("i", subject, username).map(|it| it.username);
        assert_eq!(name("7", Some(" Ann\n ")).as_deref(), Some("Ann"));
        assert_eq!(name("7", Some("\u{7}")).as_deref(), Some("7"));
        let long = external("i", "7", Some(&"é".repeat(100))).unwrap();
        assert_eq!(long.username.chars().count(), 64);
        assert_eq!(long.other_username().chars().count(), 63);
        for subject in ["", "a\nb", &"x".repeat(256), " "] {
            assert_eq!(name(subject, None), None, "{subject:?}");
        }
    }

    #[test]
    fn invisible_characters_and_compatibility_forms_are_removed_from_names() {
        for given in [
            "Ann\u{200b}",
            "\u{202e}Ann",
            "A\u{ad}nn",
            "\u{ff21}nn",
            "Ann\u{e0041}\u{3164}",
        ] {
            let known = external("i", "7", Some(given)).map(|it| it.username);
            assert_eq!(known.as_deref(), Some("Ann"), "{given:?}");
        }
        let spaced = external("i", "7", Some("Ann \u{2003} \u{a0}Example")).map(|it| it.username);
        assert_eq!(spaced.as_deref(), Some("Ann Example"));
    }

    #[test]
    fn name_that_resembles_another_gets_a_suffix() {
        for name in [
            "admin",
            "ADMIN",
            "system",
            "Administrator",
            "adrnin",
            // Cyrillic and Greek letters, mixed with Latin letters and instead of them.
            "\u{430}dmin",
            "\u{391}nn",
            "\u{441}\u{43e}\u{440}\u{435}",
            "0190c1f2-0000-7000-8000-000000000000",
            "0190c1f2000070008000000000000000",
        ] {
            let external = external("i", "7", Some(name)).unwrap();
            assert_eq!(external.usernames(), [external.other_username()], "{name}");
        }
        for name in [
            "ann",
            "Ann Example",
            "Jos\u{e9}",
            "ann@example.org",
            "M\u{fc}ller-L\u{fc}denscheidt",
            "\u{410}\u{43d}\u{43d}\u{430} \u{42f}",
            "\u{5c71}\u{7530}\u{3055}\u{3093}",
            "user1",
            "EXAMPLE\\ann",
        ] {
            let external = external("i", "7", Some(name)).unwrap();
            assert_eq!(external.usernames()[0], name);
        }
    }
}
