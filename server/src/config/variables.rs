//! Table of all variables with defaults and meanings, for `--help`, `check-config`, the configuration file and docs/server.md.
//!
//! A test fails for a variable that [`super::Config::read`] reads without a line here, for a line that is not read, and for a
//! default that is not the actual one.

use std::fmt::Write as _;

/// One variable.
#[derive(Debug)]
pub struct Variable {
    /// Its name, in the environment and in the configuration file.
    pub name: &'static str,
    /// Value without a setting: a valid value, or words in parentheses.
    pub default: &'static str,
    /// Meaning with allowed values, in Markdown.
    pub meaning: &'static str,
    /// Whether its value is masked, and may come from the file that `<name>_FILE` names.
    pub secret: bool,
}

const fn plain(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable {
        name,
        default,
        meaning,
        secret: false,
    }
}

const fn secret(name: &'static str, default: &'static str, meaning: &'static str) -> Variable {
    Variable {
        name,
        default,
        meaning,
        secret: true,
    }
}

/// All variables, in the order of the documentation.
#[rustfmt::skip]
pub const VARIABLES: &[Variable] = &[
    // Recording.
    plain("SORTIE_VIDEO_RECORDING_ENABLED", "false", "Turns recording on. Off: its routes answer 404 and the pages show no controls"),
    plain("SORTIE_RECORDING_MAX_SIZE_MB", "500", "The largest recording, in MiB (1 to 16,777,216); more is refused with 413"),
    plain("SORTIE_RECORDING_SILENCE_SECONDS", "600", "A recording whose sender is silent for longer (5 to 31,536,000) is finished from what has arrived"),
    plain("SORTIE_UPLOADS_PER_USER", "32", "How many uploads of one person may be open at once (1 to 1,000,000), complete partial ones that wait to be joined among them; the next gets 429. Uploads that an API token or a recording token creates count for each session, and 16 times as many for its owner"),
    plain("SORTIE_QUOTA_MB_PER_USER", "0", "Most bytes of one user's recordings, in MiB (0 to 1,099,511,627,776), growing ones included; more is refused with 413. 0: no quota"),
    plain("SORTIE_QUOTA_PROTECTED_MB_PER_USER", "", "Most bytes that one user may protect from automatic deletion, in MiB (0 to 1,099,511,627,776); administrators may protect more. 0: no quota. Without it a quarter of the disk while SORTIE_RECORDING_DISK_HIGH_PERCENT or the appliance's threshold is set"),
    plain("SORTIE_INDEX_MEMORY_MB", "64", "Memory for the indexes of all growing recordings, in MiB (1 to 65,536). One user gets as much as is left free, a quarter at most. An MP4 whose index gets no more stays fragmented: it plays, and players seek in it more slowly. Finishing long recordings takes up to 128 MiB on top"),
    plain("SORTIE_RECORDING_RETENTION_DAYS", "0", "Recordings that are ready and older than so many days (0 to 36,500) are deleted, hourly; 0 keeps them for ever"),
    plain("SORTIE_RECORDING_DISK_HIGH_PERCENT", "", "With `local`: when its disk is fuller than this (1 to 99), recordings are deleted, the oldest of the user whose recordings take up the most first. Off without it"),
    plain("SORTIE_RECORDING_DISK_LOW_PERCENT", "(5 less)", "… until the disk is no fuller than this (0 to 98)"),

    // Storage.
    plain("SORTIE_RECORDING_STORAGE_BACKEND", "local", "Where recordings go: `local`, `s3`, `azure` or `gcs`"),
    plain("SORTIE_RECORDING_STORAGE_PATH", "/data/recordings", "The folder for recordings with `local`"),
    plain("SORTIE_RECORDING_S3_BUCKET", "", "The bucket; required with `s3`, and must exist"),
    plain("SORTIE_RECORDING_S3_REGION", "us-east-1", "Its region"),
    plain("SORTIE_RECORDING_S3_ENDPOINT", "", "Address of a store that is not AWS, without a path: `https://s3.example.com:9000`"),
    plain("SORTIE_RECORDING_S3_PREFIX", "recordings/", "Begins every key; `/` for none"),
    plain("SORTIE_RECORDING_S3_REDIRECT", "false", "Downloads are redirected to the store"),
    plain("SORTIE_RECORDING_STAGING_PATH", "(`staging` beside `SORTIE_DB`)", "Folder for what the store does not have yet"),
    plain("AWS_ACCESS_KEY_ID", "", "Access key; without one the rest of the AWS chain is asked (profiles, SSO, IRSA, roles)"),
    secret("AWS_SECRET_ACCESS_KEY", "", "Belongs to `AWS_ACCESS_KEY_ID`"),
    secret("AWS_SESSION_TOKEN", "", "Belongs to a temporary `AWS_ACCESS_KEY_ID`"),
    plain("SORTIE_RECORDING_AZURE_CONTAINER", "", "The container; required with `azure`, and must exist"),
    plain("SORTIE_RECORDING_AZURE_PREFIX", "recordings/", "Begins every blob's name; `/` for none"),
    plain("AZURE_STORAGE_ACCOUNT_NAME", "", "The storage account; required with `azure`"),
    plain("AZURE_STORAGE_ENDPOINT", "", "Address of an account that is not in the public cloud: `https://ACCOUNT.blob.core.usgovcloudapi.net`"),
    secret("AZURE_STORAGE_ACCOUNT_KEY", "", "The account's key. Without it a service principal or a workload identity, a SAS token, or the machine's managed identity"),
    secret("AZURE_STORAGE_SAS_TOKEN", "", "A token for the container: read, add, create, write, delete and list"),
    plain("AZURE_CLIENT_ID", "", "A service principal, a workload identity, or one of several managed identities"),
    plain("AZURE_TENANT_ID", "", "Belongs to a service principal or a workload identity"),
    secret("AZURE_CLIENT_SECRET", "", "Belongs to a service principal"),
    plain("AZURE_FEDERATED_TOKEN_FILE", "", "Belongs to a workload identity; Kubernetes sets it"),
    plain("AZURE_AUTHORITY_HOST", "(the public cloud's)", "Where tokens come from"),
    plain("SORTIE_RECORDING_GCS_BUCKET", "", "The bucket; required with `gcs`, and must exist"),
    plain("SORTIE_RECORDING_GCS_PREFIX", "recordings/", "Begins every object's name; `/` for none"),
    plain("GOOGLE_APPLICATION_CREDENTIALS", "", "File with a service account's key or a user's credentials. Without it gcloud's own file, else the machine's or the pod's account"),
    secret("GOOGLE_SERVICE_ACCOUNT_KEY", "", "A service account's key itself, as JSON, instead of a file"),

    // Database.
    plain("SORTIE_DB_TYPE", "sqlite", "The kind of database: `sqlite` (one server) or `postgres` (one or several)"),
    plain("SORTIE_DB", "sortie.db", "The file of an SQLite database"),
    secret("SORTIE_DB_DSN", "", "How to reach PostgreSQL: `postgres://user:password@host:5432/name?sslmode=require` or `host=… user=…`; wins over the six below"),
    plain("SORTIE_DB_HOST", "", "PostgreSQL's host, or the folder of its socket; this or `SORTIE_DB_DSN` is required with `postgres`"),
    plain("SORTIE_DB_PORT", "5432", "Its port"),
    plain("SORTIE_DB_USER", "sortie", "The user, who owns the database"),
    secret("SORTIE_DB_PASSWORD", "", "Their password"),
    plain("SORTIE_DB_NAME", "sortie", "The database, which must exist"),
    plain("SORTIE_DB_SSLMODE", "prefer", "TLS: `disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`"),

    // Listening.
    plain("SORTIE_HOST", "0.0.0.0", "The address to listen on; `127.0.0.1` for this machine only"),
    plain("SORTIE_PORT", "8080", "The port to listen on (0 to 65,535); 0 takes any free one"),
    plain("SORTIE_MAX_CONNECTIONS", "4096", "The most connections at once (1 to 1,000,000), and never more than half of the open files that the system allows. At the limit, idle connections are closed for new ones; when none is idle, new ones wait"),
    plain("SORTIE_MAX_CONNECTIONS_PER_ADDRESS", "1024", "The most connections at once from one address, or one /64 network of IPv6 (1 to 1,000,000), and never more than half of all; more get 429. Trusted proxies are exempt"),
    plain("SORTIE_PUBLIC_URL", "", "This server's address as browsers reach it: `https://example.com` or, below a path, `https://example.com/recordings`. Cookies are `Secure` when it begins with https and the request is for its host. The proxy may remove the path or leave it"),
    plain("SORTIE_HEADER_SECONDS", "75", "For a request's headers, and for the next request of a connection (1 to 600). Longer than the proxy in front keeps idle connections"),
    plain("SORTIE_BODY_SILENCE_SECONDS", "120", "A body that brings nothing for longer (1 to 120) is ended; what an upload has brought is kept. What moves, however slowly, goes on"),

    // Accounts.
    plain("SORTIE_ADMIN_USERNAME", "admin", "The first administrator, made when the database has nobody"),
    secret("SORTIE_ADMIN_PASSWORD", "(generated and printed once)", "Their password, 8 to 256 characters"),
    secret("SORTIE_JWT_SECRET", "(generated and kept in the database)", "Signs access tokens; at least 32 bytes"),

    plain("SORTIE_SIGN_IN_LIFETIME_DAYS", "30", "A sign-in ends after so many days (1 to 3,650), however it is used"),
    plain("SORTIE_SIGN_IN_IDLE_DAYS", "7", "A sign-in ends after so many days (1 to 3,650) without use; at most `SORTIE_SIGN_IN_LIFETIME_DAYS`"),

    // Other sign-in methods.
    plain("SORTIE_TRUSTED_PROXIES", "", "Networks of the proxies whose `X-Forwarded-For`, `-Proto` and `-Host` are believed, comma-separated: `10.0.0.0/8, fd00::/8`; `none` for no proxy. Without it only proxies on this machine (loopback) are. From every other peer these headers are ignored"),
    plain("SORTIE_FORWARDED_HEADERS", "x-forwarded", "The headers that trusted proxies write: `x-forwarded` (`X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`) or `forwarded` (`Forwarded`, RFC 7239). The others are ignored: a client may have written them"),
    plain("SORTIE_PROXY_AUTH_HEADER", "", "Header in which a trusted proxy names who has signed in, like `X-Forwarded-User`; needs `SORTIE_TRUSTED_PROXIES`"),
    secret("SORTIE_AUTH_JWT_SECRET", "", "Shared with an embedding platform that signs bearer tokens (HS256); at least 32 bytes"),
    plain("SORTIE_AUTH_JWT_JWKS_URL", "", "Instead of a secret: where the platform publishes its keys; needs issuer and audience"),
    plain("SORTIE_AUTH_JWT_ISSUER", "", "The `iss` of its tokens"),
    plain("SORTIE_AUTH_JWT_AUDIENCE", "", "What must be in their `aud`. Without it only tokens that have no `aud` are accepted"),
    plain("SORTIE_AUTH_JWT_LEEWAY_SECONDS", "60", "How far its clock may be from ours (0 to 600)"),
    plain("SORTIE_AUTH_JWT_USER_CLAIM", "sub", "The claim that says who it is and is never given to anybody else"),
    plain("SORTIE_AUTH_JWT_NAME_CLAIM", "name", "The claim with the name to show"),
    plain("SORTIE_AUTH_JWT_ROLE_CLAIM", "", "The claim with roles, also a path like `realm_access.roles`. Without it administrators here decide"),
    plain("SORTIE_AUTH_JWT_ADMIN_VALUES", "admin", "The roles, comma-separated, that make an administrator. They may contain spaces and are compared exactly"),
    plain("SORTIE_AUTH_JWT_TENANT_CLAIM", "", "Only tokens whose claim of this name has the value of `SORTIE_AUTH_JWT_TENANT`"),
    plain("SORTIE_AUTH_JWT_TENANT", "", "Belongs to `SORTIE_AUTH_JWT_TENANT_CLAIM`"),
    plain("SORTIE_OIDC_ISSUER", "", "OpenID provider to sign in at, exactly as it calls itself"),
    plain("SORTIE_OIDC_CLIENT_ID", "", "What it knows us by"),
    secret("SORTIE_OIDC_CLIENT_SECRET", "", "Belongs to `SORTIE_OIDC_CLIENT_ID`; a public client has none"),
    plain("SORTIE_OIDC_REDIRECT_URL", "", "This server's address as browsers reach it, with `/api/auth/oidc/callback` behind it"),
    plain("SORTIE_OIDC_NAME", "single sign-on", "What the sign-in page calls the provider"),
    plain("SORTIE_OIDC_SCOPES", "openid profile email", "What is asked of it, separated by spaces"),
    plain("SORTIE_OIDC_ROLE_CLAIM", "", "As `SORTIE_AUTH_JWT_ROLE_CLAIM`"),
    plain("SORTIE_OIDC_ADMIN_VALUES", "admin", "As `SORTIE_AUTH_JWT_ADMIN_VALUES`"),
    plain("SORTIE_OIDC_REQUIRED_CLAIM", "", "Only users whose claim of this name has one of `SORTIE_OIDC_REQUIRED_VALUES` are admitted. Without it and `SORTIE_OIDC_REQUIRED_DOMAINS` every user that the provider knows is"),
    plain("SORTIE_OIDC_REQUIRED_VALUES", "", "Belongs to `SORTIE_OIDC_REQUIRED_CLAIM`, comma-separated"),
    plain("SORTIE_OIDC_REQUIRED_DOMAINS", "", "Only users with a mail address in one of these domains that the provider has verified (`email_verified`) are admitted, comma-separated"),
    plain("SORTIE_OIDC_UNCONFIRMED_HOURS", "24", "How long a sign-in continues while the provider does not confirm it (0 to 720): it is asked at each refresh"),

    // Other sites.
    plain("SORTIE_CORS_ORIGINS", "", "Sites whose pages may call the API with a token, comma-separated: `https://app.example.com`. None without it"),
    plain("SORTIE_FRAME_ANCESTORS", "", "Sites that may show our pages in a frame, comma-separated. None without it"),
    plain("SORTIE_HSTS_SECONDS", "31536000", "How long browsers shall insist on HTTPS once they came over it (0 to 63,072,000); 0 for not at all"),

    // Operation.
    plain("SORTIE_METRICS_PUBLIC", "false", "Anybody may read `/metrics`, not only administrators"),
    plain("SORTIE_LOG", "info,sqlx=warn,object_store=warn,aws_config=warn", "What is logged ([filter syntax](https://docs.rs/tracing-subscriber/latest/tracing_subscriber/filter/struct.EnvFilter.html)); JSON lines unless a terminal reads them"),
    plain("OTEL_EXPORTER_OTLP_ENDPOINT", "", "An OpenTelemetry collector that takes traces over HTTP: `http://collector:4318`. Other standard variables (`OTEL_TRACES_SAMPLER`, `OTEL_RESOURCE_ATTRIBUTES`, …) count too, from the environment"),
    plain("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "", "Instead, the whole address: `http://collector:4318/v1/traces`"),
    plain("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "Nothing else is spoken"),
    secret("OTEL_EXPORTER_OTLP_HEADERS", "", "Sent along: `name=value`, several separated by commas"),
    plain("OTEL_SERVICE_NAME", "sortie-server", "What the traces call this server"),
    plain("OTEL_SDK_DISABLED", "false", "No traces, whatever is set above"),
];

/// Variable that names the configuration file; environment only.
pub(super) const CONFIG_FILE: &str = "SORTIE_CONFIG";

/// Returns the variable of this name.
pub(super) fn find(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|variable| variable.name == name)
}

/// Returns the known name that is most similar to an unknown one.
pub(super) fn meant(name: &str) -> Option<&'static str> {
    let upper = name.to_ascii_uppercase();
    VARIABLES
        .iter()
        .map(|variable| (distance(&upper, variable.name), variable.name))
        .min()
        // With half of the letters different it is another name.
        .filter(|(distance, known)| distance * 2 <= known.len())
        .map(|(_, known)| known)
}

