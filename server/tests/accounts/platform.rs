//! Bearer tokens of an embedding platform.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};

use crate::support::{START_MS, problem};
use crate::*;

const NOW: i64 = START_MS / 1000;
const SECRET: &str = "the platform's secret of 32 bytes or more";

fn claims() -> Value {
    json!({
        "iss": "https://platform.example", "aud": "sortie", "sub": "u-17", "name": "Ann Example",
        "preferred_username": "ann", "roles": ["viewer"], "tenant": "lab", "iat": NOW, "exp": NOW + 300,
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn signed(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    jsonwebtoken::encode(header, claims, key).expect("a token")
}

fn hs256(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    signed(&Header::new(Algorithm::HS256), claims, &key)
}

async fn server_with_secret() -> TestServer {
    TestServer::with(&[
        ("SORTIE_AUTH_JWT_SECRET", SECRET),
        ("SORTIE_AUTH_JWT_ISSUER", "https://platform.example"),
        ("SORTIE_AUTH_JWT_AUDIENCE", "sortie"),
        ("SORTIE_AUTH_JWT_ROLE_CLAIM", "roles"),
        ("SORTIE_AUTH_JWT_ADMIN_VALUES", "boss, Domain Admins"),
        ("SORTIE_AUTH_JWT_TENANT_CLAIM", "tenant"),
        ("SORTIE_AUTH_JWT_TENANT", "lab"),
    ])
    .await
}

#[tokio::test]
async fn platform_token_creates_and_identifies_a_user() {
    let server = server_with_secret().await;
    let ann = json_of(me(&server, &hs256(&claims())), 200).await;
    assert_eq!(
        (
            &ann["username"],
            &ann["display_name"],
            &ann["source"],
            &ann["roles"]
        ),
        (
            &json!("ann"),
            &json!("Ann Example"),
            &json!("jwt"),
            &json!(["user"])
        )
    );
    // The subject identifies a user, not the name.
    let renamed = hs256(&with("preferred_username", json!("anna")));
    assert_eq!(json_of(me(&server, &renamed), 200).await["id"], ann["id"]);
    let other = json_of(me(&server, &hs256(&with("sub", json!("u-18")))), 200).await;
    assert_ne!(other["id"], ann["id"]);
    assert_ne!(other["username"], "ann");
    let admin = json_of(
        me(&server, &hs256(&with("preferred_username", json!("admin")))),
        200,
    )
    .await;
    assert_eq!(admin["roles"], json!(["user"]));

    // Roles come from each token and last only for its request.
    let boss = hs256(&with("roles", json!("Domain Admins")));
    let users = |token: &str| {
        server
            .anonymous()
            .get("/api/admin/users")
            .bearer_auth(token)
    };
    json_of(users(&boss), 200).await;
    problem(users(&hs256(&claims())), 403, "forbidden").await;
    json_of(users(&boss), 200).await;

    // Platform users record like local users and own their recordings.
    let session = server.anonymous().post("/api/sessions");
    let session = session.bearer_auth(hs256(&claims()));
    let session = json_of(session.json(&json!({ "app_id": "x" })), 201).await;
    assert_eq!(session["user_id"], ann["id"]);

    // A user disabled here is refused, and a platform token cannot create a longer-lived token.
    let token = json!({ "name": "x", "scopes": ["read"] });
    let request = server.anonymous().post("/api/tokens");
    let request = request.bearer_auth(hs256(&claims())).json(&token);
    problem(request, 403, "forbidden").await;
    let root = server.admin().await;
    let id = ann["id"].as_str().unwrap();
    json_of(change(&root, id, &json!({ "disabled": true })), 200).await;
    problem(me(&server, &hs256(&claims())), 401, "unauthenticated").await;
    // The user has no password to guess.
    problem(login(&server, "ann", ""), 401, "wrong_credentials").await;
}

#[tokio::test]
async fn role_claim_must_match_completely() {
    let server = server_with_secret().await;
    let users = |roles: Value| {
        let token = hs256(&with("roles", roles));
        server
            .anonymous()
            .get("/api/admin/users")
            .bearer_auth(token)
    };
    for roles in [
        json!("boss"),
        json!("Domain Admins"),
        json!(["x", "Domain Admins"]),
        json!({ "boss": { "1": "lab.example" } }),
    ] {
        json_of(users(roles), 200).await;
    }
    for roles in [
        json!("no boss rights"),
        json!("Admins"),
        json!("Domain"),
        json!(["Domain", "Admins"]),
        json!("boss, Domain Admins"),
        json!("Boss"),
        json!(" boss"),
        json!("bos\u{455}"),
        json!(""),
        json!([["boss"]]),
        json!({ "boss": false }),
        json!({ "x": "boss" }),
        json!(true),
        json!(1),
        json!(null),
    ] {
        problem(users(roles), 403, "forbidden").await;
    }
    // A text claim never names several tenants.
    for tenant in [
        json!("lab other"),
        json!("Lab"),
        json!({ "lab": true }),
        json!([["lab"]]),
    ] {
        let token = hs256(&with("tenant", tenant));
        problem(me(&server, &token), 401, "unauthenticated").await;
    }
    json_of(
        me(&server, &hs256(&with("tenant", json!(["x", "lab"])))),
        200,
    )
    .await;
}

#[tokio::test]
async fn token_with_critical_extensions_or_duplicate_claims_is_refused() {
    let server = server_with_secret().await;
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    for names in [&["exp"][..], &["b64"], &[]] {
        let mut header = Header::new(Algorithm::HS256);
        header.crit = Some(names.iter().map(|&it| it.to_owned()).collect());
        let token = signed(&header, &claims(), &key);
        problem(me(&server, &token), 401, "unauthenticated").await;
    }
    // Valid signature, but with a claim that parsers read differently.
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    let json = claims().to_string();
    for (claims, status) in [
        (json.clone(), 200),
        (json.replacen('{', r#"{"roles":"boss","#, 1), 401),
        (json.replacen('{', r#"{"x":{"a":1,"a":2},"#, 1), 401),
    ] {
        let body = format!("{}.{}", encode(r#"{"alg":"HS256"}"#), encode(&claims));
        let signature =
            jsonwebtoken::crypto::sign(body.as_bytes(), &key, Algorithm::HS256).unwrap();
        let token = format!("{body}.{signature}");
        assert_eq!(
            me(&server, &token).send().await.unwrap().status(),
            status,
            "{claims}"
        );
    }
}

#[tokio::test]
async fn token_with_an_audience_is_refused_if_none_is_configured() {
    let server = TestServer::with(&[("SORTIE_AUTH_JWT_SECRET", SECRET)]).await;
    let mut unaddressed = claims();
    unaddressed.as_object_mut().unwrap().remove("aud");
    json_of(me(&server, &hs256(&unaddressed)), 200).await;
    for audience in [
        json!("sortie"),
        json!(["other"]),
        json!([]),
        json!(null),
        json!(""),
    ] {
        let token = hs256(&with("aud", audience));
        problem(me(&server, &token), 401, "unauthenticated").await;
    }
}

#[tokio::test]
async fn platform_user_names_cannot_imitate_local_ones() {
    let server = server_with_secret().await;
    for (number, name) in [
        "admin",
        "\u{430}dmin",
        "ad\u{200b}min",
        "\u{ff41}dmin",
        "system",
    ]
    .into_iter()
    .enumerate()
    {
        let mut claims = with("sub", json!(format!("s-{number}")));
        claims["preferred_username"] = json!(name);
        claims["name"] = json!("Ann\u{202e}nnA");
        let user = json_of(me(&server, &hs256(&claims)), 200).await;
        let username = user["username"].as_str().unwrap();
        assert!(username.contains('-'), "{name:?} became {username:?}");
        assert_eq!(user["display_name"], "AnnnnA");
    }
    let id = server.admin().await.user_id;
    let mut claims = with("sub", json!("s-id"));
    claims["preferred_username"] = json!(id);
    let user = json_of(me(&server, &hs256(&claims)), 200).await;
    assert_ne!(user["username"], json!(id));
}

#[tokio::test]
async fn platform_administrators_do_not_replace_the_last_local_one() {
    let server = server_with_secret().await;
    json_of(me(&server, &hs256(&with("roles", json!(["boss"])))), 200).await;
    let admin = server.admin().await;
    let demoted = change(&admin, &admin.user_id, &json!({ "roles": ["user"] }));
    problem(demoted, 409, "conflict").await;
}

#[tokio::test]
async fn invalid_platform_token_is_refused() {
    let server = server_with_secret().await;
    let wrong_key = EncodingKey::from_secret(b"another secret of thirty-two bytes");
    let right_key = EncodingKey::from_secret(SECRET.as_bytes());
    let none = {
        use base64::Engine as _;
        let encode =
            |json: Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json.to_string());
        format!("{}.{}.", encode(json!({ "alg": "none" })), encode(claims()))
    };
    let good = hs256(&claims());
    let (head, signature) = good.rsplit_once('.').unwrap();
    for (why, token) in [
        ("no algorithm", none),
        (
            "another key",
            signed(&Header::new(Algorithm::HS256), &claims(), &wrong_key),
        ),
        (
            "another algorithm",
            signed(&Header::new(Algorithm::HS512), &claims(), &right_key),
        ),
        ("another audience", hs256(&with("aud", json!("other")))),
        ("another issuer", hs256(&with("iss", json!("https://evil")))),
        ("another tenant", hs256(&with("tenant", json!("other")))),
        ("no tenant", hs256(&with("tenant", Value::Null))),
        ("expired", hs256(&with("exp", json!(NOW - 60)))),
        ("no expiry", hs256(&with("exp", Value::Null))),
        ("not yet", hs256(&with("nbf", json!(NOW + 61)))),
        ("from the future", hs256(&with("iat", json!(NOW + 3600)))),
        ("nobody", hs256(&with("sub", json!("")))),
        ("no subject", hs256(&with("sub", json!({ "a": 1 })))),
        ("too long", hs256(&with("pad", json!("x".repeat(50_000))))),
        ("a cut signature", good[..good.len() - 4].to_owned()),
        ("no signature", format!("{head}.")),
        ("another head", format!("e30.{}.{signature}", &head[4..])),
    ] {
        let answer = me(&server, &token).send().await.unwrap();
        assert_eq!(answer.status(), 401, "{why}");
        problem(me(&server, &token), 401, "unauthenticated").await;
    }
    // Clock skew below one minute is tolerated.
    json_of(me(&server, &hs256(&with("exp", json!(NOW - 59)))), 200).await;
    // Cookies carry our own tokens only.
    let cookie = format!("sortie_access={good}");
    let request = server
        .anonymous()
        .get("/api/auth/me")
        .header("cookie", cookie);
    problem(request, 401, "unauthenticated").await;
}

/// Server of `/keys`; tests change the keys.
#[derive(Clone, Default)]
struct KeyServer {
    keys: Arc<Mutex<Vec<Value>>>,
    is_down: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl KeyServer {
    async fn start(self) -> String {
        let app = axum::Router::new().route(
            "/keys",
            axum::routing::get(async move || {
                self.asked.fetch_add(1, Ordering::SeqCst);
                if self.is_down.load(Ordering::SeqCst) {
                    return Err(axum::http::StatusCode::BAD_GATEWAY);
                }
                let keys = self.keys.lock().expect("no panic").clone();
                Ok(axum::Json(json!({ "keys": keys })))
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}/keys", listener.local_addr().expect("bound"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        url
    }

    fn publish(&self, keys: &[&Pair]) {
        *self.keys.lock().expect("no panic") = keys.iter().map(|pair| pair.published()).collect();
    }
}

/// Signing key of the platform.
struct Pair {
    id: &'static str,
    algorithm: Algorithm,
    private: EncodingKey,
}

impl Pair {
    fn ec(id: &'static str, der: &[u8]) -> Self {
        Self {
            id,
            algorithm: Algorithm::ES256,
            private: EncodingKey::from_ec_der(der),
        }
    }

    fn published(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.private, self.algorithm).expect("a JWK");
        jwk.common.key_id = Some(self.id.to_owned());
        serde_json::to_value(jwk).expect("JSON")
    }

    fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.to_owned());
        signed(&header, claims, &self.private)
    }
}

fn keys() -> (Pair, Pair, Pair) {
    (
        Pair::ec("one", include_bytes!("../data/test-ec-1.der")),
        Pair::ec("two", include_bytes!("../data/test-ec-2.der")),
        Pair {
            id: "rsa",
            algorithm: Algorithm::RS256,
            private: EncodingKey::from_rsa_der(include_bytes!("../data/test-rsa.der")),
        },
    )
}

async fn server_with_keys_at(url: &str) -> TestServer {
    TestServer::with(&[
        ("SORTIE_AUTH_JWT_JWKS_URL", url),
        ("SORTIE_AUTH_JWT_ISSUER", "https://platform.example"),
        ("SORTIE_AUTH_JWT_AUDIENCE", "sortie"),
        ("SORTIE_AUTH_JWT_LEEWAY_SECONDS", "0"),
    ])
    .await
}

/// Claims valid for a month: these tests are about keys.
fn month_long_claims() -> Value {
    with("exp", json!(NOW + 30 * 86_400))
}

#[tokio::test]
async fn unknown_key_id_causes_one_key_fetch() {
    let published = KeyServer::default();
    let (one, two, rsa) = keys();
    published.publish(&[&one]);
    let server = server_with_keys_at(&published.clone().start().await).await;
    let asked = || published.asked.load(Ordering::SeqCst);
    for _ in 0..3 {
        json_of(me(&server, &one.sign(&month_long_claims())), 200).await;
    }
    assert_eq!(asked(), 1);

    // Keys are rotated. At most one fetch in 30 seconds, whatever tokens arrive.
    published.publish(&[&two, &rsa]);
    for _ in 0..3 {
        problem(
            me(&server, &two.sign(&month_long_claims())),
            401,
            "unauthenticated",
        )
        .await;
    }
    assert_eq!(asked(), 1);
    server.clock.advance(Duration::from_secs(30));
    json_of(me(&server, &two.sign(&month_long_claims())), 200).await;
    json_of(me(&server, &rsa.sign(&month_long_claims())), 200).await;
    assert_eq!(asked(), 2);
    // The withdrawn key is no longer accepted.
    problem(
        me(&server, &one.sign(&month_long_claims())),
        401,
        "unauthenticated",
    )
    .await;
}

#[tokio::test]
async fn cached_keys_survive_a_key_server_outage_for_a_day() {
    let published = KeyServer::default();
    let (one, two, _) = keys();
    published.publish(&[&one]);
    published.is_down.store(true, Ordering::SeqCst);
    let server = server_with_keys_at(&published.clone().start().await).await;
    // Keys are unavailable, so the answer is retryable (503), unlike that to a malformed token.
    problem(
        me(&server, &one.sign(&month_long_claims())),
        503,
        "unavailable",
    )
    .await;
    problem(me(&server, "a.b.c"), 401, "unauthenticated").await;
    published.is_down.store(false, Ordering::SeqCst);
    server.clock.advance(MINUTE);
    json_of(me(&server, &one.sign(&month_long_claims())), 200).await;

    published.is_down.store(true, Ordering::SeqCst);
    server.clock.advance(DAY - Duration::from_secs(1));
    json_of(me(&server, &one.sign(&month_long_claims())), 200).await;
    problem(
        me(&server, &two.sign(&month_long_claims())),
        401,
        "unauthenticated",
    )
    .await;
    server.clock.advance(MINUTE);
    problem(
        me(&server, &one.sign(&month_long_claims())),
        503,
        "unavailable",
    )
    .await;
}

#[tokio::test]
async fn public_key_is_not_accepted_as_a_shared_secret() {
    let published = KeyServer::default();
    let (one, two, rsa) = keys();
    published.publish(&[&one, &rsa]);
    let server = server_with_keys_at(&published.clone().start().await).await;
    json_of(me(&server, &rsa.sign(&claims())), 200).await;
    let jwk = rsa.published();
    let modulus = jwk["n"].as_str().unwrap();
    let json = jwk.to_string();
    for public in [modulus.as_bytes(), json.as_bytes()] {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("rsa".to_owned());
        let token = signed(&header, &claims(), &EncodingKey::from_secret(public));
        problem(me(&server, &token), 401, "unauthenticated").await;
    }
    // Another key under a known `kid`, and a key embedded in the token.
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some("one".to_owned());
    header.jwk = Some(serde_json::from_value(two.published()).unwrap());
    let token = signed(&header, &claims(), &two.private);
    problem(me(&server, &token), 401, "unauthenticated").await;
    // A token without `kid` is accepted only if exactly one key fits its algorithm.
    header.kid = None;
    header.jwk = None;
    json_of(me(&server, &signed(&header, &claims(), &one.private)), 200).await;
}
