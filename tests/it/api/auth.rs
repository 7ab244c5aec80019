//! Authentication by JWT and by API token.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use bedel::api::api_tokens;
use bedel::api::{ASK_AGAIN_AFTER, Jwks, Jwt, JwtAlgorithm, JwtKeys};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Method;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::{ADMIN, Answer, Answering, App};

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "bedel";
const SECRET: &str = "a secret that only the provider and we know";

fn in_seconds(seconds: i64) -> i64 {
    i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap() + seconds
}

fn claims(sub: &str) -> Value {
    json!({ "sub": sub, "iss": ISSUER, "aud": AUDIENCE, "exp": in_seconds(60) })
}

fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn signed(claims: &Value, secret: &str) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

async fn by_secret() -> App {
    let keys = JwtKeys::Secret(SecretString::from(SECRET));
    App::with_users_and_jwt(1, Some(Jwt::new(keys, JwtAlgorithm::HS256, ISSUER, Some(AUDIENCE)))).await
}

async fn ask(app: &App, token: &str) -> Answer {
    app.anonymous(Method::GET, "/api/user/courses").bearer_auth(token).answer().await
}

async fn ask_as_admin(app: &App, token: &str) -> Answer {
    app.anonymous(Method::GET, "/api/queues").bearer_auth(token).answer().await
}

