//! An OpenID provider over a real socket, and a browser's steps through a sign-in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{START_MS, TestServer};

pub(crate) const CLIENT: &str = "sortie";
const NOW: i64 = START_MS / 1000;

/// State and behaviour of the provider; tests change it.
pub(crate) struct Behaviour {
    /// Claims of the ID token besides the registered ones.
    pub(crate) id_token: Value,
    /// Claims of the user info besides `sub`.
    pub(crate) user_info: Value,
    /// Overrides of registered ID token claims; `null` removes one.
    pub(crate) altered: Value,
    /// JOSE header of the ID token.
    pub(crate) header: Header,
    pub(crate) discovery_status: u16,
    pub(crate) token_status: u16,
    pub(crate) user_info_status: u16,
    pub(crate) keys_status: u16,
    /// Error code of refused refreshes; `None` accepts them.
    pub(crate) refresh_error: Option<&'static str>,
    pub(crate) gives_refresh_tokens: bool,
    /// Whether a refresh returns an ID token.
    pub(crate) refreshes_id_token: bool,
    /// Number of requests by path.
    pub(crate) calls: HashMap<String, usize>,
    /// Challenge, nonce and subject by code.
    codes: HashMap<String, (String, String, String)>,
    /// Subject by access token.
    access: HashMap<String, String>,
    /// Subject by refresh token; each token is valid once.
    refresh: HashMap<String, String>,
    number: usize,
}

#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) issuer: String,
    behaviour: Arc<Mutex<Behaviour>>,
}

pub(crate) fn key() -> EncodingKey {
    EncodingKey::from_ec_der(include_bytes!("../data/test-ec-1.der"))
}

pub(crate) fn key_header() -> Header {
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some("one".to_owned());
    header
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let issuer = format!("http://{}", listener.local_addr().expect("bound"));
        let behaviour = Behaviour {
            id_token: json!({}),
            user_info: json!({}),
            altered: json!({}),
            header: key_header(),
            discovery_status: 200,
            token_status: 200,
            user_info_status: 200,
            keys_status: 200,
            refresh_error: None,
            gives_refresh_tokens: true,
            refreshes_id_token: true,
            calls: HashMap::new(),
            codes: HashMap::new(),
            access: HashMap::new(),
            refresh: HashMap::new(),
            number: 0,
        };
        let provider = Self {
            issuer,
            behaviour: Arc::new(Mutex::new(behaviour)),
        };
        let app = axum::Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/userinfo", get(user_info))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        provider
    }

    pub(crate) fn set(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour.lock().expect("no panic")
    }

    pub(crate) fn calls(&self, path: &str) -> usize {
        self.set().calls.get(path).copied().unwrap_or_default()
    }

    /// Starts a server that trusts this provider.
    pub(crate) async fn server(&self, more: &[(&str, &str)]) -> TestServer {
        let mut variables = vec![
            ("SORTIE_OIDC_ISSUER", self.issuer.as_str()),
            ("SORTIE_OIDC_CLIENT_ID", CLIENT),
            ("SORTIE_OIDC_CLIENT_SECRET", "secret"),
            (
                "SORTIE_OIDC_REDIRECT_URL",
                "http://sortie.example/api/auth/oidc/callback",
            ),
        ];
        variables.extend(more);
        TestServer::with(&variables).await
    }

    /// Issues a code for the authorization URL that the server redirected a browser to.
    fn authorize(&self, location: &str, subject: &str) -> (String, String) {
        let url = reqwest::Url::parse(location).expect("a URL");
        let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(query["client_id"], CLIENT);
        assert_eq!(query["code_challenge_method"], "S256");
        let mut state = self.set();
        state.number += 1;
        let code = format!("code-{}", state.number);
        let kept = (
            query["code_challenge"].clone(),
            query["nonce"].clone(),
            subject.to_owned(),
        );
        state.codes.insert(code.clone(), kept);
        (code, query["state"].clone())
    }

    /// Signs in as `subject`; returns the server's answer to the callback.
    pub(crate) async fn sign_in(&self, server: &TestServer, subject: &str) -> reqwest::Response {
        let (cookie, location) = begin(server).await;
        let (code, state) = self.authorize(&location, subject);
        callback(server, &cookie, &code, &state).await
    }

    /// Path of a callback with a valid code, and the matching cookie.
    pub(crate) async fn callback_parts(
        &self,
        server: &TestServer,
        subject: &str,
    ) -> (String, String, String) {
        let (cookie, location) = begin(server).await;
        let (code, state) = self.authorize(&location, subject);
        (cookie, code, state)
    }

    fn signed(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &key()).expect("a token")
    }

    pub(crate) fn logout_token(&self, header: &Header, claims: &Value) -> String {
        self.signed(header, claims)
    }
}

fn browser() -> reqwest::Client {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client")
}

/// `Cookie` header for the cookies that an answer sets.
pub(crate) fn cookies_of(answer: &reqwest::Response) -> String {
    let lines = answer.headers().get_all("set-cookie").iter();
    let pairs = lines.filter_map(|line| line.to_str().ok()?.split(';').next().map(str::to_owned));
    pairs.collect::<Vec<_>>().join("; ")
}

