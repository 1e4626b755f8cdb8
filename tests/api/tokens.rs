//! Invalid tokens: each gets 401, and none of them reaches SQL or the log.

use crate::service::{
    AUDIENCE, ISSUER, OTHER_RSA, PASSWORD, RSA, SECRET, Service, claims, database, ec_key, in_seconds, jwks,
    rsa_key, scratch, sign, token,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm::{ES256, HS256, HS512, RS256, RS512};
use jsonwebtoken::{EncodingKey, Header, crypto};
use rcgen::PublicKeyData;
use serde_json::{Value, json};

/// Signs any header and any payload, valid or not.
fn forge(header: &Value, payload: &str, key: &EncodingKey) -> String {
    forge_bytes(header.to_string().as_bytes(), payload, key)
}

fn forge_bytes(header: &[u8], payload: &str, key: &EncodingKey) -> String {
    let message =
        format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(payload));
    let signature = crypto::sign(message.as_bytes(), key, HS256).unwrap();
    format!("{message}.{signature}")
}

/// The claims with one of them changed; `null` removes it.
fn with(name: &str, value: Value) -> Value {
    let mut claims = claims("bob");
    match value {
        Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
        value => claims[name] = value,
    }
    claims
}

/// Values of `Authorization` that are not accepted, each with the reason.
fn bad_authorizations() -> Vec<(&'static str, String)> {
    let secret = EncodingKey::from_secret(SECRET.as_bytes());
    let hs256 = json!({ "alg": "HS256", "typ": "JWT" });
    let good = token("bob");
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = [parts[0], parts[1], parts[2]];
    let payload_text = claims("bob").to_string();
    let signed = |claims: Value| sign(&claims, HS256, None, &secret);
    let by_rsa = |kid: Option<&str>| sign(&claims("bob"), RS256, kid, &rsa_key(&RSA));
    let confused = |bytes: &[u8]| sign(&claims("bob"), HS256, Some("rsa"), &EncodingKey::from_secret(bytes));
    let jwk = jwks()["keys"][0].clone();
    let modulus = BASE64_URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    let mut own_key = Header::new(RS256);
    own_key.jwk = Some(jsonwebtoken::jwk::Jwk::from_encoding_key(&rsa_key(&OTHER_RSA), RS256).unwrap());
    let own_key = jsonwebtoken::encode(&own_key, &claims("bob"), &rsa_key(&OTHER_RSA)).unwrap();
    let mut elsewhere = Header { kid: Some("mine".into()), ..Header::new(RS256) };
    elsewhere.jku = Some("https://mallory.example/jwks.json".into());
    let elsewhere = jsonwebtoken::encode(&elsewhere, &claims("bob"), &rsa_key(&OTHER_RSA)).unwrap();
    let tokens = vec![
        ("two parts", format!("{header}.{payload}")),
        ("four parts", format!("{good}.{signature}")),
        ("no dot", "garbage".into()),
        ("only dots", "..".into()),
        ("no header", format!(".{payload}.{signature}")),
        ("no payload", format!("{header}..{signature}")),
        ("no signature", format!("{header}.{payload}.")),
        ("half a signature", format!("{header}.{payload}.{}", &signature[..20])),
        (
            "a header that is not UTF-8",
            forge_bytes(b"{\"alg\":\"HS256\",\"x\":\"\x9e\"}", &payload_text, &secret),
        ),
        ("base64 with padding", format!("{header}=.{payload}=.{signature}=")),
        (
            "another payload",
            format!("{header}.{}.{signature}", BASE64_URL_SAFE_NO_PAD.encode(claims("eve").to_string())),
        ),
        (
            "the signature of another token",
            format!("{header}.{payload}.{}", token("ada").rsplit('.').next().unwrap()),
        ),
        (
            "a header that is no JSON",
            format!("{}.{payload}.{signature}", BASE64_URL_SAFE_NO_PAD.encode("HS256")),
        ),
        ("a payload that is no JSON", forge(&hs256, "bob", &secret)),
        ("a payload that is a list", forge(&hs256, "[\"bob\"]", &secret)),
        (
            "a list of the values of good claims",
            forge(&hs256, &json!([in_seconds(3600), null, ISSUER, AUDIENCE, "bob"]).to_string(), &secret),
        ),
        ("a header without alg", forge(&json!({ "typ": "JWT" }), &payload_text, &secret)),
        ("alg null", forge(&json!({ "alg": null }), &payload_text, &secret)),
        ("alg a list", forge(&json!({ "alg": ["HS256"] }), &payload_text, &secret)),
        ("alg in lower case", forge(&json!({ "alg": "hs256" }), &payload_text, &secret)),
        ("crit", forge(&json!({ "alg": "HS256", "crit": ["b64"], "b64": false }), &payload_text, &secret)),
        ("expired", signed(with("exp", json!(in_seconds(-60))))),
        ("expired long ago", signed(with("exp", json!(0)))),
        ("without exp", signed(with("exp", Value::Null))),
        ("exp as text", signed(with("exp", json!(in_seconds(3600).to_string())))),
        ("exp true", signed(with("exp", json!(true)))),
        ("not yet", signed(with("nbf", json!(in_seconds(600))))),
        ("nbf as text", signed(with("nbf", json!("0")))),
        ("another audience", signed(with("aud", json!("another")))),
        ("other audiences", signed(with("aud", json!(["another", "App"])))),
        ("without audience", signed(with("aud", Value::Null))),
        ("another issuer", signed(with("iss", json!("https://mallory.example")))),
        ("without issuer", signed(with("iss", Value::Null))),
        ("without sub", signed(with("sub", Value::Null))),
        ("sub empty", signed(with("sub", json!("")))),
        ("sub a number", signed(with("sub", json!(42)))),
        ("sub a list", signed(with("sub", json!(["bob"])))),
        ("sub an object", signed(with("sub", json!({ "id": "bob" })))),
        ("sub with NUL", signed(with("sub", json!("bob\0")))),
        ("sub without end", signed(with("sub", json!("b".repeat(300))))),
        (
            "HS256 by another secret",
            sign(&claims("bob"), HS256, None, &EncodingKey::from_secret(b"another secret")),
        ),
        ("HS256 by an empty secret", sign(&claims("bob"), HS256, None, &EncodingKey::from_secret(b""))),
        ("HS512 by the secret", sign(&claims("bob"), HS512, None, &secret)),
        ("HS256 by the public key, as PEM", confused(RSA.public_key_pem().as_bytes())),
        (
            "HS256 by the public key, as PEM without the last newline",
            confused(RSA.public_key_pem().trim_end().as_bytes()),
        ),
        ("HS256 by the public key, as DER", confused(&RSA.subject_public_key_info())),
        ("HS256 by the public key, as JWK", confused(jwk.to_string().as_bytes())),
        ("HS256 by the modulus", confused(&modulus)),
        ("RS256 by another key", sign(&claims("bob"), RS256, Some("rsa"), &rsa_key(&OTHER_RSA))),
        ("RS256 by another key, without kid", sign(&claims("bob"), RS256, None, &rsa_key(&OTHER_RSA))),
        ("RS256 with an unknown kid", by_rsa(Some("unknown"))),
        ("RS256 with the kid of the other key", by_rsa(Some("ec"))),
        ("RS512 by the right key", sign(&claims("bob"), RS512, Some("rsa"), &rsa_key(&RSA))),
        (
            "ES256 with the kid of the other key",
            sign(&claims("bob"), ES256, Some("rsa"), &ec_key(&crate::service::EC)),
        ),
        ("a header that brings its own key", own_key),
        ("a header that says where its key is", elsewhere),
        ("expired, by RS256", sign(&with("exp", json!(in_seconds(-60))), RS256, Some("rsa"), &rsa_key(&RSA))),
        ("too long", signed(with("note", json!("x".repeat(9000))))),
    ];
    let mut bad: Vec<(&str, String)> =
        tokens.into_iter().map(|(why, token)| (why, format!("Bearer {token}"))).collect();
    for spelling in ["none", "None", "NONE", "nOnE", ""] {
        let header = BASE64_URL_SAFE_NO_PAD.encode(json!({ "alg": spelling, "typ": "JWT" }).to_string());
        bad.push(("alg none", format!("Bearer {header}.{payload}.")));
        bad.push(("alg none and a signature", format!("Bearer {header}.{payload}.{signature}")));
    }
    bad.extend([
        ("empty", String::new()),
        ("the scheme alone", "Bearer".into()),
        ("the scheme and a blank", "Bearer ".into()),
        ("no scheme", good.clone()),
        ("Basic", format!("Basic {}", BASE64_URL_SAFE_NO_PAD.encode("bob:password"))),
        ("Basic with the token", format!("Basic {good}")),
        ("Token", format!("Token {good}")),
        ("two tokens", format!("Bearer {good} {good}")),
        ("two tokens with a comma", format!("Bearer {good}, Bearer {good}")),
        ("something behind it", format!("Bearer {good};")),
        ("a tab", format!("Bearer\t{good}")),
        ("quotes", format!("Bearer \"{good}\"")),
    ]);
    bad
}

