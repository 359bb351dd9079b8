//! Attacks on tokens: each is refused.

use super::*;
use crate::jwks::Issuer;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use circolo_domain::Timestamp;
use circolo_events::sealing::Secret;
use jsonwebtoken::{EncodingKey, jwk::Jwk};
use serde_json::{Value, json};

const NOW: i64 = 1_769_860_800;

fn keys(seed: u8) -> Keys {
    Keys::from_seed(&[seed; 32]).unwrap()
}

fn auth(foreign: Option<Foreign>) -> Auth {
    auth_of(foreign, People::salted(Secret::new([3; 32])))
}

fn auth_of(foreign: Option<Foreign>, people: People) -> Auth {
    Auth::new(keys(1), foreign, people, Arc::new(|| Timestamp::from_micros(NOW * 1_000_000)))
}

fn claims(sub: &str) -> Claims {
    Claims { sub: sub.to_owned(), exp: NOW + 60, scope: "operator other".to_owned(), ..Claims::default() }
}

fn token(header: &Value, claims: &Value, signature: &str) -> String {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(claims))
}

fn signed(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    jsonwebtoken::encode(header, claims, key).unwrap()
}

async fn refused(auth: &Auth, token: &str) -> &'static str {
    match auth.verify(token).await {
        Err(AuthError::Refused(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn our_own_token_says_who_and_what() {
    let auth = auth(None);
    let token = auth.keys().sign(&claims("ann")).unwrap();
    let principal = auth.verify(&token).await.unwrap();
    assert_eq!(principal.person, auth.person(ISSUER, "ann"));
    assert_eq!(principal.scopes, BTreeSet::from([Scope::Operator]));
    assert!(!principal.bot);
    assert!(Arc::ptr_eq(&principal, &auth.verify(&token).await.unwrap()), "verified once");
    let bot = auth.keys().sign(&Claims { kind: CallerKind::Bot, ..claims("robo") }).unwrap();
    assert!(auth.verify(&bot).await.unwrap().bot);
}

#[tokio::test]
async fn who_somebody_is_depends_on_the_salt_of_the_log() {
    let mut ids = BTreeSet::new();
    for people in [People::unsalted(), People::salted(Secret::new([3; 32])), People::salted(Secret::new([4; 32]))] {
        let auth = auth_of(None, people.clone());
        let token = auth.keys().sign(&claims("ann")).unwrap();
        let person = auth.verify(&token).await.unwrap().person;
        assert_eq!(person, people.id(ISSUER, "ann", 0));
        ids.insert(person);
    }
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn a_token_without_a_signature_or_with_a_forged_one_is_refused() {
    let auth = auth(None);
    let body = json!({ "iss": ISSUER, "sub": "ann", "exp": NOW + 60 });
    let kid = auth.keys().kid().to_owned();
    for alg in ["none", "None", "NONE", "EdDSA"] {
        refused(&auth, &token(&json!({ "alg": alg, "kid": kid }), &body, "")).await;
    }
    let genuine = auth.keys().sign(&claims("ann")).unwrap();
    let (message, signature) = genuine.rsplit_once('.').unwrap();
    let other = token(&json!({ "alg": "EdDSA", "kid": kid }), &json!({ "iss": ISSUER, "sub": "bob", "exp": NOW + 60 }), signature);
    refused(&auth, &other).await;
    refused(&auth, &format!("{message}.AAAA")).await;
    for bad in ["", ".", "..", "a.b", "a.b.c", &"x".repeat(10_000)] {
        refused(&auth, bad).await;
    }
}

#[tokio::test]
async fn the_public_key_is_no_shared_secret() {
    let auth = auth(None);
    let public = auth.keys().public().try_get_as_bytes().unwrap().to_vec();
    let header = Header { kid: Some(auth.keys().kid().to_owned()), ..Header::new(Algorithm::HS256) };
    let body = json!({ "iss": ISSUER, "sub": "ann", "exp": NOW + 60 });
    assert_eq!(refused(&auth, &signed(&header, &body, &EncodingKey::from_secret(&public))).await, "no such key");
}

#[tokio::test]
async fn expired_early_foreign_and_nameless_tokens_are_refused() {
    let auth = auth(None);
    let sign = |claims: Claims| auth.keys().sign(&claims).unwrap();
    assert_eq!(refused(&auth, &sign(Claims { exp: NOW, ..claims("ann") })).await, "expired");
    assert_eq!(refused(&auth, &sign(Claims { nbf: Some(NOW + 1), ..claims("ann") })).await, "not valid yet");
    assert_eq!(refused(&auth, &sign(claims(""))).await, "subject");
    assert_eq!(refused(&auth, &sign(claims("a\u{0}"))).await, "subject");
    // Another installation's keys, under their own kid.
    assert_eq!(refused(&auth, &keys(2).sign(&claims("ann")).unwrap()).await, "no such key");
    // Their signature under our kid.
    let pem = |seed: u8| {
        let der = [&[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20][..], &[seed; 32]].concat();
        EncodingKey::from_ed_der(&der)
    };
    let ours = |alg| Header { kid: Some(auth.keys().kid().to_owned()), ..Header::new(alg) };
    let body = json!({ "iss": ISSUER, "sub": "ann", "exp": NOW + 60 });
    assert_eq!(refused(&auth, &signed(&ours(Algorithm::EdDSA), &body, &pem(2))).await, "signature, issuer or audience");
    // Our key, another issuer's name; and no kid.
    let elsewhere = json!({ "iss": "elsewhere", "sub": "ann", "exp": NOW + 60 });
    assert_eq!(refused(&auth, &signed(&ours(Algorithm::EdDSA), &elsewhere, &pem(1))).await, "unknown issuer");
    assert_eq!(refused(&auth, &signed(&Header::new(Algorithm::EdDSA), &body, &pem(1))).await, "no such key");
    // A key that the token brings along is not looked at.
    let brought = Jwk::from_encoding_key(&pem(2), Algorithm::EdDSA).unwrap();
    let header = Header { jwk: Some(brought), ..ours(Algorithm::EdDSA) };
    refused(&auth, &signed(&header, &body, &pem(2))).await;
    let critical = Header { crit: Some(vec!["exp".into()]), ..ours(Algorithm::EdDSA) };
    assert_eq!(refused(&auth, &signed(&critical, &body, &pem(1))).await, "critical extensions");
}

#[tokio::test]
async fn an_id_token_is_no_bearer_token() {
    let auth = auth(None);
    let key = EncodingKey::from_ed_der(&[&[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20][..], &[1; 32]].concat());
    let header = Header { kid: Some(auth.keys().kid().to_owned()), ..Header::new(Algorithm::EdDSA) };
    let with = |more: Value| {
        let mut claims = json!({ "iss": ISSUER, "sub": "ann", "exp": NOW + 60 });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        signed(&header, &claims, &key)
    };
    auth.verify(&with(json!({ "azp": "app", "sid": "1" }))).await.unwrap();
    for claims in [json!({ "nonce": "n" }), json!({ "nonce": null }), json!({ "at_hash": "h" }), json!({ "c_hash": [1] })] {
        assert_eq!(refused(&auth, &with(claims)).await, "an ID token");
    }
    refused(&auth, &with(json!({ "nonce": "n", "at_hash": "h" }))).await;
}

/// Answers every connection with `body`, and counts them.
async fn serve(body: String) -> (String, Arc<std::sync::atomic::AtomicUsize>) {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let count = Arc::new(AtomicUsize::new(0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let counted = count.clone();
    let answer = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        std::future::ready(body.clone())
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().route("/jwks", axum::routing::get(answer))).await });
    (url, count)
}

/// An issuer with the keys of seed 7, which may grant `scopes`.
async fn issuer(scopes: &[Scope]) -> (Foreign, Arc<std::sync::atomic::AtomicUsize>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let x = BASE64_URL_SAFE_NO_PAD.encode(keys(7).public().try_get_as_bytes().unwrap());
    let short = json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "short" });
    let shared = json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "shared" });
    let set =
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": keys(7).kid(), "alg": "EdDSA", "use": "sig" }, short, shared] });
    let (jwks, count) = serve(set.to_string()).await;
    let issuer = Issuer {
        name: "https://issuer.example".into(),
        jwks,
        audience: Some("circolo".into()),
        scopes: scopes.to_vec(),
        algorithms: vec![Algorithm::EdDSA, Algorithm::RS256],
    };
    (Foreign::new(issuer).unwrap(), count)
}

