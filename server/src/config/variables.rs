//! Table of all variables with defaults and meanings, for `--help`, `check-config`, the configuration file and
//! docs/server.md.
//!
//! A test fails for a variable that [`super::Config::read`] reads without a line here, for a line that is not read, and
//! for a default that is not the actual one.

use std::fmt::Write as _;

/// Description of one configuration variable.
#[derive(Debug)]
pub struct Variable {
    /// Name in the environment and in the configuration file.
    pub name: &'static str,
    /// Default: a valid value, or words in parentheses.
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
    plain("SORTIE_VIDEO_RECORDING_ENABLED", "false", "Enables recording. If `false`, its routes answer 404 and the pages show no controls"),
    plain("SORTIE_RECORDING_MAX_SIZE_MB", "500", "Maximum size of a recording, in MiB (1 to 16,777,216). A larger upload gets 413"),
    plain("SORTIE_RECORDING_SILENCE_SECONDS", "600", "A recording whose sender is silent for longer (5 to 31,536,000) is finished from the received bytes"),
    plain("SORTIE_RECORDING_MISSING_SECONDS", "30", "A running session whose recording is required is reported as missing its recording after this many seconds without live bytes (20 to 86,400)"),
    plain("SORTIE_UPLOADS_PER_USER", "32", "Maximum number of open uploads of one user (1 to 1,000,000), including complete partial uploads that are not joined yet. The next one gets 429. For uploads by an API token or a recording token the limit is per session, and 16 times as high for the owner"),
    plain("SORTIE_QUOTA_MB_PER_USER", "0", "Maximum total size of one user's recordings, in MiB (0 to 1,099,511,627,776), including growing ones. Above it uploads get 413. 0: no quota"),
    plain("SORTIE_QUOTA_PROTECTED_MB_PER_USER", "", "Maximum total size of the recordings that one user can protect from automatic deletion, in MiB (0 to 1,099,511,627,776). Administrators can protect more. 0: no quota. If unset, a quarter of the disk while SORTIE_RECORDING_DISK_HIGH_PERCENT or the appliance's threshold is set"),
    plain("SORTIE_INDEX_MEMORY_MB", "64", "Memory for the indexes of all growing recordings, in MiB (1 to 65,536). One user can use as much as is free, at most a quarter. An MP4 whose index exceeds the memory stays fragmented: it plays, but seeking is slower. Finishing long recordings needs up to 128 MiB more"),
    plain("SORTIE_RECORDING_RETENTION_DAYS", "0", "Recordings that are ready and older than this many days (0 to 36,500) are deleted hourly. 0: never"),
    plain("SORTIE_TRASH_DAYS", "0", "Deleted recordings stay in the trash for this many days (0 to 3,650) and can be restored. The retention period and a full disk end it earlier. 0: a deletion is final. Not for appliances"),
    plain("SORTIE_RECORDING_DISK_HIGH_PERCENT", "", "With `local`: if disk usage exceeds this percentage (1 to 99), recordings are deleted, first the oldest of the user with the largest total size. If unset, never"),
    plain("SORTIE_RECORDING_DISK_LOW_PERCENT", "(5 less)", "… until disk usage is at most this percentage (0 to 98)"),

