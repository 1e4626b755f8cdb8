//! The answers of the service: lists by tier, filters, single models, conditional requests, and errors.

use crate::service::{SECRET, Service, database, token};
use flate2::read::GzDecoder;
use serde_json::json;
use std::io::{Read, Write};

const DENIED: &str = "google/gemini-2.5-pro";

#[test]
fn each_user_gets_the_models_of_sql() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    let mut client = cluster.connect();
    for user in ["ada", "bob", "cleo", "dan"] {
        let query = "SELECT model_id FROM models_for_user($1) ORDER BY model_id COLLATE \"C\"";
        let expected: Vec<String> =
            client.query(query, &[&user]).unwrap().iter().map(|row| row.get(0)).collect();
        assert_eq!(service.ids(user), expected, "{user}");
        assert_eq!(service.get_as(user, "/v1/models").ids(), expected, "{user}");
        assert_eq!(expected.is_empty(), user == "dan");
    }
    assert!(service.ids("bob").len() > service.ids("ada").len());
    // every column, exactly as SQL has it
    let query = "SELECT row_to_json(m)::text FROM models_for_user('bob') AS m ORDER BY model_id COLLATE \"C\" LIMIT 1";
    let row: String = client.query_one(query, &[]).unwrap().get(0);
    assert!(service.get_as("bob", "/api/models").body.starts_with(&format!("{{\"data\":[{row},")));
    // the entries of the upstream, with the keys of OpenAI
    let list = service.get_as("bob", "/v1/models").json();
    assert_eq!((&list["object"], &list["links"]), (&json!("list"), &json!({ "next": null })));
    assert_eq!(list["total_count"], list["data"].as_array().unwrap().len());
    let query = "SELECT coalesce(provider, ''), upstream::text FROM model_access WHERE model_id = $1";
    for model in list["data"].as_array().unwrap() {
        let row = client.query_one(query, &[&model["id"].as_str().unwrap()]).unwrap();
        let mut expected: serde_json::Value = serde_json::from_str(row.get(1)).unwrap();
        expected["object"] = json!("model");
        expected["owned_by"] = json!(row.get::<_, String>(0));
        assert!(expected["created"].as_u64().unwrap() > 1_600_000_000);
        assert_eq!(model, &expected);
    }
    assert_eq!(service.get_as("bob", "/v1/models/").body, service.get_as("bob", "/v1/models").body);
    let nothing = r#"{"object":"list","data":[],"total_count":0,"links":{"next":null}}"#;
    assert_eq!(service.get_as("dan", "/v1/models").body, nothing);

    for unknown in ["mallory", "BOB", "bob ", "' OR true --"] {
        let reply = service.get_as(unknown, "/api/models");
        reply.assert_code(403, "user_unknown", unknown);
    }
    // unknown users are not cached: a user who signs up has access at once
    client.batch_execute("INSERT INTO profiles VALUES ('mallory', 'free')").unwrap();
    assert_eq!(service.ids("mallory"), service.ids("ada"));
}