fn foreign_token(seed: u8, kid: &str, alg: Algorithm, audience: &str) -> String {
    let der = [&[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20][..], &[seed; 32]].concat();
    let body = json!({ "iss": "https://issuer.example", "sub": "ann", "aud": audience, "exp": NOW + 60, "scope": "operator analyst" });
    let key = if alg == Algorithm::HS256 { EncodingKey::from_secret(b"secret") } else { EncodingKey::from_ed_der(&der) };
    signed(&Header { kid: Some(kid.to_owned()), ..Header::new(alg) }, &body, &key)
}

#[tokio::test]
async fn a_foreign_issuer_grants_only_the_scopes_it_is_configured_for() {
    for scopes in [vec![], vec![Scope::Analyst]] {
        let auth = auth(Some(issuer(&scopes).await.0));
        let principal = auth.verify(&foreign_token(7, keys(7).kid(), Algorithm::EdDSA, "circolo")).await.unwrap();
        assert_eq!(principal.scopes, scopes.into_iter().collect());
        assert_ne!(principal.person, auth.person(ISSUER, "ann"), "the same subject of another issuer is another person");
    }
}

#[tokio::test]
async fn a_foreign_issuers_unknown_keys_do_not_make_us_ask_again_and_again() {
    let (foreign, asked) = issuer(&[]).await;
    let auth = auth(Some(foreign));
    for kid in ["a", "b", "short", "shared", "c"] {
        assert_eq!(refused(&auth, &foreign_token(7, kid, Algorithm::EdDSA, "circolo")).await, "no such key");
    }
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 1);
    refused(&auth, &foreign_token(7, "shared", Algorithm::HS256, "circolo")).await;
    refused(&auth, &foreign_token(8, keys(7).kid(), Algorithm::EdDSA, "circolo")).await;
    refused(&auth, &foreign_token(7, keys(7).kid(), Algorithm::EdDSA, "elsewhere")).await;
}

#[test]
fn algorithms_with_shared_secrets_cannot_be_configured() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let issuer = Issuer {
        name: "x".into(),
        jwks: "http://localhost/".into(),
        audience: None,
        scopes: vec![],
        algorithms: vec![Algorithm::EdDSA, Algorithm::HS256],
    };
    assert!(Foreign::new(issuer).is_err());
}