    // Storage.
    plain("SORTIE_RECORDING_STORAGE_BACKEND", "local", "Storage backend: `local`, `s3`, `azure` or `gcs`"),
    plain("SORTIE_RECORDING_STORAGE_PATH", "/data/recordings", "Folder for recordings with `local`"),
    plain("SORTIE_RECORDING_S3_BUCKET", "", "Bucket. Required with `s3`; it must exist"),
    plain("SORTIE_RECORDING_S3_REGION", "us-east-1", "Region of the bucket"),
    plain("SORTIE_RECORDING_S3_ENDPOINT", "", "Address of an S3-compatible store other than AWS, without a path: `https://s3.example.com:9000`"),
    plain("SORTIE_RECORDING_S3_PREFIX", "recordings/", "Prefix of all keys; `/` for none"),
    plain("SORTIE_RECORDING_S3_REDIRECT", "false", "Whether downloads are redirected to the store"),
    plain("SORTIE_RECORDING_STAGING_PATH", "(`staging` beside `SORTIE_DB`)", "Folder for acknowledged bytes that are not in the store yet"),
    plain("AWS_ACCESS_KEY_ID", "", "Access key. If unset, the rest of the AWS credential chain is used (profiles, SSO, IRSA, roles)"),
    secret("AWS_SECRET_ACCESS_KEY", "", "Secret of `AWS_ACCESS_KEY_ID`"),
    secret("AWS_SESSION_TOKEN", "", "Session token of a temporary `AWS_ACCESS_KEY_ID`"),
    plain("SORTIE_RECORDING_AZURE_CONTAINER", "", "Container. Required with `azure`; it must exist"),
    plain("SORTIE_RECORDING_AZURE_PREFIX", "recordings/", "Prefix of all blob names; `/` for none"),
    plain("AZURE_STORAGE_ACCOUNT_NAME", "", "Storage account. Required with `azure`"),
    plain("AZURE_STORAGE_ENDPOINT", "", "Address of an account outside the public cloud: `https://ACCOUNT.blob.core.usgovcloudapi.net`"),
    secret("AZURE_STORAGE_ACCOUNT_KEY", "", "Key of the account. If unset: a service principal, a workload identity, a SAS token, or the machine's managed identity"),
    secret("AZURE_STORAGE_SAS_TOKEN", "", "SAS token for the container with the permissions read, add, create, write, delete and list"),
    plain("AZURE_CLIENT_ID", "", "Client id of a service principal, a workload identity, or one of several managed identities"),
    plain("AZURE_TENANT_ID", "", "Tenant of a service principal or a workload identity"),
    secret("AZURE_CLIENT_SECRET", "", "Secret of a service principal"),
    plain("AZURE_FEDERATED_TOKEN_FILE", "", "Token file of a workload identity; Kubernetes sets it"),
    plain("AZURE_AUTHORITY_HOST", "(the public cloud's)", "Authority that issues tokens"),
    plain("SORTIE_RECORDING_GCS_BUCKET", "", "Bucket. Required with `gcs`; it must exist"),
    plain("SORTIE_RECORDING_GCS_PREFIX", "recordings/", "Prefix of all object names; `/` for none"),
    plain("GOOGLE_APPLICATION_CREDENTIALS", "", "File with a service account's key or a user's credentials. If unset: gcloud's own file, otherwise the account of the machine or pod"),
    secret("GOOGLE_SERVICE_ACCOUNT_KEY", "", "Key of a service account as JSON, instead of a file"),

    // Database.
    plain("SORTIE_DB_TYPE", "sqlite", "Database: `sqlite` (one server) or `postgres` (one or several servers)"),
    plain("SORTIE_DB", "sortie.db", "File of the SQLite database"),
    secret("SORTIE_DB_DSN", "", "PostgreSQL connection string: `postgres://user:password@host:5432/name?sslmode=require` or `host=… user=…`. Overrides the six variables below"),
    plain("SORTIE_DB_HOST", "", "PostgreSQL host, or the folder of its socket. With `postgres` this or `SORTIE_DB_DSN` is required"),
    plain("SORTIE_DB_PORT", "5432", "PostgreSQL port"),
    plain("SORTIE_DB_USER", "sortie", "User that owns the database"),
    secret("SORTIE_DB_PASSWORD", "", "Password of that user"),
    plain("SORTIE_DB_NAME", "sortie", "Name of the database, which must exist"),
    plain("SORTIE_DB_SSLMODE", "prefer", "TLS mode: `disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`"),

    // Listening.
    plain("SORTIE_HOST", "0.0.0.0", "Address to listen on; `127.0.0.1` for this machine only"),
    plain("SORTIE_PORT", "8080", "Port to listen on (0 to 65,535); 0: any free port"),
    plain("SORTIE_MAX_CONNECTIONS", "4096", "Maximum number of connections (1 to 1,000,000), at most half of the system's limit of open files. At the limit idle connections are closed for new ones; if none is idle, new ones wait"),
    plain("SORTIE_MAX_CONNECTIONS_PER_ADDRESS", "1024", "Maximum number of connections from one address, or one /64 network of IPv6 (1 to 1,000,000), at most half of all connections. Further ones get 429. Trusted proxies are exempt"),
    plain("SORTIE_PUBLIC_URL", "", "Address at which browsers reach this server: `https://example.com` or, below a path, `https://example.com/recordings`. Cookies are `Secure` if it begins with https and the request is for its host. The proxy may remove the path or keep it"),
    plain("SORTIE_HEADER_SECONDS", "75", "Time limit for the headers of a request, and for the next request on a connection (1 to 600). Must exceed the idle timeout of a proxy in front"),
    plain("SORTIE_BODY_SILENCE_SECONDS", "120", "A request whose body is silent for longer (1 to 120) is aborted; received bytes of an upload are kept. Slow bodies are not limited"),