/// Levenshtein distance.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, against) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(letter != against);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

/// Returns the list for `--help`.
pub fn help() -> String {
    let mut text =
        "Variables, from the environment or, with the same names, from a TOML file (--config or \
                    SORTIE_CONFIG). The environment wins.\n"
            .to_owned();
    for Variable {
        name,
        default,
        meaning,
        secret,
    } in VARIABLES
    {
        let plain = words(meaning);
        let _ = write!(text, "\n  {name}");
        if !default.is_empty() {
            let _ = write!(text, " = {}", words(default));
        }
        if *secret {
            let _ = write!(text, "\n      Or {name}_FILE, a file with it.");
        }
        let _ = writeln!(text, "\n      {plain}.");
    }
    text
}

/// Removes Markdown: backquotes, and links except their text.
fn words(markdown: &str) -> String {
    let mut text = markdown.replace('`', "");
    while let Some((before, (label, (_, after)))) =
        text.split_once('[').and_then(|(before, rest)| {
            let (label, rest) = rest.split_once("](")?;
            Some((before, (label, rest.split_once(')')?)))
        })
    {
        text = format!("{before}{label}{after}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_DOCS=1` writes the page instead.
    #[test]
    fn the_page_for_readers_has_this_table() {
        let mut table = "| Variable | Default | Meaning |\n|---|---|---|\n".to_owned();
        for Variable {
            name,
            default,
            meaning,
            secret,
        } in VARIABLES
        {
            let name = if *secret {
                format!("`{name}`, `…_FILE`")
            } else {
                format!("`{name}`")
            };
            let default = match *default {
                "" => String::new(),
                words if words.starts_with('(') => words.trim_matches(['(', ')']).to_owned(),
                value => format!("`{value}`"),
            };
            let _ = writeln!(table, "| {name} | {default} | {meaning} |");
        }
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/server.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (before, rest) = page.split_once("<!-- variables -->\n").unwrap();
        let (_, after) = rest.split_once("<!-- end -->\n").unwrap();
        let expected = format!("{before}<!-- variables -->\n{table}<!-- end -->\n{after}");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &expected).unwrap();
        } else {
            assert_eq!(
                page, expected,
                "run: UPDATE_DOCS=1 cargo test -p sortie-server variables"
            );
        }
    }

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        for (written, expected) in [
            ("SORTIE_PROT", Some("SORTIE_PORT")),
            ("sortie_port", Some("SORTIE_PORT")),
            (
                "SORTIE_RECORDING_MAX_SIZE",
                Some("SORTIE_RECORDING_MAX_SIZE_MB"),
            ),
            (
                "SORTIE_RECORDING_ENABLED",
                Some("SORTIE_VIDEO_RECORDING_ENABLED"),
            ),
            ("COLOUR", None),
        ] {
            assert_eq!(meant(written), expected, "{written}");
        }
    }

    #[test]
    fn help_is_without_marks() {
        let text = help();
        assert!(text.contains("SORTIE_PORT = 8080\n"));
        assert!(text.contains("SORTIE_ADMIN_PASSWORD_FILE"));
        assert!(text.contains("(filter syntax)"), "{text}");
        assert!(!text.contains('`') && !text.contains('['));
    }
}
