//! Keys of a JWKS: from a file and from a URL, and what happens to tokens when the keys change.

use crate::service::{
    EC, ED, OTHER_RSA, RSA, SECRET, Service, claims, database, ec_key, ed_jwk, ed_key, jwk, jwks, rsa_key,
    scratch, sign, wait_for,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm::{ES256, EdDSA, HS256, RS256};
use jsonwebtoken::EncodingKey;
use rcgen::KeyPair;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A server that answers with a status and a document, which a test can change.
struct Issuer {
    url: String,
    answer: Arc<Mutex<(u16, String)>>,
    requests: Arc<AtomicU64>,
}

impl Issuer {
    fn start(status: u16, document: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let (answer, requests) =
            (Arc::new(Mutex::new((status, document.to_owned()))), Arc::new(AtomicU64::new(0)));
        let (shared, count) = (Arc::clone(&answer), Arc::clone(&requests));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                drop(stream.read(&mut [0; 4096]));
                count.fetch_add(1, Ordering::Relaxed);
                let (status, document) = shared.lock().unwrap().clone();
                let length = document.len();
                let head =
                    format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
                drop(stream.write_all((head + &document).as_bytes()));
            }
        });
        Self { url, answer, requests }
    }

    fn say(&self, status: u16, document: &str) {
        *self.answer.lock().unwrap() = (status, document.to_owned());
    }
}

fn by_rsa() -> String {
    sign(&claims("bob"), RS256, Some("rsa"), &rsa_key(&RSA))
}

fn by_the_next() -> String {
    sign(&claims("bob"), RS256, Some("next"), &rsa_key(&OTHER_RSA))
}

fn ec(kid: &str, pair: &KeyPair) -> Value {
    jwk(&ec_key(pair), ES256, kid)
}

fn next_jwks() -> String {
    json!({ "keys": [jwk(&rsa_key(&OTHER_RSA), RS256, "next")] }).to_string()
}

#[test]
fn keys_of_a_file_check_every_algorithm_and_rotate() {
    let cluster = database(&[]);
    let file = scratch().join("jwks.json");
    let mut document = jwks();
    document["keys"].as_array_mut().unwrap().push(ed_jwk("ed"));
    std::fs::write(&file, document.to_string()).unwrap();
    let arguments = ["--jwks", file.to_str().unwrap(), "--jwks-pause", "1", "--jwks-refresh", "3600"];
    let service = Service::start_with_secret(&cluster, None, &arguments);
    let status = |token: &str| service.get("/api/models", token).status;
    assert_eq!(status(&by_rsa()), 200);
    assert_eq!(status(&sign(&claims("bob"), ES256, Some("ec"), &ec_key(&EC))), 200);
    assert_eq!(status(&sign(&claims("bob"), EdDSA, Some("ed"), &ed_key(&ED))), 200);
    assert_eq!(status(&sign(&claims("bob"), EdDSA, Some("rsa"), &ed_key(&ED))), 401);
    // the name that RFC 9864 gives to EdDSA with this curve
    let encode = |text: Value| BASE64_URL_SAFE_NO_PAD.encode(text.to_string());
    let message = format!("{}.{}", encode(json!({ "alg": "Ed25519", "kid": "ed" })), encode(claims("bob")));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &ed_key(&ED), EdDSA).unwrap();
    assert_eq!(status(&format!("{message}.{signature}")), 200);
    // the JWKS has one key for the algorithm, so the token needs no kid
    assert_eq!(status(&sign(&claims("bob"), RS256, None, &rsa_key(&RSA))), 200);
    assert_eq!(status(&by_the_next()), 401);
    std::fs::write(&file, next_jwks()).unwrap();
    wait_for("the next key", || status(&by_the_next()) == 200);
    assert_eq!(status(&by_rsa()), 401, "the old key is withdrawn");
    // an unreadable file withdraws no key
    std::fs::write(&file, "rubbish").unwrap();
    wait_for("another load", || {
        assert_eq!(status(&by_rsa()), 401);
        service.metric("jwks_loads_total{outcome=\"failed\"}") > 0
    });
    assert_eq!(status(&by_the_next()), 200);
}

