//! The blocks of docs/api.md and docs/admin.md run as printed. Only the port differs, and where the database and the keys
//! are.

use crate::admin::Page;
use crate::service::{EC, RSA, Service, claims, database, ec_key, in_seconds, jwks, rsa_key, sign, wait_for};
use jsonwebtoken::Algorithm;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use tests::page::{Folder, blocks, every_block, shell, text};
use tests::{Cluster, sync};

/// One script of all blocks; SQL blocks run in psql.
fn script(page: &str) -> String {
    let mut script = String::from("trap 'kill $(jobs -p)' EXIT\n");
    for block in every_block(page) {
        let (head, tail) = match block.language.as_str() {
            "sh" => ("", ""),
            "sql" => ("psql -X -q -v ON_ERROR_STOP=1 -U postgres -d postgres <<'SQL'\n", "SQL\n"),
            _ => continue,
        };
        script += &format!("{head}{}{tail}", block.text);
    }
    script
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn the_blocks_run_as_printed() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    client
        .batch_execute(
            "UPDATE model_access SET status = 'active', is_free = true WHERE model_id LIKE '%:free';
             UPDATE model_access SET status = 'active', is_pro = true WHERE model_id = 'google/gemini-2.5-pro'",
        )
        .unwrap();
    let text = text("docs/api.md");
    let script = script("docs/api.md").replace("8080", &free_port().to_string());
    assert!(script.matches("curl").count() > 5 && script.matches("psql").count() > 0);
    let folder = Folder::new();
    let output = shell(&script, folder.path()).env("PGHOST", cluster.socket()).output().unwrap();
    let (printed, logged) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}\n{logged}");
    // the list, the filtered list, the other form, the status of the conditional request, the metrics
    for words in [
        "{\"data\":[{\"model_id\":",
        "{\"data\":[{\"model_id\":\"google/gemini-2.5-pro\"",
        "{\"object\":\"list\",\"data\":[{\"id\": ",
        "304\n",
        "model_access_api_listening",
    ] {
        assert!(printed.contains(words), "{words} is not in {printed}");
    }
    // the document names every metric, and no other
    let named = |text: &str| -> std::collections::BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let ours = words.filter(|word| word.starts_with("model_access_api_"));
        let base = |word: &str| {
            ["_bucket", "_sum", "_count"].iter().fold(word.to_owned(), |word, end| word.replace(end, ""))
        };
        ours.map(base).collect()
    };
    let shown = named(&printed);
    for metric in named(&text) {
        // a counter with labels has no line before its first event
        let has_happened = !["tokens_refused", "jwks_loads"].iter().any(|name| metric.contains(name));
        assert_eq!(shown.contains(&metric), has_happened, "{metric}");
    }
    assert!(shown.is_subset(&named(&text)), "{shown:?}");
}

/// The value of an option in a command.
fn option<'a>(command: &'a str, name: &str) -> &'a str {
    let value = command.split_whitespace().skip_while(|word| *word != name).nth(1);
    value.unwrap_or_else(|| panic!("{command} has no {name}"))
}

/// A command whose program is the process, so that a signal reaches it. It listens on a free port, takes further arguments,
/// and finds the keys of [`jwks`] in a file.
fn serving(command: &str, folder: &Folder, cluster: &Cluster) -> Command {
    std::fs::write(folder.path().join("jwks.json"), jwks().to_string()).unwrap();
    let mut command =
        command.trim_end().replacen("/var/run/postgresql", cluster.socket().to_str().unwrap(), 1);
    if command.contains("--jwks ") {
        let (url, issuer) = (option(&command, "--jwks"), option(&command, "--issuer"));
        assert!(url.starts_with(issuer) && url.starts_with("https://"), "keys of another issuer: {command}");
        command = command.replacen(&format!("--jwks {url}"), "--jwks jwks.json", 1);
    }
    let mut shell = shell(&format!("exec env {command} --listen 127.0.0.1:0 \"$@\""), folder.path());
    shell.env("PGHOST", cluster.socket());
    shell
}

#[test]
fn the_options_for_issuers_accept_their_tokens() {
    let cluster = database(&[]);
    let folder = Folder::new();
    // clients.rs runs the clients; PostgREST is not here
    let [_clients, supabase, keycloak, _postgrest] = blocks("docs/api.md", "text");
    let page = text("docs/api.md");
    let auth0 = page.split_once("\nAuth0: `").unwrap().1.split_once('`').unwrap().0;
    let auth0 = format!("model-access-api {auth0}");
    for command in [&supabase, &keycloak, &auth0] {
        let mut serving = serving(command, &folder, &cluster);
        serving.env("PGUSER", "api").env("PGDATABASE", "postgres");
        let service = Service::spawn(serving);
        let ask = |changes: Value| {
            let mut claims = claims("bob");
            claims["iss"] = json!(option(command, "--issuer"));
            claims["aud"] = json!(option(command, "--audience"));
            claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            service.get("/api/models", &sign(&claims, Algorithm::ES256, Some("ec"), &ec_key(&EC)))
        };
        assert!(ask(json!({ "typ": "Bearer", "azp": "shop" })).ids().len() > 1, "{command}");
        ask(json!({ "aud": "account" })).assert_code(401, "token_audience_invalid", command);
        ask(json!({ "iss": "https://id.example" })).assert_code(401, "token_issuer_invalid", command);
        ask(json!({ "typ": "ID" })).assert_code(401, "token_type_invalid", command);
        // the error that the page shows
        let [error] = blocks("docs/api.md", "json");
        let error: Value = serde_json::from_str(&error).unwrap();
        assert_eq!(ask(json!({ "exp": in_seconds(-60) })).json(), error);
    }
}