    // Accounts.
    plain("SORTIE_ADMIN_USERNAME", "admin", "First administrator, created when the database has no users"),
    secret("SORTIE_ADMIN_PASSWORD", "(generated and printed once)", "Password of the first administrator, 8 to 256 characters"),
    secret("SORTIE_JWT_SECRET", "(generated and kept in the database)", "Key that signs access tokens; at least 32 bytes"),

    plain("SORTIE_SIGN_IN_LIFETIME_DAYS", "30", "A sign-in ends after this many days (1 to 3,650), even if it is used"),
    plain("SORTIE_SIGN_IN_IDLE_DAYS", "7", "A sign-in ends after this many days (1 to 3,650) without use; at most `SORTIE_SIGN_IN_LIFETIME_DAYS`"),

    // Other sign-in methods.
    plain("SORTIE_TRUSTED_PROXIES", "", "Networks of trusted proxies, comma-separated: `10.0.0.0/8, fd00::/8`; `none` for no proxy. If unset, only proxies on this machine (loopback) are trusted. `X-Forwarded-For`, `-Proto` and `-Host` of other peers are ignored"),
    plain("SORTIE_FORWARDED_HEADERS", "x-forwarded", "Headers that trusted proxies set: `x-forwarded` (`X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`) or `forwarded` (`Forwarded`, RFC 7239). The others are ignored, because a client may have set them"),
    plain("SORTIE_PROXY_AUTH_HEADER", "", "Header in which a trusted proxy names the signed-in user, for example `X-Forwarded-User`. Requires `SORTIE_TRUSTED_PROXIES`"),
    secret("SORTIE_AUTH_JWT_SECRET", "", "Secret shared with an embedding platform, which signs bearer tokens (HS256); at least 32 bytes"),
    plain("SORTIE_AUTH_JWT_JWKS_URL", "", "Instead of a secret: URL of the platform's public keys. Requires issuer and audience"),
    plain("SORTIE_AUTH_JWT_ISSUER", "", "Required `iss` of the platform's tokens"),
    plain("SORTIE_AUTH_JWT_AUDIENCE", "", "Value that the `aud` of the tokens must contain. If unset, only tokens without `aud` are accepted"),
    plain("SORTIE_AUTH_JWT_LEEWAY_SECONDS", "60", "Tolerated difference between the platform's clock and this server's, in seconds (0 to 600)"),
    plain("SORTIE_AUTH_JWT_USER_CLAIM", "sub", "Claim that identifies the user. The platform must not reassign its values"),
    plain("SORTIE_AUTH_JWT_NAME_CLAIM", "name", "Claim with the display name"),
    plain("SORTIE_AUTH_JWT_ROLE_CLAIM", "", "Claim with roles, also a path like `realm_access.roles`. If unset, administrators of this server assign roles"),
    plain("SORTIE_AUTH_JWT_ADMIN_VALUES", "admin", "Roles of administrators, comma-separated. They may contain spaces and are compared exactly"),
    plain("SORTIE_AUTH_JWT_TENANT_CLAIM", "", "Claim that must have the value of `SORTIE_AUTH_JWT_TENANT`"),
    plain("SORTIE_AUTH_JWT_TENANT", "", "Required value of `SORTIE_AUTH_JWT_TENANT_CLAIM`"),
    plain("SORTIE_OIDC_ISSUER", "", "Issuer of the OpenID provider, exactly as in its metadata"),
    plain("SORTIE_OIDC_CLIENT_ID", "", "Client id at the provider"),
    secret("SORTIE_OIDC_CLIENT_SECRET", "", "Secret of `SORTIE_OIDC_CLIENT_ID`; a public client has none"),
    plain("SORTIE_OIDC_REDIRECT_URL", "", "Address at which browsers reach this server, followed by `/api/auth/oidc/callback`"),
    plain("SORTIE_OIDC_NAME", "single sign-on", "Name of the provider on the sign-in page"),
    plain("SORTIE_OIDC_SCOPES", "openid profile email", "Requested scopes, separated by spaces"),
    plain("SORTIE_OIDC_ROLE_CLAIM", "", "As `SORTIE_AUTH_JWT_ROLE_CLAIM`"),
    plain("SORTIE_OIDC_ADMIN_VALUES", "admin", "As `SORTIE_AUTH_JWT_ADMIN_VALUES`"),
    plain("SORTIE_OIDC_REQUIRED_CLAIM", "", "Claim that must have one of `SORTIE_OIDC_REQUIRED_VALUES`; other users are not admitted. If this and `SORTIE_OIDC_REQUIRED_DOMAINS` are unset, every user of the provider is admitted"),
    plain("SORTIE_OIDC_REQUIRED_VALUES", "", "Accepted values of `SORTIE_OIDC_REQUIRED_CLAIM`, comma-separated"),
    plain("SORTIE_OIDC_REQUIRED_DOMAINS", "", "Domains, comma-separated. Only users with an e-mail address in one of them that the provider has verified (`email_verified`) are admitted"),
    plain("SORTIE_OIDC_UNCONFIRMED_HOURS", "24", "Hours that a sign-in continues without the provider's confirmation, which is requested at each refresh (0 to 720)"),