#[test]
fn keys_of_a_url_rotate_and_outlive_its_failures() {
    let cluster = database(&[]);
    let issuer = Issuer::start(500, "not today");
    let arguments = ["--jwks", &issuer.url, "--jwks-pause", "1", "--jwks-refresh", "1"];
    let service = Service::start_with_secret(&cluster, None, &arguments);
    let status = |token: &str| service.get("/api/models", token).status;
    // without keys no token can be verified
    service.get("/api/models", &by_rsa()).assert_code(503, "keys_not_loaded", "no keys yet");
    assert_eq!(service.send("GET /readyz HTTP/1.1\r\n").status, 503);
    issuer.say(200, &jwks().to_string());
    wait_for("the keys", || status(&by_rsa()) == 200);
    assert_eq!(service.send("GET /readyz HTTP/1.1\r\n").status, 200);
    for (code, document) in [
        (500, "an error".to_owned()),
        (200, "<html>".into()),
        (200, String::new()),
        (302, jwks().to_string()),
        (200, format!("{{\"keys\":[],\"padding\":\"{}\"}}", "x".repeat(300_000))),
    ] {
        issuer.say(code, &document);
        let before = service.metric("jwks_loads_total{outcome=\"failed\"}");
        wait_for("a failure", || service.metric("jwks_loads_total{outcome=\"failed\"}") > before);
        assert_eq!(status(&by_rsa()), 200, "{code}");
    }
    issuer.say(200, &next_jwks());
    wait_for("the next key", || status(&by_the_next()) == 200);
    assert_eq!(status(&by_rsa()), 401);
    // a JWKS without a usable key withdraws none
    for document in ["{\"keys\":[]}", r#"{"keys":[{"kty":"EC","crv":"P-384","x":"AA","y":"AA"}]}"#] {
        issuer.say(200, document);
        let before = service.metric("jwks_loads_total{outcome=\"failed\"}");
        wait_for("a failure", || service.metric("jwks_loads_total{outcome=\"failed\"}") > before);
        assert_eq!((status(&by_the_next()), service.metric("jwks_keys")), (200, 1), "{document}");
    }
    let log = service.log();
    assert!(log.contains("no key of the JWKS can verify a token: it contains no key"), "{log}");
    assert!(log.contains("no key of the JWKS can verify a token: 1 of 1 keys: key 1: the curve"), "{log}");
    assert_eq!(service.send("GET /readyz HTTP/1.1\r\n").status, 200);
}