#[test]
fn filters_choose_and_never_add() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    let mut client = cluster.connect();
    for (query, condition) in [
        ("provider=google", "provider = 'google'"),
        ("provider=google,nvidia", "provider IN ('google', 'nvidia')"),
        ("provider=deepseek", "false"),
        ("q=GEMINI", "model_id || name ILIKE '%gemini%'"),
        ("input_modalities=image", "input_modalities @> '{image}'"),
        ("input_modalities=image,audio", "input_modalities @> '{image,audio}'"),
        ("output_modalities=text", "output_modalities @> '{text}'"),
        ("output_modalities=all", "true"),
        ("supported_parameters=tools,temperature", "supported_parameters @> '{tools,temperature}'"),
        ("context=200000", "context_length >= 200000"),
        ("max_price=0.3", "prompt_usd_per_million <= 0.3"),
        ("max_output_price=0", "completion_usd_per_million <= 0"),
        (
            "provider=google&max_price=1&q=flash",
            "provider = 'google' AND prompt_usd_per_million <= 1 AND model_id || name ILIKE '%flash%'",
        ),
    ] {
        let sql = format!(
            "SELECT model_id FROM models_for_user('bob') WHERE {condition} ORDER BY model_id COLLATE \"C\""
        );
        let expected: Vec<String> = client.query(&sql, &[]).unwrap().iter().map(|row| row.get(0)).collect();
        assert_eq!(expected.is_empty(), condition == "false", "{query} selects something");
        for path in ["/api/models", "/v1/models"] {
            assert_eq!(service.get_as("bob", &format!("{path}?{query}")).ids(), expected, "{path}?{query}");
        }
    }
    for (query, code) in [
        ("tier=pro", "parameter_unknown"),
        ("q=", "parameter_invalid"),
        ("context=many", "parameter_invalid"),
        ("max_price=-1", "parameter_invalid"),
        ("q=a&q=b", "parameter_repeated"),
        ("limit=10", "parameter_unknown"),
    ] {
        let reply = service.get_as("bob", &format!("/api/models?{query}"));
        reply.assert_code(400, code, query);
        assert_eq!(reply.json()["error"]["param"], query.split('=').next().unwrap(), "{query}");
        // clients of OpenAI and OpenRouter send more parameters
        let status = if code == "parameter_unknown" { 200 } else { 400 };
        assert_eq!(service.get_as("bob", &format!("/v1/models?{query}")).status, status, "{query}");
    }
    let all = service.ids("bob");
    for ignored in [
        "client_version=0.155.0",
        "category=programming&sort=newest",
        "api-version=1",
        "_=176",
        "limit=1000",
        "limit=0",
    ] {
        assert_eq!(service.get_as("bob", &format!("/v1/models?{ignored}")).ids(), all, "{ignored}");
    }
    // page by page, as clients of OpenRouter read
    let (mut read, mut next) = (Vec::new(), Some("/v1/models?provider=google&limit=5".to_owned()));
    while let Some(path) = next {
        let page = service.get_as("bob", &path);
        assert!(page.ids().len() <= 5);
        read.extend(page.ids());
        next = page.json()["links"]["next"].as_str().map(str::to_owned);
    }
    assert!(read.len() > 5);
    assert_eq!(read, service.get_as("bob", "/v1/models?provider=google").ids());
}

#[test]
fn one_model_is_shown_or_refused_with_the_reason_or_not_found() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    let mut client = cluster.connect();
    let free: String =
        client.query_one("SELECT min(model_id) FROM models_for_tier('free')", &[]).unwrap().get(0);
    // from SQL, and again from the cached list
    for _ in ["one statement", "the cache"] {
        for path in [free.clone(), free.replace('/', "%2F").replace(':', "%3A"), free.replace('/', "%2f")] {
            let reply = service.get_as("ada", &format!("/v1/models/{path}"));
            assert_eq!((reply.status, &reply.json()["id"]), (200, &json!(free)), "{path}");
            assert!(reply.header("etag").is_some());
        }
        let reply = service.get_as("ada", &format!("/v1/models/{DENIED}"));
        reply.assert_code(403, "model_not_allowed", DENIED);
        assert_eq!(reply.json()["detail"], "The model is not allowed: not in tier free.");
        assert_eq!(service.get_as("bob", &format!("/v1/models/{DENIED}")).status, 200);
        for id in [
            "deepseek/deepseek-chat",
            "no/such",
            &format!("{DENIED}:nitro"),
            &format!("{DENIED}/endpoints"),
            "x",
            "a%00b",
            "google%2F",
        ] {
            service.get_as("bob", &format!("/v1/models/{id}")).assert_code(404, "model_not_found", id);
        }
        service.get_as("mallory", &format!("/v1/models/{DENIED}")).assert_code(
            403,
            "user_unknown",
            "an unknown user",
        );
        service.get_as("ada", "/v1/models/%FF").assert_code(400, "model_id_invalid", "not UTF-8");
        assert!(!service.ids("ada").is_empty());
    }
    let denied = format!(
        "INSERT INTO model_access_override (user_id, model_id, allowed) VALUES ('bob', '{DENIED}', false)"
    );
    client.batch_execute(&denied).unwrap();
    let reply = service.get_as("bob", &format!("/v1/models/{DENIED}"));
    assert_eq!(reply.json()["detail"], "The model is not allowed: denied to this user.");
}