#[test]
fn no_invalid_token_is_accepted_reaches_sql_or_is_logged() {
    let cluster = database(&["log_statement=all"]);
    let file = scratch().join("jwks.json");
    std::fs::write(&file, jwks().to_string()).unwrap();
    let arguments = ["--jwks", file.to_str().unwrap(), "--jwks-pause", "3600"];
    let service = Service::start(&cluster, &arguments);
    let good = token("bob");
    let bad = bad_authorizations();
    assert!(bad.len() >= 30);
    for (why, authorization) in &bad {
        for path in ["/api/models", "/v1/models", "/v1/models/google/gemini-2.5-pro"] {
            let reply = service.send(&format!("GET {path} HTTP/1.1\r\nAuthorization: {authorization}\r\n"));
            reply.assert_problem(401, why);
            let challenge = reply.header("www-authenticate").unwrap();
            let description = format!("error_description={}", reply.json()["detail"]);
            assert!(
                challenge.contains("error=\"invalid_token\"") && challenge.contains(&description),
                "{why}"
            );
        }
    }
    // a valid token with one letter changed, for each letter: the signature covers all of it
    for position in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[position] = if bytes[position] == b'A' { b'B' } else { b'A' };
        service
            .get("/api/models", std::str::from_utf8(&bytes).unwrap())
            .assert_problem(401, &format!("letter {position}"));
    }
    let missing = service.send("GET /api/models HTTP/1.1\r\n");
    missing.assert_code(401, "token_missing", "no header");
    assert_eq!(missing.header("www-authenticate"), Some("Bearer realm=\"model_access\""));
    for head in [
        format!(
            "GET /api/models HTTP/1.1\r\nAuthorization: Bearer {good}\r\nAuthorization: Bearer {good}\r\n"
        ),
        format!("GET /api/models HTTP/1.1\r\nAuthorization: Bearer {good}\r\nauthorization: Basic x\r\n"),
        format!("GET /api/models?access_token={good} HTTP/1.1\r\n"),
        format!("GET /api/models HTTP/1.1\r\nCookie: access_token={good}\r\n"),
        format!("GET /api/models HTTP/1.1\r\nX-Authorization: Bearer {good}\r\n"),
        format!("HEAD /api/models HTTP/1.1\r\nAuthorization: Basic {good}\r\n"),
    ] {
        assert_eq!(service.send(&head).status, 401, "{head}");
    }
    let not_text =
        [b"GET /api/models HTTP/1.1\r\nAuthorization: Bearer \xff", good.as_bytes(), b"\r\n"].concat();
    service.send_bytes(&not_text).assert_problem(401, "not ASCII");
    let as_method = service.send(&format!("{good} /api/models HTTP/1.1\r\n"));
    as_method.assert_problem(405, "a token in the place of the method");
    let endless = service
        .send(&format!("GET /api/models HTTP/1.1\r\nAuthorization: Bearer {}\r\n", "x".repeat(20_000)));
    assert_eq!(endless.status, 431, "more than is read at all");

    // none of these requests sent a statement, by the metric of the service and by the log of the server
    let statements = || {
        let log = std::fs::read_to_string(cluster.socket().join("log")).unwrap();
        log.lines().filter(|line| line.contains("models_for_user($1")).count()
    };
    assert_eq!((service.metric("queries_total"), statements()), (0, 0));
    assert!(service.metric("tokens_refused_total") > 30);
    for code in
        ["token_missing", "token_repeated", "token_malformed", "token_expired", "token_signature_invalid"]
    {
        assert!(service.metric(&format!("tokens_refused_total{{code=\"{code}\"}}")) > 0, "{code}");
    }
    // a valid token sends one, so both counts work
    for authorization in
        [format!("Bearer {good}"), format!("bearer  {good}"), format!("BEARER {}", token("bob"))]
    {
        let reply = service.send(&format!("GET /api/models HTTP/1.1\r\nAuthorization: {authorization}\r\n"));
        assert_eq!(reply.status, 200, "{authorization}");
    }
    assert!(service.metric("queries_total") >= 1 && statements() >= 1);

    // the log contains no token, no part of a token, no query and no password
    let log = service.log();
    assert!(log.lines().count() > bad.len(), "the log has a line per request");
    let tokens = bad.iter().map(|(_, text)| text.as_str()).chain([good.as_str()]);
    for part in tokens.flat_map(|text| text.split(['.', ' ', ','])).filter(|part| part.len() > 15) {
        assert!(!log.contains(part), "the log shows {part}");
    }
    for secret in [SECRET, PASSWORD, "access_token", AUDIENCE, ISSUER] {
        assert!(!log.contains(&format!("\"{secret}\"")) && !log.contains(&format!("{secret}=")), "{secret}");
    }
    assert!(!log.contains(PASSWORD) && !log.contains(SECRET));
}

#[test]
fn a_service_with_one_kind_of_key_accepts_no_other() {
    let cluster = database(&[]);
    let (hs256, rs256) = (token("bob"), sign(&claims("bob"), RS256, Some("rsa"), &rsa_key(&RSA)));
    let file = scratch().join("jwks.json");
    std::fs::write(&file, jwks().to_string()).unwrap();
    let only_secret = Service::start(&cluster, &[]);
    let only_jwks = Service::start_with_secret(&cluster, None, &["--jwks", file.to_str().unwrap()]);
    assert_eq!(only_secret.get("/api/models", &hs256).status, 200);
    only_secret.get("/api/models", &rs256).assert_problem(401, "RS256 where there is a secret");
    assert_eq!(only_jwks.get("/api/models", &rs256).status, 200);
    only_jwks.get("/api/models", &hs256).assert_problem(401, "HS256 where there are public keys");
}