/// Begins a sign-in: returns the login cookie and the authorization URL.
pub(crate) async fn begin(server: &TestServer) -> (String, String) {
    let url = format!("{}/api/auth/oidc/login", server.url);
    let answer = browser().get(url).send().await.expect("an answer");
    assert_eq!(answer.status(), 303);
    let location = answer.headers()["location"]
        .to_str()
        .expect("text")
        .to_owned();
    (cookies_of(&answer), location)
}

pub(crate) async fn callback(
    server: &TestServer,
    cookie: &str,
    code: &str,
    state: &str,
) -> reqwest::Response {
    let url = format!(
        "{}/api/auth/oidc/callback?code={code}&state={state}",
        server.url
    );
    let request = browser().get(url).header("cookie", cookie);
    request.send().await.expect("an answer")
}

fn count(provider: &Provider, path: &str) {
    *provider.set().calls.entry(path.to_owned()).or_default() += 1;
}

fn status(status: u16) -> Response {
    StatusCode::from_u16(status)
        .expect("a status")
        .into_response()
}

async fn discovery(State(provider): State<Provider>) -> Response {
    count(&provider, "discovery");
    let issuer = &provider.issuer;
    match provider.set().discovery_status {
        200 => axum::Json(json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "jwks_uri": format!("{issuer}/keys"),
        }))
        .into_response(),
        other => status(other),
    }
}

async fn keys(State(provider): State<Provider>) -> Response {
    count(&provider, "keys");
    match provider.set().keys_status {
        200 => {
            let mut jwk = Jwk::from_encoding_key(&key(), Algorithm::ES256).expect("a JWK");
            jwk.common.key_id = Some("one".to_owned());
            axum::Json(json!({ "keys": [jwk] })).into_response()
        }
        other => status(other),
    }
}

fn refused(error: &str) -> Response {
    (
        StatusCode::BAD_REQUEST,
        axum::Json(json!({ "error": error })),
    )
        .into_response()
}

async fn token(State(provider): State<Provider>, headers: HeaderMap, body: String) -> Response {
    let form: HashMap<_, _> = form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    count(&provider, "token");
    // `sortie:secret`.
    if headers
        .get("authorization")
        .is_none_or(|it| it != "Basic c29ydGllOnNlY3JldA==")
    {
        return status(401);
    }
    let mut behaviour = provider.set();
    if behaviour.token_status != 200 {
        return status(behaviour.token_status);
    }
    let (subject, nonce) = match form["grant_type"].as_str() {
        "authorization_code" => {
            let Some((challenge, nonce, subject)) = behaviour.codes.remove(&form["code"]) else {
                return refused("invalid_grant");
            };
            let proof = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
            if proof != challenge {
                return refused("invalid_grant");
            }
            (subject, Some(nonce))
        }
        "refresh_token" => {
            if let Some(error) = behaviour.refresh_error {
                return refused(error);
            }
            let Some(subject) = behaviour.refresh.remove(&form["refresh_token"]) else {
                return refused("invalid_grant");
            };
            (subject, None)
        }
        _ => return refused("unsupported_grant_type"),
    };
    behaviour.number += 1;
    let access = format!("access-{}", behaviour.number);
    behaviour.access.insert(access.clone(), subject.clone());
    let mut answer = json!({ "token_type": "Bearer", "access_token": access, "expires_in": 300 });
    if behaviour.gives_refresh_tokens {
        let refresh = format!("refresh-{}", behaviour.number);
        behaviour.refresh.insert(refresh.clone(), subject.clone());
        answer["refresh_token"] = json!(refresh);
    }
    if nonce.is_some() || behaviour.refreshes_id_token {
        let mut claims = behaviour.id_token.clone();
        claims["iss"] = json!(provider.issuer);
        claims["aud"] = json!(CLIENT);
        claims["sub"] = json!(subject);
        claims["iat"] = json!(NOW);
        claims["exp"] = json!(NOW + 400 * 86_400);
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        for (name, value) in behaviour.altered.as_object().cloned().unwrap_or_default() {
            match value {
                Value::Null => claims.as_object_mut().and_then(|it| it.remove(&name)),
                value => claims.as_object_mut().and_then(|it| it.insert(name, value)),
            };
        }
        answer["id_token"] = json!(provider.signed(&behaviour.header, &claims));
    }
    axum::Json(answer).into_response()
}

async fn user_info(State(provider): State<Provider>, headers: HeaderMap) -> Response {
    count(&provider, "userinfo");
    let behaviour = provider.set();
    if behaviour.user_info_status != 200 {
        return status(behaviour.user_info_status);
    }
    let token = headers
        .get("authorization")
        .and_then(|it| it.to_str().ok()?.strip_prefix("Bearer "));
    let Some(subject) = token.and_then(|token| behaviour.access.get(token)) else {
        return status(401);
    };
    let mut claims = behaviour.user_info.clone();
    if claims.get("sub").is_none() {
        claims["sub"] = json!(subject);
    }
    axum::Json(claims).into_response()
}
