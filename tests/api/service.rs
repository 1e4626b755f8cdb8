//! A running service, a database with users of three tiers, and functions to send requests and sign tokens.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use postgres::Client;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tests::{Cluster, repository, sync};

/// Longest wait for a condition.
pub const BOUND: Duration = Duration::from_secs(60);
pub const SECRET: &str = "an HS256 secret of more than 32 bytes";
/// A password that must never be in a log.
pub const PASSWORD: &str = "a-password-that-no-log-may-show";
pub const AUDIENCE: &str = "app";
pub const ISSUER: &str = "https://id.example";

/// Key pairs for all tests, made once because RSA takes a moment.
pub static RSA: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap());
pub static OTHER_RSA: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap());
pub static ED: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate_for(&PKCS_ED25519).unwrap());
pub static EC: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap());

/// A running service. It ends with the test.
pub struct Service {
    pub child: Child,
    address: SocketAddr,
    /// Where --admin-listen listens.
    admin: Option<SocketAddr>,
    folder: PathBuf,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// A cluster whose database has four users, and active models in two tiers.
pub fn database(settings: &[&str]) -> Cluster {
    let cluster = Cluster::start_with(settings);
    let mut client = cluster.connect();
    assert_eq!(sync(&mut client).unwrap().outcome, "applied");
    client
        .batch_execute(
            "CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text);
             INSERT INTO profiles VALUES ('ada', 'free'), ('bob', 'pro'), ('cleo', 'enterprise'), ('dan', NULL);
             SELECT model_access_bind_profiles('profiles');
             CREATE ROLE api LOGIN;
             SELECT model_access_grant('api', 'reader');
             UPDATE model_access SET status = 'active', is_free = true WHERE model_id LIKE '%:free';
             UPDATE model_access SET status = 'active', is_pro = true WHERE provider = 'google' AND NOT is_free;
             UPDATE model_access SET status = 'disabled' WHERE provider = 'deepseek'",
        )
        .unwrap();
    cluster
}

/// Waits until a condition holds.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < BOUND, "still waiting for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A directory for the files of one service.
pub fn scratch() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("model_access.api.{}.{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The program, as `make build` builds it.
pub fn program() -> Command {
    Command::new(repository().join("target/debug/model-access-api"))
}

impl Service {
    /// Starts the service with the shared secret and these arguments.
    pub fn start(cluster: &Cluster, arguments: &[&str]) -> Self {
        Self::start_with_secret(cluster, Some(SECRET), arguments)
    }

    pub fn start_with_secret(cluster: &Cluster, secret: Option<&str>, arguments: &[&str]) -> Self {
        let mut command = Self::command(arguments);
        command.env("PGHOST", cluster.socket());
        if let Some(secret) = secret {
            command.env("MODEL_ACCESS_API_HS256_SECRET", secret);
        }
        Self::spawn(command)
    }

    /// The program with the arguments that all tests share.
    pub fn command(arguments: &[&str]) -> Command {
        let mut command = program();
        command.args(["--listen", "127.0.0.1:0", "--audience", AUDIENCE, "--issuer", ISSUER]).args(arguments);
        command.env("PGUSER", "api").env("PGDATABASE", "postgres").env("PGPASSWORD", PASSWORD);
        command
    }

    pub fn spawn(mut command: Command) -> Self {
        let folder = scratch();
        let (url, log) = (folder.join("url"), folder.join("log"));
        command
            .arg("--url-file")
            .arg(&url)
            .stderr(std::fs::File::create(&log).unwrap())
            .stdout(Stdio::null());
        let child = command.spawn().expect("make build builds it");
        let mut service = Self { child, address: ([127, 0, 0, 1], 0).into(), admin: None, folder };
        wait_for("a service that listens", || {
            let text = std::fs::read_to_string(&url).unwrap_or_default();
            let mut addresses = text.lines().map(|url| {
                let address = url.strip_prefix("http://").and_then(|text| text.strip_suffix('/'));
                address.unwrap().parse().unwrap()
            });
            let Some(address) = addresses.next() else {
                assert!(service.child.try_wait().unwrap().is_none(), "{}", service.log());
                return false;
            };
            (service.address, service.admin) = (address, addresses.next());
            true
        });
        service
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn connect(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect(self.address)
    }

    /// The reply to an operator.
    pub fn probe(&self, path: &str) -> Reply {
        let stream = TcpStream::connect(self.admin.unwrap_or(self.address)).unwrap();
        Self::exchange_on(stream, format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())
    }

    /// Sends a head, with Host and Connection: close added.
    pub fn send(&self, head: &str) -> Reply {
        self.send_bytes(head.as_bytes())
    }

    pub fn send_bytes(&self, head: &[u8]) -> Reply {
        self.exchange(&[head, b"Host: test\r\nConnection: close\r\n\r\n"].concat())
    }

    /// The reply to `user`, on a connection that the client keeps open.
    pub fn get_and_stay(&self, user: &str, path: &str) -> Reply {
        let token = token(user);
        self.exchange(
            format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nHost: test\r\n\r\n").as_bytes(),
        )
    }

    /// Sends a request, and reads until the service closes the connection.
    pub fn exchange(&self, request: &[u8]) -> Reply {
        Self::exchange_on(self.connect().unwrap(), request)
    }

    fn exchange_on(mut stream: TcpStream, request: &[u8]) -> Reply {
        stream.set_read_timeout(Some(BOUND)).unwrap();
        stream.write_all(request).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Reply::read(&bytes)
    }

    pub fn get(&self, path: &str, token: &str) -> Reply {
        self.send(&format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n"))
    }

    /// The reply to `user`, with a valid token.
    pub fn get_as(&self, user: &str, path: &str) -> Reply {
        self.get(path, &token(user))
    }

    /// The ids of the models in the list of `user`.
    pub fn ids(&self, user: &str) -> Vec<String> {
        self.get_as(user, "/api/models").ids()
    }

    /// The value of a metric, summed over the labels that `name` leaves out.
    pub fn metric(&self, name: &str) -> u64 {
        let reply = self.probe("/metrics");
        let lines = reply.body.lines().filter(|line| line.starts_with(&format!("model_access_api_{name}")));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).sum()
    }

    /// Waits until the service listens for changes, and so caches lists.
    pub fn wait_until_listening(&self) {
        wait_for("listening", || self.metric("listening") == 1);
    }

    /// Makes a change, and waits until the service has received the notification.
    pub fn hear(&self, client: &mut Client, change: &str) {
        let before = self.metric("changes_total");
        client.batch_execute(change).unwrap();
        wait_for(change, || self.metric("changes_total") > before);
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap()
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

impl Reply {
    pub fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let pair =
            |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Self { status, headers: lines.filter_map(pair).collect(), body: body.to_owned() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn ids(&self) -> Vec<String> {
        assert_eq!(self.status, 200, "{self:?}");
        let json = self.json();
        let id =
            |model: &Value| model.get("model_id").or(model.get("id")).unwrap().as_str().unwrap().to_owned();
        json["data"].as_array().unwrap().iter().map(id).collect()
    }

    /// Asserts that it is a problem with this code.
    pub fn assert_code(&self, status: u16, code: &str, why: &str) {
        self.assert_problem(status, why);
        assert_eq!(self.json()["code"], code, "{why}: {self:?}");
    }

    /// Asserts that it is a problem with this status.
    pub fn assert_problem(&self, status: u16, why: &str) {
        assert_eq!(self.status, status, "{why}: {self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{why}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{why}");
        assert_eq!(self.json()["status"], status, "{why}");
        assert_eq!(self.json()["type"], "about:blank", "{why}");
        for member in ["title", "code", "detail"] {
            assert!(!self.json()[member].as_str().unwrap().is_empty(), "{why}: {member}");
        }
        // the same for clients of OpenAI
        let (problem, error) = (self.json(), &self.json()["error"]);
        assert_eq!((&error["message"], &error["code"]), (&problem["detail"], &problem["code"]), "{why}");
        let kind = if status < 500 { "invalid_request_error" } else { "server_error" };
        assert_eq!(error["type"], kind, "{why}");
        let challenge = self.header("www-authenticate").unwrap_or_default();
        assert_eq!(challenge.starts_with("Bearer realm="), status == 401, "{why}: {self:?}");
        assert_eq!(self.header("retry-after").is_some(), status == 503, "{why}: {self:?}");
    }
}

/// The time in so many seconds, as seconds since 1970.
pub fn in_seconds(seconds: i64) -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap() + seconds
}

/// Claims that are valid for the next hour.
pub fn claims(user: &str) -> Value {
    json!({ "sub": user, "exp": in_seconds(3600), "aud": AUDIENCE, "iss": ISSUER })
}

/// A valid token, signed with the shared secret.
pub fn token(user: &str) -> String {
    sign(&claims(user), Algorithm::HS256, None, &EncodingKey::from_secret(SECRET.as_bytes()))
}

pub fn sign(claims: &Value, algorithm: Algorithm, kid: Option<&str>, key: &EncodingKey) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    jsonwebtoken::encode(&header, claims, key).unwrap()
}

pub fn rsa_key(pair: &KeyPair) -> EncodingKey {
    EncodingKey::from_rsa_pem(pair.serialize_pem().as_bytes()).unwrap()
}

pub fn ec_key(pair: &KeyPair) -> EncodingKey {
    EncodingKey::from_ec_pem(pair.serialize_pem().as_bytes()).unwrap()
}

pub fn ed_key(pair: &KeyPair) -> EncodingKey {
    EncodingKey::from_ed_pem(pair.serialize_pem().as_bytes()).unwrap()
}

/// A public key as an entry of a JWKS.
pub fn jwk(key: &EncodingKey, algorithm: Algorithm, kid: &str) -> Value {
    let jwk = jsonwebtoken::jwk::Jwk::from_encoding_key(key, algorithm).unwrap();
    let mut jwk = serde_json::to_value(jwk).unwrap();
    jwk["kid"] = json!(kid);
    jwk["use"] = json!("sig");
    jwk
}

/// The Ed25519 key as an entry of a JWKS.
pub fn ed_jwk(kid: &str) -> Value {
    let x = BASE64_URL_SAFE_NO_PAD.encode(ED.public_key_raw());
    json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "alg": "EdDSA", "use": "sig" })
}

/// A JWKS with the RSA key `rsa` and the P-256 key `ec`.
pub fn jwks() -> Value {
    let keys = [jwk(&rsa_key(&RSA), Algorithm::RS256, "rsa"), jwk(&ec_key(&EC), Algorithm::ES256, "ec")];
    json!({ "keys": keys })
}