/// Ends with the test.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn nginx_passes_on_what_clients_need() {
    let nginx = "/usr/sbin/nginx";
    if Command::new(nginx).arg("-v").output().is_err() {
        println!("not checked: nginx is not installed");
        return;
    }
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    let folder = Folder::new();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    file("certificate.pem", &certificate.pem());
    file("key.pem", &key.serialize_pem());
    let port = free_port();
    let [printed] = blocks("docs/api.md", "nginx");
    let printed = printed.replacen("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl"), 1).replacen(
        "server 127.0.0.1:8080;",
        &format!("server {};", &service.url("")[7..]),
        1,
    );
    let temporary =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {kind};"));
    file(
        "nginx.conf",
        &format!(
            "daemon off; master_process off; pid nginx.pid; error_log errors; events {{}}
             http {{ access_log off; {} ssl_certificate certificate.pem; ssl_certificate_key key.pem; {printed} }}",
            temporary.concat()
        ),
    );
    let mut command = Command::new(nginx);
    command.arg("-c").arg(folder.path().join("nginx.conf")).arg("-p").arg(folder.path());
    let mut proxy = Proxy(command.spawn().unwrap());
    wait_for("nginx", || {
        assert!(proxy.0.try_wait().unwrap().is_none(), "nginx ended");
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    let status = |path: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-sk", "--path-as-is", "-o", "/dev/null", "-w", "%{http_code}"]);
        curl.args(["-H", &format!("Authorization: Bearer {}", crate::service::token("bob"))]);
        let output = curl.arg(format!("https://127.0.0.1:{port}{path}")).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for path in [
        "/api/models",
        "/v1/models",
        "/v1/models/google%2Fgemini-2.5-pro",
        "/v1/models/google/gemini-2.5-pro",
    ] {
        assert_eq!(status(path), "200", "{path}");
    }
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(status(path), "404", "{path}");
    }
}

#[test]
fn the_admins_page_starts_as_printed() {
    let cluster = Cluster::start();
    cluster.connect().batch_execute("CREATE DATABASE app").unwrap();
    let mut client = cluster.connect_to("app");
    let [ann, roles, _history, _leaving] = blocks("docs/admin.md", "sql");
    client.batch_execute(&format!("CREATE EXTENSION model_access; {ann} {roles}")).unwrap();
    let folder = Folder::new();
    let [one, several, cloudflare] = blocks("docs/admin.md", "sh");
    let [offer, caddy] = blocks("docs/admin.md", "text");

    let mut page = Page::spawn(serving(&one, &folder, &cluster));
    let printed = page.text("out");
    let (url, code) = printed.trim_end().rsplit_once(' ').unwrap();
    let url = url.replacen(&page.url(), "http://127.0.0.1:8081/", 1);
    let hidden: String = code.chars().map(|c| if c == '-' { c } else { 'X' }).collect();
    assert_eq!(format!("{url} {hidden}\n"), offer);
    page.log_in();
    assert!(page.get("/health").body.contains("last_success"));
    drop(page);

    // a proxy sends the token of a person in the header that the command names
    let person = |groups: &str, command: &str| {
        let mut claims =
            json!({ "sub": "1", "exp": in_seconds(600), "typ": "ID", "email": "vera@id.example.com" });
        claims["iss"] = json!(option(command, "--issuer"));
        claims["aud"] = json!(option(command, "--audience"));
        let groups = json!([groups]);
        if command == cloudflare {
            claims["custom"] = json!({ "groups": groups });
        } else {
            claims["groups"] = groups;
        }
        let token = sign(&claims, Algorithm::RS256, Some("rsa"), &rsa_key(&RSA));
        let header = option(command, "--admin-token-header");
        let scheme = if header == "Authorization" { "Bearer " } else { "" };
        format!("{header}: {scheme}{token}\r\n")
    };
    for command in [&several, &cloudflare] {
        let mut serving = serving(command, &folder, &cluster);
        if command == &cloudflare {
            serving.env("PGUSER", "model_page").env("PGDATABASE", "app");
        }
        let mut page = Page::spawn(serving);
        for (groups, status) in [("model-access-admin", 200), ("model-access-viewer", 200), ("staff", 403)] {
            page.identity = person(groups, command);
            let reply = page.get("/health");
            assert_eq!(reply.status, status, "{groups}: {command}");
            assert!(reply.body.contains("vera@id.example.com"), "{groups}: {command}");
        }
        page.identity.clear();
        assert_eq!(page.get("/health").status, 401, "{command}");
    }

    // what is in front of it agrees with the command, and with each other
    let [config] = blocks("docs/admin.md", "toml");
    let parse =
        "python3 -c 'import json, sys, tomllib; print(json.dumps(tomllib.loads(sys.argv[1])))' \"$@\"";
    let parsed = shell(parse, folder.path()).arg(&config).output().unwrap();
    assert!(parsed.status.success(), "{}", String::from_utf8_lossy(&parsed.stderr));
    let config: Value = serde_json::from_slice(&parsed.stdout).unwrap();
    let caddy: Vec<&str> = caddy.split_whitespace().collect();
    let [site, "{", "reverse_proxy", proxy, "}"] = caddy[..] else { panic!("{caddy:?}") };
    assert_eq!(config["http_address"], proxy);
    assert_eq!(config["redirect_url"], format!("https://{site}/oauth2/callback"));
    assert_eq!(config["upstreams"], json!([offer.split(' ').next()]));
    assert_eq!(config["oidc_issuer_url"], option(&several, "--issuer"));
    assert_eq!(config["client_id"], option(&several, "--audience"));
    assert_eq!(
        (&config["pass_authorization_header"], &config["reverse_proxy"]),
        (&json!(true), &json!(true))
    );
    assert!(config["scope"].as_str().unwrap().contains("groups"));
}