#[test]
fn keys_that_cannot_verify_are_skipped_named_and_not_counted() {
    let cluster = database(&[]);
    let short = BASE64_URL_SAFE_NO_PAD.encode([0xc1; 128]);
    let changed = |mut key: Value, name: &str, value: Value| {
        key[name] = value;
        key
    };
    let rsa = |kid| jwk(&rsa_key(&RSA), RS256, kid);
    let bad = [
        (json!({ "kty": "RSA", "n": short, "e": "AQAB" }), "it has 1024 bits"),
        (changed(rsa("enc"), "use", json!("enc")), "its use is \\\"enc\\\""),
        (changed(rsa("sign"), "key_ops", json!(["sign"])), "its key_ops do not contain verify"),
        (changed(rsa("oaep"), "alg", json!("RSA-OAEP")), "its alg is \\\"RSA-OAEP\\\""),
        (changed(rsa("broken"), "n", json!("*")), "its n is not base64url"),
        (json!({ "kty": "RSA", "kid": "x5c", "x5c": ["MIIB"] }), "it has no n"),
        (json!({ "kty": "EC", "crv": "P-521", "x": "AA", "y": "AA" }), "the curve \\\"P-521\\\""),
        (json!({ "kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA" }), "the curve \\\"secp256k1\\\""),
        (json!({ "kty": "OKP", "crv": "Ed448", "x": "AA" }), "the curve \\\"Ed448\\\""),
        (json!({ "kty": "oct", "k": BASE64_URL_SAFE_NO_PAD.encode(SECRET) }), "oct"),
    ];
    let all: Vec<Value> = bad.iter().map(|(key, _)| key.clone()).collect();
    // not ready while there is no other key
    let issuer = Issuer::start(200, &json!({ "keys": all }).to_string());
    let arguments = ["--jwks", &issuer.url, "--jwks-pause", "1", "--jwks-refresh", "1"];
    let service = Service::start_with_secret(&cluster, None, &arguments);
    service.get("/api/models", &by_rsa()).assert_code(503, "keys_not_loaded", "no usable key");
    service.send("GET /readyz HTTP/1.1\r\n").assert_code(503, "keys_not_loaded", "no usable key");
    assert_eq!(service.metric("jwks_keys"), 0);
    let log = service.log();
    assert!(log.contains("\"WARN\"") && log.contains("10 of 10 keys: key 1: "), "{log}");
    for (key, reason) in &bad {
        assert!(log.contains(reason), "{key}: {log}");
    }
    // two keys that verify, one of them twice, and two that a token cannot tell apart
    let others =
        [rsa("rsa"), ed_jwk("ed"), rsa("rsa"), ec("same", &EC), ec("same", &KeyPair::generate().unwrap())];
    let keys = [&all[..2], &others].concat();
    issuer.say(200, &json!({ "keys": keys }).to_string());
    wait_for("the keys", || service.get("/api/models", &by_rsa()).status == 200);
    assert_eq!(
        service.get("/api/models", &sign(&claims("bob"), EdDSA, Some("ed"), &ed_key(&ED))).status,
        200
    );
    let by_ec = sign(&claims("bob"), ES256, Some("same"), &ec_key(&EC));
    service.get("/api/models", &by_ec).assert_code(401, "token_key_unknown", "an ambiguous kid");
    let confused = sign(&claims("bob"), HS256, None, &EncodingKey::from_secret(SECRET.as_bytes()));
    service.get("/api/models", &confused).assert_code(401, "token_algorithm_unsupported", "oct");
    assert_eq!(service.metric("jwks_keys"), 2);
    // said once, although the JWKS is loaded again
    let before = service.metric("jwks_loads_total{outcome=\"ok\"}");
    wait_for("another load", || service.metric("jwks_loads_total{outcome=\"ok\"}") > before);
    let log = service.log();
    assert_eq!(log.matches("5 of 7 keys: key 1: ").count(), 1, "{log}");
    assert!(log.contains("key 5: the same key as key 3; key 6: kid \\\"same\\\": other keys"), "{log}");
}

#[test]
fn clients_that_leave_do_not_flood_the_issuer() {
    let cluster = database(&[]);
    let issuer = Issuer::start(200, &jwks().to_string());
    let service = Service::start_with_secret(&cluster, None, &["--jwks", &issuer.url, "--jwks-pause", "1"]);
    let token = sign(&claims("bob"), RS256, Some("unknown"), &rsa_key(&RSA));
    let request = format!("GET /api/models HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n\r\n");
    let ask_and_leave = || service.connect().unwrap().write_all(request.as_bytes()).unwrap();
    let answer = issuer.answer.lock().unwrap();
    wait_for("a load that waits for its answer", || {
        ask_and_leave();
        issuer.requests.load(Ordering::Relaxed) == 2
    });
    (0..20).for_each(|_| ask_and_leave());
    drop(answer);
    // every load that was started also ended
    wait_for("the end of each load", || {
        service.metric("jwks_loads_total") == issuer.requests.load(Ordering::Relaxed)
    });
    service.get("/api/models", &token).assert_code(401, "token_key_unknown", "a key that is not in the JWKS");
    assert_eq!(service.get("/api/models", &by_rsa()).status, 200);
}

#[test]
fn unknown_keys_do_not_flood_the_issuer() {
    let cluster = database(&[]);
    let issuer = Issuer::start(200, &jwks().to_string());
    let service =
        Service::start_with_secret(&cluster, None, &["--jwks", &issuer.url, "--jwks-pause", "3600"]);
    for number in 0..50 {
        let kid = format!("kid-{number}");
        let token = sign(&claims("bob"), RS256, Some(&kid), &rsa_key(&RSA));
        service.get("/api/models", &token).assert_problem(401, &kid);
    }
    assert_eq!(issuer.requests.load(Ordering::Relaxed), 1, "the load at the start");
}
