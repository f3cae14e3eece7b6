//! What to do about a store that does not work, in the words of whoever set it up.

use object_store::Error;

use crate::config::S3StorageConfig;

/// An error with what caused it. object_store repeats causes in its texts, so only what is new is added.
pub(super) fn text_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}

/// Says what is wrong when a call that needs `permission` on `resource` fails.
pub(super) fn explain(
    error: &Error,
    permission: &str,
    resource: &str,
    config: &S3StorageConfig,
) -> String {
    let text = text_of(error);
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let bucket = &config.bucket;
    let endpoint = config.endpoint.as_deref().unwrap_or("AWS");
    if has(&["NoSuchBucket"]) {
        return format!(
            "SORTIE_RECORDING_S3_BUCKET: there is no bucket {bucket:?} at {endpoint}; create it, or correct the name"
        );
    }
    if has(&["InvalidAccessKeyId", "InvalidClientTokenId"]) {
        return format!(
            "credentials: the access key is not known at {endpoint}; check AWS_ACCESS_KEY_ID or the profile"
        );
    }
    if has(&["SignatureDoesNotMatch"]) {
        return "credentials: the secret key does not belong to the access key; check AWS_SECRET_ACCESS_KEY or the profile".to_owned();
    }
    if has(&["ExpiredToken", "TokenRefreshRequired"]) {
        return "credentials: they have expired; sign in again or renew AWS_SESSION_TOKEN"
            .to_owned();
    }
    if has(&["RequestTimeTooSkewed"]) {
        return "this machine's clock is wrong by more than the store allows; set it (NTP)"
            .to_owned();
    }
    if has(&[
        "AuthorizationHeaderMalformed",
        "PermanentRedirect",
        "IllegalLocationConstraint",
        "incorrectly configured region",
    ]) {
        return format!(
            "SORTIE_RECORDING_S3_REGION: the bucket {bucket:?} is not in {:?}; set the region it is in",
            config.region
        );
    }
    if has(&["AccessDenied"]) || matches!(error, Error::PermissionDenied { .. }) {
        return format!("the credentials lack the permission {permission} on {resource}");
    }
    if matches!(error, Error::Unauthenticated { path, .. } if path == "credentials") {
        return format!(
            "credentials: none were found (environment, profile, SSO, web identity, container, instance role): {text}"
        );
    }
    if has(&["error sending request", "dns error", "tcp connect error"]) {
        return format!("SORTIE_RECORDING_S3_ENDPOINT: {endpoint} cannot be reached: {text}");
    }
    format!("{permission} on {resource}: {text}")
}
