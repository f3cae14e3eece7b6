//! Error messages of the startup check, with the remedy, for the operator.

use object_store::Error;

use super::location::{BucketLocation, Need};
use super::remote::no_bucket;

/// Formats an error with its causes. object_store repeats causes in its texts, so only new ones are added.
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

/// Prefix of problems with the credentials.
pub(super) const CREDENTIALS: &str = "credentials:";

/// Explains the failure of a call that requires `need`.
pub(super) fn explain(error: &Error, need: Need, location: &BucketLocation) -> String {
    let text = text_of(error);
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let bucket = location.bucket();
    let (endpoint_variable, endpoint) = location.endpoint();
    if no_bucket(&text) {
        return format!(
            "{}: there is no bucket {bucket:?} at {endpoint}; create it, or correct the name",
            location.bucket_variable()
        );
    }
    if has(&["RequestTimeTooSkewed"]) {
        return "this machine's clock is wrong by more than the store allows; set it (NTP)"
            .to_owned();
    }
    let specific = match location {
        BucketLocation::S3(config) => s3(&has, endpoint.as_str(), bucket, &config.region),
        BucketLocation::Azure(_) => azure(&has),
        BucketLocation::Gcs(_) => None,
    };
    if let Some(problem) = specific {
        return problem;
    }
    let permission = location.permission(need);
    if has(&["AccessDenied"]) || matches!(error, Error::PermissionDenied { .. }) {
        return format!("the credentials lack {permission}");
    }
    if matches!(error, Error::Unauthenticated { path, .. } if path == "credentials") {
        return format!(
            "credentials: none were found (environment, profile, SSO, web identity, container, instance role): {text}"
        );
    }
    if has(&["error sending request", "dns error", "tcp connect error"]) {
        return format!("{endpoint_variable}: {endpoint} cannot be reached: {text}");
    }
    format!("{permission}: {text}")
}

fn s3(has: &dyn Fn(&[&str]) -> bool, endpoint: &str, bucket: &str, region: &str) -> Option<String> {
    let problem = if has(&["InvalidAccessKeyId", "InvalidClientTokenId"]) {
        format!(
            "credentials: the access key is not known at {endpoint}; check AWS_ACCESS_KEY_ID or the profile"
        )
    } else if has(&["SignatureDoesNotMatch"]) {
        "credentials: the secret key does not belong to the access key; check AWS_SECRET_ACCESS_KEY or the profile".to_owned()
    } else if has(&["ExpiredToken", "TokenRefreshRequired"]) {
        "credentials: they have expired; sign in again or renew AWS_SESSION_TOKEN".to_owned()
    } else if has(&[
        "AuthorizationHeaderMalformed",
        "PermanentRedirect",
        "IllegalLocationConstraint",
        "incorrectly configured region",
    ]) {
        format!(
            "SORTIE_RECORDING_S3_REGION: the bucket {bucket:?} is not in {region:?}; set the region it is in"
        )
    } else {
        return None;
    };
    Some(problem)
}

/// <https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes>
fn azure(has: &dyn Fn(&[&str]) -> bool) -> Option<String> {
    let refused = [
        "AuthenticationFailed",
        "InvalidAuthenticationInfo",
        // Azurite uses another code but the same text.
        "failed to authenticate",
    ];
    has(&refused).then(|| {
        "credentials: the store does not accept them; check AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_SAS_TOKEN (which \
         ends) or AZURE_CLIENT_SECRET, and this machine's clock"
            .to_owned()
    })
}
