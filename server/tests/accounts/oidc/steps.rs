//! Steps shared by the tests of OpenID Connect.

use crate::oidc_provider::{Provider, cookies_of};
use crate::*;

pub(super) const ROLES: [(&str, &str); 2] = [
    ("SORTIE_OIDC_ROLE_CLAIM", "roles"),
    ("SORTIE_OIDC_ADMIN_VALUES", "operator, Domain Admins"),
];

/// Returns the user signed in by these cookies.
async fn user_by_cookies(server: &TestServer, cookies: &str) -> Value {
    let request = server
        .anonymous()
        .get("/api/auth/me")
        .header("cookie", cookies);
    json_of(request, 200).await
}

/// Signs in and returns the user.
pub(super) async fn user(provider: &Provider, server: &TestServer, subject: &str) -> Value {
    let answer = provider.sign_in(server, subject).await;
    assert_eq!(
        answer.status(),
        303,
        "{}",
        answer.text().await.unwrap_or_default()
    );
    user_by_cookies(server, &cookies_of(&answer)).await
}

pub(super) async fn audit(server: &TestServer, query: &str) -> Vec<Value> {
    let path = format!("/api/admin/audit?{query}");
    let rows = json_of(server.admin().await.get(&path), 200).await;
    rows.as_array().cloned().unwrap_or_default()
}

/// Signs in and returns the browser's token pair.
pub(super) async fn pair(provider: &Provider, server: &TestServer, subject: &str) -> Pair {
    let answer = provider.sign_in(server, subject).await;
    assert_eq!(
        answer.status(),
        303,
        "{}",
        answer.text().await.unwrap_or_default()
    );
    let cookies = cookies_of(&answer);
    let value = |name: &str| {
        let value = cookies.split("; ").find_map(|it| it.strip_prefix(name));
        value.expect("a cookie").to_owned()
    };
    Pair {
        access: value("sortie_access="),
        refresh: value("sortie_refresh="),
    }
}

pub(super) async fn status_of(request: RequestBuilder) -> u16 {
    request.send().await.expect("an answer").status().as_u16()
}