#[test]
fn conditional_requests_and_head() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    let send = |method: &str, path: &str, extra: &str| {
        service
            .send(&format!("{method} {path} HTTP/1.1\r\nAuthorization: Bearer {}\r\n{extra}", token("bob")))
    };
    for path in ["/api/models", "/v1/models", "/api/models?provider=google", &format!("/v1/models/{DENIED}")]
    {
        let whole = send("GET", path, "");
        assert_eq!(whole.status, 200, "{path}");
        let tag = whole.header("etag").unwrap();
        assert!(tag.len() == 66 && tag.starts_with('"'), "strong: {tag}");
        let length = whole.body.len().to_string();
        let head = send("HEAD", path, "");
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        for reply in [&whole, &head] {
            assert_eq!(reply.header("content-type"), Some("application/json"));
            assert_eq!(reply.header("content-length"), Some(length.as_str()));
        }
        for (value, status) in [
            (tag, 304),
            (&format!("W/{tag}"), 304),
            (&format!("\"x\", {tag}"), 304),
            ("*", 304),
            ("\"x\"", 200),
            ("W/\"x\"", 200),
        ] {
            for method in ["GET", "HEAD"] {
                let reply = send(method, path, &format!("If-None-Match: {value}\r\n"));
                assert_eq!(reply.status, status, "{method} {path} {value}");
                assert_eq!(reply.body.is_empty(), status == 304 || method == "HEAD");
                for name in ["etag", "vary", "cache-control"] {
                    assert_eq!(reply.header(name), whole.header(name), "{name}");
                }
            }
        }
        assert_eq!(whole.header("vary"), Some("Authorization, Accept-Encoding"));
        assert_eq!(whole.header("cache-control"), Some("private, no-cache"));
    }
    // the same list has the same tag, another list another
    let tag = |user: &str| service.get_as(user, "/api/models").header("etag").unwrap().to_owned();
    assert_eq!(tag("bob"), tag("cleo"));
    assert_ne!(tag("bob"), tag("ada"));
    let other = format!("If-None-Match: {}\r\n", tag("ada"));
    assert_eq!(send("GET", "/api/models", &other).status, 200, "another user's tag");
}

#[test]
fn an_answer_is_compressed_for_those_who_accept_it() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    service.wait_until_listening();
    for path in ["/api/models", "/v1/models", "/v1/models?q=gemini", "/openapi.json"] {
        let plain = service.get_as("bob", path);
        assert_eq!(plain.header("content-encoding"), None);
        let tag = plain.header("etag").unwrap().trim_end_matches('"').to_owned() + "-gzip\"";
        // made for the first, kept for the second
        for _ in 0..2 {
            let (head, body) = compressed(&service, path, "");
            assert!(
                head.contains("content-encoding: gzip") && head.contains(&format!("etag: {tag}")),
                "{head}"
            );
            assert!(
                head.contains(&format!("content-length: {}", body.len()))
                    && body.len() * 3 < plain.body.len()
            );
            let mut text = String::new();
            GzDecoder::new(&*body).read_to_string(&mut text).unwrap();
            assert_eq!(text, plain.body);
        }
        // the tag of either form, and what proxies make of it
        let digits = tag.trim_matches('"').trim_end_matches("-gzip");
        for known in
            [format!("\"{digits}\""), tag.clone(), format!("W/\"{digits}\""), format!("W/\"{digits}-br\"")]
        {
            let (head, body) = compressed(&service, path, &format!("If-None-Match: {known}\r\n"));
            assert!(head.starts_with("http/1.1 304") && body.is_empty(), "{known}: {head}");
        }
    }
    assert_eq!(service.metric("queries_total{outcome=\"ok\",statement=\"entries\""), 1, "the list is cached");
}

/// The head in lower case, and the body, of the answer to a client that accepts gzip.
fn compressed(service: &Service, path: &str, extra: &str) -> (String, Vec<u8>) {
    let mut stream = service.connect().unwrap();
    let token = token("bob");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nAccept-Encoding: gzip, deflate, br\r\n\
         Authorization: Bearer {token}\r\n{extra}\r\n"
    )
    .unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    (String::from_utf8_lossy(&bytes[..end]).to_lowercase(), bytes[end + 4..].to_vec())
}