/// The token's user: selecting a course makes the user's row.
async fn user_of(app: &App, token: &str) -> Uuid {
    let course: Uuid = sqlx::query_scalar(
        "INSERT INTO courses (code, title) VALUES (gen_random_uuid()::text, 'T') RETURNING id",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap();
    let path = format!("/api/user/courses/{course}");
    app.anonymous(Method::POST, &path).bearer_auth(token).answer().await.expect(201);
    sqlx::query_scalar("SELECT user_id FROM user_courses WHERE course_id = $1")
        .bind(course)
        .fetch_one(&app.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_jwt_identifies_its_user() {
    let app = by_secret().await;
    let user = Uuid::new_v4();
    assert_eq!(user_of(&app, &signed(&claims(&user.to_string()), SECRET)).await, user);
    let external = with(claims("user_2abc"), "external_id", json!(user));
    assert_eq!(user_of(&app, &signed(&external, SECRET)).await, user);
    let other = Uuid::new_v5(&Uuid::NAMESPACE_URL, b"user_2abc");
    assert_eq!(user_of(&app, &signed(&claims("user_2abc"), SECRET)).await, other);
    ask_as_admin(&app, &signed(&claims("user_2abc"), SECRET)).await.problem(403, "forbidden");
    ask_as_admin(&app, &signed(&claims(&ADMIN.to_string()), SECRET)).await.expect(200);
}

#[tokio::test]
async fn every_other_token_is_refused() {
    let app = by_secret().await;
    let good = claims("x");
    ask(&app, &signed(&good, SECRET)).await.expect(200);
    let parts: Vec<String> = signed(&good, SECRET).split('.').map(str::to_owned).collect();
    // {"alg":"none"} and {"alg":"HS384"}, in base64url.
    let none = format!("eyJhbGciOiJub25lIn0.{}.", parts[1]);
    let other_head = format!("eyJhbGciOiJIUzM4NCJ9.{}.{}", parts[1], parts[2]);
    let unsigned = format!("{}.{}.", parts[0], parts[1]);
    for (what, token) in [
        ("alg none", none),
        ("another algorithm", other_head),
        ("no signature", unsigned),
        ("another secret", signed(&good, "another secret")),
        ("another audience", signed(&with(good.clone(), "aud", json!("other")), SECRET)),
        ("another issuer", signed(&with(good.clone(), "iss", json!("https://evil.example")), SECRET)),
        ("expired", signed(&with(good.clone(), "exp", json!(in_seconds(-60))), SECRET)),
        ("not yet", signed(&with(good.clone(), "nbf", json!(in_seconds(120))), SECRET)),
        ("no expiry", signed(&json!({ "sub": "x", "iss": ISSUER, "aud": AUDIENCE }), SECRET)),
        ("no audience", signed(&json!({ "sub": "x", "iss": ISSUER, "exp": in_seconds(60) }), SECRET)),
        ("no issuer", signed(&json!({ "sub": "x", "aud": AUDIENCE, "exp": in_seconds(60) }), SECRET)),
        ("rubbish", "a.b.c".to_owned()),
    ] {
        let refused = ask(&app, &token).await;
        assert_eq!(refused.status.as_u16(), 401, "{what}");
        refused.problem(401, "unauthenticated");
        assert!(refused.header("www-authenticate").contains("invalid_token"), "{what}");
    }
    let nobody = signed(&json!({ "iss": ISSUER, "aud": AUDIENCE, "exp": in_seconds(60) }), SECRET);
    ask(&app, &nobody).await.problem(403, "forbidden");
}

/// A provider that publishes keys and counts fetches.
struct Provider {
    url: String,
    set: Arc<Mutex<Value>>,
    asked: Arc<AtomicUsize>,
}

impl Provider {
    async fn start() -> Self {
        let (set, asked) = (Arc::new(Mutex::new(json!({ "keys": [] }))), Arc::new(AtomicUsize::new(0)));
        let state = (Arc::clone(&set), Arc::clone(&asked));
        let answer = |State((set, asked)): State<(Arc<Mutex<Value>>, Arc<AtomicUsize>)>| async move {
            asked.fetch_add(1, Ordering::SeqCst);
            axum::Json(set.lock().await.clone())
        };
        let router = Router::new().route("/jwks.json", get(answer)).with_state(state);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, set, asked }
    }

    /// Publishes only the public half of this key from now on.
    async fn publish(&self, id: &str, key: &Key) {
        *self.set.lock().await = json!({ "keys": [{
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": id, "x": key.public,
        }] });
    }
}

/// An Ed25519 key: PKCS #8 for signing, and the public half in base64url.
struct Key {
    private: &'static [u8],
    public: &'static str,
}

impl Key {
    fn sign(&self, id: Option<&str>, claims: &Value) -> String {
        let header = Header { kid: id.map(str::to_owned), ..Header::new(Algorithm::EdDSA) };
        encode(&header, claims, &EncodingKey::from_ed_der(self.private)).unwrap()
    }
}

// Made with: openssl genpkey -algorithm ed25519 -outform DER
const FIRST: Key = Key {
    private: b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20\x76\x2d\x40\x15\x28\x6d\xc5\x13\xae\xf5\x6c\x02\xd7\x91\x2a\x12\x47\xa4\xbc\xd4\x55\x87\x6d\x12\x9b\x3d\x38\x79\x59\x6c\x73\x3f",
    public: "in6kp2fcyUNWHyAa-HQ8XRDjXML0TYGyYS90P0Db88g",
};
const SECOND: Key = Key {
    private: b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20\xff\x63\xfb\xe9\x87\x2b\xe5\x9d\x96\x9a\xd6\xa7\x58\xb7\x50\x4e\x12\x96\x60\x0c\xd4\x80\x9d\x23\x25\x41\x2c\xe2\xd1\x95\xe8\x98",
    public: "i7Pm5oWHNqWGJUcMsZ7jxyXuVZNUQCfn9L0rDcZmJDE",
};

fn published(url: &str, ask_again_after: Duration) -> Jwks {
    // Another test in the process may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Jwks::new(url.parse().unwrap(), ask_again_after).unwrap()
}

async fn by_provider(provider: &Provider, ask_again_after: Duration) -> App {
    let jwks = published(&provider.url, ask_again_after);
    let jwt = Jwt::new(JwtKeys::Published(jwks), JwtAlgorithm::EdDSA, ISSUER, Some(AUDIENCE));
    App::with_users_and_jwt(1, Some(jwt)).await
}

#[tokio::test]
async fn published_keys_are_fetched_once_for_many() {
    let provider = Provider::start().await;
    provider.publish("one", &FIRST).await;
    let app = by_provider(&provider, ASK_AGAIN_AFTER).await;
    let token = FIRST.sign(Some("one"), &claims("x"));
    let answers = futures::future::join_all((0..20).map(|_| ask(&app, &token))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(provider.asked.load(Ordering::SeqCst), 1);
    ask(&app, &FIRST.sign(None, &claims("x"))).await.expect(200);
    // Repeated use of an unknown key costs no more fetches.
    for _ in 0..5 {
        ask(&app, &SECOND.sign(Some("two"), &claims("x"))).await.problem(401, "unauthenticated");
    }
    ask(&app, &SECOND.sign(Some("one"), &claims("x"))).await.problem(401, "unauthenticated");
    assert_eq!(provider.asked.load(Ordering::SeqCst), 1);
}

/// After a key rotation users keep access, and the old key is refused.
#[tokio::test]
async fn a_rotated_key_is_fetched_and_the_old_one_dropped() {
    let provider = Provider::start().await;
    provider.publish("one", &FIRST).await;
    let app = by_provider(&provider, Duration::from_millis(100)).await;
    let (old, new) = (FIRST.sign(Some("one"), &claims("x")), SECOND.sign(Some("two"), &claims("x")));
    ask(&app, &old).await.expect(200);
    provider.publish("two", &SECOND).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while ask(&app, &new).await.status != 200 {
        assert!(Instant::now() < deadline, "the new key is not found");
    }
    assert_eq!(provider.asked.load(Ordering::SeqCst), 2);
    ask(&app, &old).await.problem(401, "unauthenticated");
}

/// A key with the public half of an Ed25519 key, changed by `with`.
fn jwk(key: &Key, with: Value) -> Value {
    let mut jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": key.public });
    jwk.as_object_mut().unwrap().extend(with.as_object().unwrap().clone());
    jwk
}

#[tokio::test]
async fn only_a_key_that_fits_verifies() {
    let rsa = json!({ "kty": "RSA", "kid": "one", "use": "sig", "alg": "RS256", "n": "sXch", "e": "AQAB" });
    let signs = json!({ "kid": "one", "use": "sig", "alg": "EdDSA" });
    let token = FIRST.sign(Some("one"), &claims("x"));
    let nameless = FIRST.sign(None, &claims("x"));
    for (what, keys, named, unnamed) in [
        ("use and alg", vec![jwk(&FIRST, signs.clone())], 200, 200),
        ("neither", vec![jwk(&FIRST, json!({ "kid": "one" }))], 200, 200),
        ("key_ops", vec![jwk(&FIRST, json!({ "kid": "one", "key_ops": ["verify"] }))], 200, 200),
        ("no kid", vec![jwk(&FIRST, json!({}))], 401, 200),
        (
            "encryption last",
            vec![jwk(&FIRST, signs.clone()), jwk(&SECOND, json!({ "kid": "one", "use": "enc" }))],
            200,
            200,
        ),
        (
            "encryption first",
            vec![jwk(&SECOND, json!({ "kid": "one", "use": "enc" })), jwk(&FIRST, signs.clone())],
            200,
            200,
        ),
        ("two for signatures", vec![jwk(&SECOND, signs.clone()), jwk(&FIRST, signs.clone())], 200, 200),
        ("two kids", vec![jwk(&SECOND, json!({ "kid": "two" })), jwk(&FIRST, signs.clone())], 200, 200),
        ("another family", vec![rsa.clone(), jwk(&FIRST, signs.clone())], 200, 200),
        (
            "unreadable",
            vec![json!({ "kty": "PQ", "kid": "one", "alg": 7 }), json!(null), jwk(&FIRST, signs.clone())],
            200,
            200,
        ),
        (
            "too short",
            vec![
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": "one", "x": "AAAA" }),
                jwk(&FIRST, signs.clone()),
            ],
            200,
            200,
        ),
        ("only encryption", vec![rsa.clone(), jwk(&FIRST, json!({ "kid": "one", "use": "enc" }))], 401, 401),
        ("another use", vec![rsa.clone(), jwk(&FIRST, json!({ "kid": "one", "use": "tls" }))], 401, 401),
        ("another alg", vec![rsa.clone(), jwk(&FIRST, json!({ "kid": "one", "alg": "ES256" }))], 401, 401),
        (
            "another key_ops",
            vec![rsa, jwk(&FIRST, json!({ "kid": "one", "key_ops": ["encrypt"] }))],
            401,
            401,
        ),
    ] {
        let provider = Provider::start().await;
        *provider.set.lock().await = json!({ "keys": keys });
        let app = by_provider(&provider, ASK_AGAIN_AFTER).await;
        assert_eq!(ask(&app, &token).await.status.as_u16(), named, "{what}");
        assert_eq!(ask(&app, &nameless).await.status.as_u16(), unnamed, "{what}, without a kid");
    }
}

/// Some providers replace a key without a new id, and some tokens have none.
#[tokio::test]
async fn a_key_replaced_under_its_id_is_fetched() {
    for id in [Some("one"), None] {
        let provider = Provider::start().await;
        provider.publish("one", &FIRST).await;
        let app = by_provider(&provider, Duration::from_millis(100)).await;
        ask(&app, &FIRST.sign(id, &claims("x"))).await.expect(200);
        provider.publish("one", &SECOND).await;
        let new = SECOND.sign(id, &claims("x"));
        let deadline = Instant::now() + Duration::from_secs(10);
        while ask(&app, &new).await.status != 200 {
            assert!(Instant::now() < deadline, "the new key is not found");
        }
        ask(&app, &FIRST.sign(id, &claims("x"))).await.problem(401, "unauthenticated");
    }
}

#[tokio::test]
async fn known_keys_outlive_an_outage_and_unknown_ones_are_503() {
    let provider = Provider::start().await;
    provider.publish("one", &FIRST).await;
    let app = by_provider(&provider, Duration::ZERO).await;
    let known = FIRST.sign(Some("one"), &claims("x"));
    ask(&app, &known).await.expect(200);
    for outage in [json!("maintenance"), json!({ "keys": [] })] {
        *provider.set.lock().await = outage;
        ask(&app, &SECOND.sign(Some("two"), &claims("x"))).await.problem(503, "unavailable");
        ask(&app, &known).await.expect(200);
    }
}

#[tokio::test]
async fn an_audience_is_one_text_or_a_list_and_none_is_for_nobody() {
    for (expected, sent, status) in [
        (Some(AUDIENCE), json!(AUDIENCE), 200),
        (Some(AUDIENCE), json!(["other", AUDIENCE]), 200),
        (Some(AUDIENCE), json!("other"), 401),
        (Some(AUDIENCE), json!([]), 401),
        (Some(AUDIENCE), json!(null), 401),
        (None, json!("other"), 401),
        (None, json!(["other"]), 401),
    ] {
        let provider = Provider::start().await;
        provider.publish("one", &FIRST).await;
        let jwks = published(&provider.url, ASK_AGAIN_AFTER);
        let jwt = Jwt::new(JwtKeys::Published(jwks), JwtAlgorithm::EdDSA, ISSUER, expected);
        let app = App::with_users_and_jwt(1, Some(jwt)).await;
        let token = FIRST.sign(Some("one"), &with(claims("x"), "aud", sent.clone()));
        assert_eq!(ask(&app, &token).await.status.as_u16(), status, "{expected:?} {sent}");
    }
}

#[tokio::test]
async fn an_unreachable_provider_is_503() {
    let nowhere = published("http://127.0.0.1:9/", ASK_AGAIN_AFTER);
    let jwt = Jwt::new(JwtKeys::Published(nowhere), JwtAlgorithm::EdDSA, ISSUER, Some(AUDIENCE));
    let app = App::with_users_and_jwt(1, Some(jwt)).await;
    let unavailable = ask(&app, &FIRST.sign(Some("one"), &claims("x"))).await;
    unavailable.problem(503, "unavailable");
    assert!(!unavailable.header("retry-after").is_empty());
}

#[tokio::test]
async fn an_api_token_does_what_it_was_made_for_until_it_is_revoked() {
    let app = App::start().await;
    let user = Uuid::new_v4();
    let mut connection = app.pool.acquire().await.unwrap();
    let mut made = Vec::new();
    for scope in [api_tokens::READ, api_tokens::WRITE, api_tokens::ADMIN] {
        made.push(api_tokens::create(&mut connection, user, "a script", scope, Some(1)).await.unwrap());
    }
    let [(_, read), (id, write), (_, admin)] = made.as_slice() else { panic!("three tokens") };
    for (token, change, operate) in [(read, 403, 403), (write, 404, 403), (admin, 404, 200)] {
        ask(&app, token).await.expect(200);
        let course = format!("/api/user/courses/{}", Uuid::new_v4());
        let changed = app.anonymous(Method::POST, &course).bearer_auth(token).answer().await;
        assert_eq!(changed.status.as_u16(), change);
        assert_eq!(ask_as_admin(&app, token).await.status.as_u16(), operate);
    }
    assert!(api_tokens::revoke(&mut connection, *id).await.unwrap());
    ask(&app, write).await.problem(401, "unauthenticated");
    sqlx::query("UPDATE api_tokens SET expires_at = now() - interval '1 second'")
        .execute(&app.pool)
        .await
        .unwrap();
    ask(&app, read).await.problem(401, "unauthenticated");
    ask(&app, &format!("{}0", api_tokens::PREFIX)).await.problem(401, "unauthenticated");
    let kept: Vec<String> =
        sqlx::query_scalar("SELECT api_tokens::text FROM api_tokens").fetch_all(&app.pool).await.unwrap();
    assert!(
        kept.iter().all(|row| !row.contains(read.as_str()) && !row.contains(admin.as_str())),
        "stored in the clear"
    );
}

#[tokio::test]
async fn an_admins_smaller_token_has_no_admin_rights() {
    let app = App::start().await;
    let mut connection = app.pool.acquire().await.unwrap();
    for scope in [api_tokens::READ, api_tokens::WRITE] {
        let (_, token) = api_tokens::create(&mut connection, ADMIN, "a script", scope, None).await.unwrap();
        ask_as_admin(&app, &token).await.problem(403, "forbidden");
    }
}