    // Other sites.
    plain("SORTIE_CORS_ORIGINS", "", "Origins whose pages may call the API with a token, comma-separated: `https://app.example.com`. If unset, none"),
    plain("SORTIE_FRAME_ANCESTORS", "", "Origins that may show the pages in a frame, comma-separated. If unset, none"),
    plain("SORTIE_REPLICA_ADDRESS", "", "With several servers: IP address or host name at which the others reach this one over HTTP, with a port if it is not SORTIE_PORT. They pass viewers of a recording that this server receives on to it. If unset, only this server shows such recordings live"),
    plain("SORTIE_SHARING_ENABLED", "true", "Whether recordings can be shared with people without an account, by links that expire. If `false`, existing links do not work, the routes answer 404 and the pages show no button"),
    plain("SORTIE_HSTS_SECONDS", "31536000", "`max-age` of `Strict-Transport-Security`, which makes browsers use HTTPS only (0 to 63,072,000); 0: not sent"),
    plain("SORTIE_WEBHOOK_ALLOW_PRIVATE", "false", "Whether webhooks may be sent over plain HTTP and to addresses that are not public (loopback, private, link-local)"),

    // Operation.
    plain("SORTIE_METRICS_PUBLIC", "false", "Whether `/metrics` is public instead of for administrators only"),
    plain("SORTIE_LOG", "info,sqlx=warn,object_store=warn,aws_config=warn", "Log filter ([filter syntax](https://docs.rs/tracing-subscriber/latest/tracing_subscriber/filter/struct.EnvFilter.html)). The output is JSON lines, or text on a terminal"),
    plain("OTEL_EXPORTER_OTLP_ENDPOINT", "", "OpenTelemetry collector that accepts traces over HTTP: `http://collector:4318`. Other standard variables (`OTEL_TRACES_SAMPLER`, `OTEL_RESOURCE_ATTRIBUTES`, …) are read from the environment"),
    plain("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "", "Complete URL instead: `http://collector:4318/v1/traces`"),
    plain("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", "The only supported protocol"),
    secret("OTEL_EXPORTER_OTLP_HEADERS", "", "Headers of the requests to the collector: `name=value`, separated by commas"),
    plain("OTEL_SERVICE_NAME", "sortie-server", "Name of this server in traces"),
    plain("OTEL_SDK_DISABLED", "false", "No traces, whatever is set above"),
];

/// Variable that names the configuration file; environment only.
pub(super) const CONFIG_FILE: &str = "SORTIE_CONFIG";

/// Returns the variable of this name.
pub(super) fn find(name: &str) -> Option<&'static Variable> {
    VARIABLES.iter().find(|variable| variable.name == name)
}

/// Returns the known name that is most similar to an unknown one.
pub(super) fn closest_name(name: &str) -> Option<&'static str> {
    let upper = name.to_ascii_uppercase();
    // A name with all words of the unknown one is more likely than one with similar words.
    let missing_words = |known: &str| {
        let is_missing = |word: &&str| !known.split('_').any(|other| other == *word);
        upper.split('_').filter(is_missing).count()
    };
    VARIABLES
        .iter()
        .map(|variable| {
            let distance = strsim::levenshtein(&upper, variable.name);
            (missing_words(variable.name), distance, variable.name)
        })
        .min()
        // A name that differs in half of its letters is not a misspelling.
        .filter(|(_, distance, known)| distance * 2 <= known.len())
        .map(|(.., known)| known)
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
    fn documentation_contains_the_table() {
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
    fn misspelled_name_gets_a_suggestion() {
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
            assert_eq!(closest_name(written), expected, "{written}");
        }
    }

    #[test]
    fn help_contains_no_markdown() {
        let text = help();
        assert!(text.contains("SORTIE_PORT = 8080\n"));
        assert!(text.contains("SORTIE_ADMIN_PASSWORD_FILE"));
        assert!(text.contains("(filter syntax)"), "{text}");
        assert!(!text.contains('`') && !text.contains('['));
    }
}
