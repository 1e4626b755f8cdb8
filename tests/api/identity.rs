//! Who asks: two secrets, the command `token`, types of tokens, the client in the log, and the environment.

use crate::service::{
    AUDIENCE, ISSUER, PASSWORD, RSA, SECRET, Service, claims, database, jwk, program, rsa_key, scratch, sign,
    token, wait_for,
};
use jsonwebtoken::Algorithm::{HS256, RS256};
use jsonwebtoken::{EncodingKey, Header};
use serde_json::{Value, json};
use std::net::TcpStream;
use std::process::Command;
use tests::Cluster;

const OLD_SECRET: &str = "the secret before, which a few tokens still have";

fn by(secret: &str) -> String {
    sign(&claims("bob"), HS256, None, &EncodingKey::from_secret(secret.as_bytes()))
}

/// The program, without options, on the cluster.
fn bare(cluster: &Cluster) -> Command {
    let mut command = program();
    command.env("PGHOST", cluster.socket()).env("PGUSER", "api").env("PGDATABASE", "postgres");
    command.env("PGPASSWORD", PASSWORD).env("MODEL_ACCESS_API_LISTEN", "127.0.0.1:0");
    command
}

#[test]
fn two_secrets_verify_while_one_replaces_the_other() {
    let cluster = database(&[]);
    let folder = scratch();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).unwrap();
        folder.join(name).to_str().unwrap().to_owned()
    };
    let (new, old) = (file("new", SECRET), file("old", &format!("{OLD_SECRET}\n")));
    let files = ["--hs256-secret-file", &new, "--hs256-secret-file", &old];
    let in_files = Service::start_with_secret(&cluster, None, &files);
    let mut command = Service::command(&[]);
    command.env("PGHOST", cluster.socket()).env("MODEL_ACCESS_API_HS256_SECRET", SECRET);
    command.env("MODEL_ACCESS_API_HS256_SECRET_PREVIOUS", OLD_SECRET);
    let in_variables = Service::spawn(command);
    let alone = Service::start_with_secret(&cluster, None, &files[..2]);
    for service in [&in_files, &in_variables] {
        assert_eq!(service.get("/api/models", &by(SECRET)).status, 200);
        assert_eq!(service.get("/api/models", &by(OLD_SECRET)).status, 200);
        let other = by("a secret that this service never had");
        service.get("/api/models", &other).assert_code(401, "token_signature_invalid", "another secret");
        let mut expired = claims("bob");
        expired["exp"] = json!(1);
        let expired = sign(&expired, HS256, None, &EncodingKey::from_secret(OLD_SECRET.as_bytes()));
        service.get("/api/models", &expired).assert_code(401, "token_expired", "by the old secret");
    }
    alone.get("/api/models", &by(OLD_SECRET)).assert_code(401, "token_signature_invalid", "replaced");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_command_token_signs_what_the_service_accepts() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    let folder = scratch();
    std::fs::write(folder.join("secret"), format!("{SECRET}\n")).unwrap();
    let file = folder.join("secret");
    let run = |arguments: &[&str], secret: Option<&str>| {
        let mut command = program();
        command.arg("token").args(arguments);
        if let Some(secret) = secret {
            command.env("MODEL_ACCESS_API_HS256_SECRET", secret);
        }
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let for_here = ["--audience", AUDIENCE, "--issuer", ISSUER];
    let from_file = [&["--hs256-secret-file", file.to_str().unwrap()][..], &for_here, &["bob"]].concat();
    for (arguments, secret) in [(from_file, None), ([&for_here[..], &["bob"]].concat(), Some(SECRET))] {
        let (code, token, log) = run(&arguments, secret);
        assert_eq!((code, log.as_str()), (Some(0), ""));
        let (token, rest) = token.split_once('\n').unwrap();
        assert_eq!((rest, service.get("/api/models", token).status), ("", 200));
    }
    let (_, elsewhere, _) = run(&["--lifetime", "60", "bob"], Some(SECRET));
    service.get("/api/models", elsewhere.trim()).assert_code(401, "token_audience_invalid", "no audience");
    let (_, quoted, _) = run(&[&for_here[..], &["b\"ob\\"]].concat(), Some(SECRET));
    service.get("/api/models", quoted.trim()).assert_code(403, "user_unknown", "a name with quotes");
    for (arguments, secret, code, words) in [
        (&["bob"][..], None, 1, "no secret to sign with"),
        (&["bob"], Some(""), 1, "no secret to sign with"),
        (&["bob"], Some("short"), 1, "shorter than 32 bytes"),
        (&[], Some(SECRET), 2, "USER"),
        (&["bob", "--lifetime", "0"], Some(SECRET), 2, "--lifetime"),
    ] {
        let (found, output, log) = run(arguments, secret);
        assert_eq!((found, output.as_str()), (Some(code), ""), "{arguments:?}: {log}");
        assert!(log.contains(words) && !log.contains(SECRET), "{arguments:?}: {log}");
    }
    // the manual pages name what the help names
    assert!(program().arg("man").arg(&folder).status().unwrap().success());
    let page = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap().replace('\\', "");
    for words in ["--jwks-refresh", "MODEL_ACCESS_API_LISTEN", "sslmode", "model-access-api-token(1)"] {
        assert!(page("model-access-api.1").contains(words), "{words}");
    }
    assert!(page("model-access-api-token.1").contains("--lifetime"));
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_token_for_something_else_is_refused() {
    let cluster = database(&[]);
    let folder = scratch();
    let file = folder.join("jwks.json");
    // what Keycloak publishes: a key for signatures and one for encryption
    let mut encryption = jwk(&rsa_key(&RSA), RS256, "encryption");
    (encryption["use"], encryption["alg"]) = (json!("enc"), json!("RSA-OAEP"));
    let keys = json!({ "keys": [jwk(&rsa_key(&RSA), RS256, "rsa"), encryption] });
    std::fs::write(&file, keys.to_string()).unwrap();
    let service = Service::start(&cluster, &["--jwks", file.to_str().unwrap(), "--audience", "model-access"]);
    let typed = |typ: Option<&str>| {
        let header = Header { typ: typ.map(str::to_owned), ..Header::new(HS256) };
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        jsonwebtoken::encode(&header, &claims("bob"), &key).unwrap()
    };
    for typ in [None, Some("JWT"), Some("jwt"), Some("at+jwt"), Some("application/at+jwt"), Some("AT+JWT")] {
        assert_eq!(service.get("/api/models", &typed(typ)).status, 200, "{typ:?}");
    }
    for typ in ["dpop+jwt", "logout+jwt", "secevent+jwt", "id_token+jwt", "JWE", "application/jose", ""] {
        service.get("/api/models", &typed(Some(typ))).assert_code(401, "token_type_invalid", typ);
    }
    let keycloak = |typ: &str, audience: Value| {
        let mut claims = claims("bob");
        claims["typ"] = json!(typ);
        claims["azp"] = json!("a-client");
        claims["aud"] = audience;
        sign(&claims, RS256, Some("rsa"), &rsa_key(&RSA))
    };
    let get = |token: String| service.get("/api/models", &token);
    assert_eq!(get(keycloak("Bearer", json!(["model-access", "account"]))).status, 200);
    assert_eq!(get(keycloak("Bearer", json!("model-access"))).status, 200);
    get(keycloak("Bearer", json!("account"))).assert_code(401, "token_audience_invalid", "without a mapper");
    for typ in ["ID", "Refresh", "Offline", "Logout"] {
        get(keycloak(typ, json!("model-access"))).assert_code(401, "token_type_invalid", typ);
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_log_of_a_401_has_the_code_and_the_client() {
    let cluster = database(&[]);
    let mut command = Service::command(&[]);
    command.env("PGHOST", cluster.socket()).env("MODEL_ACCESS_API_HS256_SECRET", SECRET);
    command.env("MODEL_ACCESS_API_TRUSTED_PROXY", "10.0.0.0/8, 127.0.0.1");
    let behind_a_proxy = Service::spawn(command);
    let alone = Service::start(&cluster, &[]);
    let line = |service: &Service, id: &str, fields: &str| -> Value {
        let reply = service.send(&format!("GET /api/models HTTP/1.1\r\nX-Request-Id: {id}\r\n{fields}"));
        wait_for("the line", || service.log().contains(id));
        let log = service.log();
        let line = log.lines().find(|line| line.contains(id)).unwrap();
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["status"], reply.status);
        line
    };
    let hops = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 203.0.113.5, 10.1.2.3\r\n";
    for (service, id, fields, client) in [
        (&behind_a_proxy, "a1", hops, "203.0.113.5"),
        (&behind_a_proxy, "a2", "", "127.0.0.1"),
        (&behind_a_proxy, "a3", "X-Forwarded-For: rubbish\"\r\n", "127.0.0.1"),
        (&alone, "a4", hops, "127.0.0.1"),
    ] {
        let line = line(service, id, fields);
        assert_eq!((&line["code"], &line["client"]), (&json!("token_missing"), &json!(client)), "{line}");
    }
    // only a refused token says where its client is
    let good = format!("{hops}Authorization: Bearer {}\r\n", token("bob"));
    let found = line(&behind_a_proxy, "a5", &good);
    assert_eq!((found.get("code"), found.get("client")), (None, None), "{found}");
    let unknown = format!("{hops}Authorization: Bearer {}\r\n", token("nobody"));
    let found = line(&behind_a_proxy, "a6", &unknown);
    assert_eq!((&found["code"], found.get("client")), (&json!("user_unknown"), None), "{found}");
}

#[test]
fn an_empty_variable_is_none_and_a_list_is_split() {
    let cluster = database(&[]);
    let mut command = bare(&cluster);
    for name in ["DATABASE", "JWKS", "AUDIENCE", "ISSUER", "TRUSTED_PROXY", "HS256_SECRET_PREVIOUS"] {
        command.env(format!("MODEL_ACCESS_API_{name}"), "");
    }
    for name in ["PGSSLROOTCERT", "PGSSLMODE", "PGPORT", "PGSERVICE", "PGPASSFILE", "PGSSLCRL", "PGHOSTADDR"]
    {
        command.env(name, "");
    }
    let service = Service::spawn({
        command.env("MODEL_ACCESS_API_HS256_SECRET", SECRET);
        command
    });
    let plain = json!({ "sub": "bob", "exp": claims("bob")["exp"] });
    let by_secret = |claims: &Value| sign(claims, HS256, None, &EncodingKey::from_secret(SECRET.as_bytes()));
    assert_eq!(service.get("/api/models", &by_secret(&plain)).status, 200);

    let mut command = bare(&cluster);
    command.env("MODEL_ACCESS_API_HS256_SECRET", SECRET).env("MODEL_ACCESS_API_AUDIENCE", "one,app two");
    command.env("MODEL_ACCESS_API_ISSUER", format!("https://other.example\n{ISSUER}"));
    let service = Service::spawn(command);
    for (audience, status) in [("one", 200), ("app", 200), ("two", 200), ("one,app two", 401), ("", 401)] {
        let mut claims = claims("bob");
        claims["aud"] = json!(audience);
        assert_eq!(service.get("/api/models", &by_secret(&claims)).status, status, "{audience}");
    }
    // on the command line nothing is split
    let service = Service::start(&cluster, &["--audience", "one,app two"]);
    let mut claims = claims("bob");
    claims["aud"] = json!("one,app two");
    assert_eq!(service.get("/api/models", &by_secret(&claims)).status, 200);
    claims["aud"] = json!("one");
    assert_eq!(service.get("/api/models", &by_secret(&claims)).status, 401);
}

#[test]
fn a_name_to_listen_on_means_each_of_its_addresses() {
    let cluster = database(&[]);
    let mut command = bare(&cluster);
    command.env("MODEL_ACCESS_API_LISTEN", "localhost:0").env("MODEL_ACCESS_API_HS256_SECRET", SECRET);
    let service = Service::spawn(command);
    assert_eq!(service.send("GET /healthz HTTP/1.1\r\n").status, 200);
    let port = service.connect().unwrap().peer_addr().unwrap().port();
    // the addresses that this machine has for the name
    let addresses = std::net::ToSocketAddrs::to_socket_addrs(&("localhost", port)).unwrap();
    let here = addresses.filter(|address| std::net::TcpListener::bind((address.ip(), 0)).is_ok());
    let found: Vec<_> = here.map(|address| (address, TcpStream::connect(address).is_ok())).collect();
    assert!(!found.is_empty() && found.iter().all(|(_, connected)| *connected), "{found:?}");
}