#[test]
fn pages_of_listed_origins_may_read_answers() {
    let cluster = database(&[]);
    let service = Service::start(
        &cluster,
        &["--cors-origin", "https://a.example", "--cors-origin", "tauri://localhost"],
    );
    let preflight = |origin: &str| {
        service.send(&format!(
            "OPTIONS /v1/models HTTP/1.1\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: GET\r\n\
             Access-Control-Request-Headers: authorization,x-stainless-os\r\n"
        ))
    };
    for origin in ["https://a.example", "tauri://localhost"] {
        let reply = preflight(origin);
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("access-control-allow-origin"), Some(origin));
        assert_eq!(reply.header("access-control-allow-methods"), Some("GET,HEAD"));
        assert_eq!(reply.header("access-control-allow-headers"), Some("authorization,x-stainless-os"));
        for (head, status) in
            [(format!("Authorization: Bearer {}\r\n", token("bob")), 200), (String::new(), 401)]
        {
            let reply = service.send(&format!("GET /v1/models HTTP/1.1\r\nOrigin: {origin}\r\n{head}"));
            assert_eq!(reply.status, status);
            assert_eq!(reply.header("access-control-allow-origin"), Some(origin), "errors too");
            let exposed = reply.header("access-control-expose-headers").unwrap();
            assert!(exposed.contains("etag") && exposed.contains("retry-after"), "{exposed}");
            let vary = reply.headers.iter().filter(|(name, _)| name == "vary");
            assert!(vary.clone().any(|(_, value)| value.contains("origin")), "{:?}", reply.headers);
        }
    }
    for other in ["https://b.example", "https://a.example.evil", "null"] {
        assert_eq!(preflight(other).header("access-control-allow-origin"), None, "{other}");
    }
    assert_eq!(service.send("POST /v1/models HTTP/1.1\r\nOrigin: https://a.example\r\n").status, 405);

    let any = Service::start(&cluster, &["--cors-origin", "*"]);
    let reply = any.send("GET /v1/models HTTP/1.1\r\nOrigin: https://b.example\r\n");
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));

    let mut refused = Service::command(&["--cors-origin", "https://a.example/"]);
    let refused = refused.env("MODEL_ACCESS_API_HS256_SECRET", SECRET).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("--cors-origin https://a.example/: browsers send"),
        "{said}"
    );
}

#[test]
fn unknown_paths_methods_and_the_paths_for_operators() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    for path in
        ["/", "/api", "/api/models/", "/v1/model/x", "/api/v1/models", "/api/models/x", "//api/models"]
    {
        service.get_as("bob", path).assert_code(404, "path_not_found", path);
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let head = format!("{method} /api/models HTTP/1.1\r\nAuthorization: Bearer {}\r\n", token("bob"));
        let reply = service.send(&head);
        reply.assert_code(405, "method_not_allowed", method);
        assert_eq!(reply.header("allow"), Some("GET,HEAD"));
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(service.send(&format!("GET {path} HTTP/1.1\r\n")).body, "ok\n");
    }
    // the id of a request is kept if it is safe to log, and replaced otherwise
    let id = |given: &str| {
        let reply = service.send(&format!("GET /healthz HTTP/1.1\r\nX-Request-Id: {given}\r\n"));
        reply.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(id("proxy-1.2_3"), "proxy-1.2_3");
    for unsafe_id in ["", "a b", "a\"b", &"x".repeat(65)] {
        assert!(id(unsafe_id).len() == 16, "{unsafe_id}");
    }
    let log = service.log();
    let line = log.lines().find(|line| line.contains("proxy-1.2_3")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(
        (&line["method"], &line["route"], &line["status"]),
        (&json!("GET"), &json!("/healthz"), &json!(200))
    );
    assert!(line["milliseconds"].is_number() && line["timestamp"].is_string());
    for bad in ["GET /api/models HTTP/9\r\n", "rubbish\r\n"] {
        assert_eq!(service.send(bad).status, 400, "{bad}");
    }
    assert_eq!(service.send("GET /healthz HTTP/1.1\r\n").status, 200);
}
