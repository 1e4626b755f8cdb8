//! The clients of `examples/`, run with the commands of their README, by roles with the rights that it grants.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test ends there

use postgres::Client;
use serde_json::Value;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tests::{Cluster, page, repository, sync};

const FREE: &str = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
const PRO: &str = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12";
const UNKNOWN: &str = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13";
const FREE_MODEL: &str = "google/gemma-4-26b-a4b-it:free";
const PRO_MODEL: &str = "openai/gpt-5";
const BOUND: Duration = Duration::from_secs(60);

/// A server as the README of the examples assumes it, and the environment of its clients.
struct Stage {
    cluster: Cluster,
    client: Client,
}

impl Stage {
    fn set() -> Self {
        let cluster = Cluster::start();
        let mut client = cluster.connect();
        sync(&mut client).unwrap();
        client
            .batch_execute(&format!(
                "UPDATE model_access SET status = 'active', is_free = true WHERE model_id LIKE '%:free';
                 UPDATE model_access SET status = 'active', is_pro = true WHERE provider = 'openai';
                 CREATE TABLE profiles (id uuid PRIMARY KEY, subscription_tier text);
                 INSERT INTO profiles VALUES ('{FREE}', 'free'), ('{PRO}', 'pro');
                 CREATE ROLE authenticated;
                 CREATE ROLE authenticator LOGIN NOINHERIT IN ROLE authenticated"
            ))
            .unwrap();
        let [rights] = blocks("sql");
        client.batch_execute(&rights).unwrap();
        Self { cluster, client }
    }

    /// A shell command in the copy of the examples, with an environment for this user.
    fn command(&self, shell: &str, user: &str) -> Command {
        let mut command = Command::new("bash");
        command.args(["-c", shell]).current_dir(copy());
        command.env("PGHOST", self.cluster.socket()).env("PGUSER", "app").env("PGDATABASE", "postgres");
        command
            .env("JWT_SECRET", "a throw-away key of the tests, 32 bytes")
            .env("JWT_AUDIENCE", "authenticated");
        command.env("USER_ID", user).env("MODEL", PRO_MODEL).env("NEXT_TELEMETRY_DISABLED", "1");
        command
    }

    fn run(&self, shell: &str, user: &str) -> Output {
        self.command(shell, user).output().unwrap()
    }

    /// The answer in SQL: the ids that a user may use, one per line.
    fn ids(&mut self, user: &str) -> String {
        let sql = "SELECT coalesce(string_agg(model_id || E'\\n', '' ORDER BY model_id), '') FROM models_for_user($1)";
        self.client.query_one(sql, &[&user]).unwrap().get(0)
    }

    /// The answer in SQL, in the form in which the services send it.
    fn list(&mut self, user: &str) -> Value {
        let sql = "SELECT json_build_object('data', coalesce(json_agg(json_build_object(
                'model_id', model_id, 'name', name, 'pricing', pricing) ORDER BY model_id), '[]'))::text
            FROM models_for_user($1)";
        json(self.client.query_one(sql, &[&user]).unwrap().get(0))
    }

    fn ban(&mut self, model: &str) {
        let sql = "UPDATE model_access SET status = 'disabled' WHERE model_id = $1";
        assert_eq!(self.client.execute(sql, &[&model]).unwrap(), 1);
    }
}

/// The folder where `make test-clients` has installed and built the clients.
fn copy() -> PathBuf {
    let copy = repository().join("target/examples");
    assert!(copy.join(".built").exists(), "make test-clients comes first");
    copy
}

/// The blocks of this language in the README of the examples.
fn blocks<const N: usize>(language: &str) -> [String; N] {
    page::blocks("examples/README.md", language)
}

/// The line of a shell block that begins with this text.
fn printed(begin: &str) -> String {
    let blocks: [String; 5] = blocks("sh");
    blocks.iter().flat_map(|block| block.lines()).find(|line| line.starts_with(begin)).unwrap().to_owned()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A server program, with the processes that it starts.
struct Service {
    child: Child,
    log: PathBuf,
    port: u16,
}

impl Service {
    fn start(mut command: Command, name: &str) -> Self {
        let log = repository().join(format!("target/{name}.{}.log", std::process::id()));
        let output = File::create(&log).unwrap();
        command.stdout(output.try_clone().unwrap()).stderr(output).env("PORT", "0").process_group(0);
        let mut service = Self { child: command.spawn().unwrap(), log, port: 0 };
        let start = Instant::now();
        while service.port == 0 {
            let log = service.log();
            assert!(start.elapsed() < BOUND, "it does not listen: {log}");
            assert!(service.child.try_wait().unwrap().is_none(), "it ended: {log}");
            sleep(Duration::from_millis(20));
            let port = log.split("http://127.0.0.1:").nth(1).unwrap_or_default();
            // the port is complete only when another character follows it
            if let Some((digits, _)) = port.split_once(|c: char| !c.is_ascii_digit()) {
                service.port = digits.parse().unwrap();
            }
        }
        service
    }

    fn log(&self) -> String {
        text(&std::fs::read(&self.log).unwrap())
    }

    fn ask(&self, arguments: &[&str], path: &str) -> Answer {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        Answer::parse(
            &Command::new("curl")
                .args(["-si", "--max-time", "30"])
                .args(arguments)
                .arg(url)
                .output()
                .unwrap(),
        )
    }

    fn ask_with(&self, authorization: &str) -> Answer {
        self.ask(&["-H", &format!("Authorization: {authorization}")], "/api/models")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(Command::new("bash").args(["-c", "kill -- -$0", &self.child.id().to_string()]).status());
        drop(self.child.wait());
        drop(std::fs::remove_file(&self.log));
    }
}

/// An answer as `curl -i` prints it.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn parse(output: &Output) -> Self {
        let answer = text(&output.stdout).replace('\r', "");
        let (head, body) =
            answer.split_once("\n\n").unwrap_or_else(|| panic!("no answer: {}", text(&output.stderr)));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_lowercase(), body: body.to_owned() }
    }

    /// The values of a header.
    fn header(&self, name: &str) -> Vec<&str> {
        self.head.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).collect()
    }
}

/// Prints one line for each bad `Authorization`: why it is bad, and the header's value.
const BAD_AUTHORIZATIONS: &str = r#"
import base64, json, jwt, os, time
key, now = os.environ["JWT_SECRET"], int(time.time())
good = {"sub": os.environ["USER_ID"], "aud": os.environ["JWT_AUDIENCE"], "exp": now + 600}
def token(claims={}, key=key, algorithm="HS256", without=None):
    return jwt.encode({k: v for k, v in {**good, **claims}.items() if k != without}, key, algorithm)
head, payload, signature = token().split(".")
other = token({"sub": "somebody else"}).split(".")[1]
none = base64.urlsafe_b64encode(b'{"alg":"None","typ":"JWT"}').rstrip(b"=").decode()
for why, value in {
    "empty": "", "only the scheme": "Bearer", "another scheme": "Basic dXNlcjpwYXNz", "no scheme": token(),
    "no token": "Bearer x", "two tokens": f"Bearer {token()} {token()}",
    "no signature": f"Bearer {head}.{payload}.", "cut short": f"Bearer {token()[:-1]}", "two parts": f"Bearer {head}.{payload}",
    "another payload": f"Bearer {head}.{other}.{signature}",
    "alg none": f"Bearer {token(key=None, algorithm='none')}", "alg None": f"Bearer {none}.{payload}.",
    "signed None": f"Bearer {none}.{payload}.{signature}",
    "HS384": f"Bearer {token(algorithm='HS384')}", "HS512": f"Bearer {token(algorithm='HS512')}",
    "another key": f"Bearer {token(key='another key of the tests, 32 bytes long')}",
    "expired": f"Bearer {token({'exp': now - 1})}", "not yet": f"Bearer {token({'nbf': now + 600})}",
    "another audience": f"Bearer {token({'aud': 'another'})}", "no audience": f"Bearer {token(without='aud')}",
    "no expiry": f"Bearer {token(without='exp')}", "no user": f"Bearer {token(without='sub')}",
    # below PyJWT's check of what it is given to sign
    "user is no string": f"Bearer {jwt.api_jws.encode(json.dumps({**good, 'sub': 5}).encode(), key)}",
}.items():
    print(why, value, sep="\t")
"#;

/// Checks lists, refusals, a ban and an outage of a service at `/api/models`, asked with this line of the README.
fn serves(stage: &mut Stage, service: &Service, ask: &str) {
    let get = |stage: &Stage, user: &str| {
        Answer::parse(&stage.command(ask, user).env("PORT", service.port.to_string()).output().unwrap())
    };
    for user in [FREE, PRO, UNKNOWN] {
        let answer = get(stage, user);
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(json(&answer.body), stage.list(user), "{user}");
        assert_eq!(answer.header("cache-control"), ["private, no-cache"]);
        assert!(answer.header("vary").join(", ").contains("authorization"), "{}", answer.head);
    }

    let bad =
        stage.command(".venv/bin/python -c \"$BAD\"", FREE).env("BAD", BAD_AUTHORIZATIONS).output().unwrap();
    assert!(bad.status.success(), "{}", text(&bad.stderr));
    let bad = text(&bad.stdout);
    assert!(bad.lines().count() > 20);
    for (why, authorization) in bad.lines().map(|line| line.split_once('\t').unwrap()) {
        let answer = service.ask_with(authorization);
        assert_eq!(answer.status, 401, "{why}: {}", answer.body);
        assert!(answer.header("www-authenticate")[0].starts_with("bearer"), "{why}: {}", answer.head);
        assert!(!answer.body.contains("model_id"), "{why}");
    }

    stage.ban(FREE_MODEL);
    let answer = get(stage, FREE);
    assert!(!answer.body.contains(FREE_MODEL));
    assert_eq!(json(&answer.body), stage.list(FREE));

    stage.cluster.ctl(&["stop", "-m", "fast"]);
    for _ in 0..2 {
        let answer = get(stage, PRO);
        assert_eq!((answer.status, answer.header("retry-after").len()), (503, 1), "{}", answer.body);
        assert_eq!(service.ask_with("Bearer x").status, 401);
    }
    stage.cluster.ctl(&["start"]);
    stage.client = stage.cluster.connect();
    let start = Instant::now();
    let mut answer = get(stage, PRO);
    while answer.status == 503 && start.elapsed() < BOUND {
        answer = get(stage, PRO);
    }
    assert_eq!((answer.status, json(&answer.body)), (200, stage.list(PRO)), "{}", service.log());
    assert!(!service.log().contains("uncaught"), "{}", service.log());

    // a request that PostgreSQL refuses is a client error, not an outage
    stage.client.batch_execute("SELECT model_access_revoke('app')").unwrap();
    assert_eq!(get(stage, PRO).status, 500);
}

/// The block that makes a token and sends a request with it.
fn ask() -> String {
    let [.., ask]: [String; 5] = blocks("sh");
    assert!(ask.contains("\ncurl -i "), "{ask}");
    ask.replace("curl -i ", "curl -si ")
}

#[test]
fn the_tests_know_every_command_of_the_page() {
    let [install, scripts, fastapi, nextjs, _ask] = blocks("sh");
    // by these tests, and those of Next.js and the packages by scripts/examples
    for (block, commands) in [
        (install, &["python3 -m venv ", ".venv/bin/pip install -r ", "npm ci"][..]),
        (scripts, &[".venv/bin/python psycopg/", "node node-postgres/", "node supabase-js/models.js"]),
        (fastapi, &[".venv/bin/uvicorn "]),
        (nextjs, &["npx next build nextjs", "npx next start "]),
    ] {
        let is_known = |line: &str| commands.iter().any(|command| line.starts_with(command));
        assert!(block.lines().all(is_known), "{block}");
    }
}

#[test]
#[ignore = "needs packages of npm and PyPI; make test-all installs them"]
fn fastapi_lists_refuses_and_checks_before_use() {
    let mut stage = Stage::set();
    let service =
        Service::start(stage.command(&format!("exec {}", printed(".venv/bin/uvicorn ")), ""), "fastapi");
    let token = ask().split("curl ").next().unwrap().to_owned() + "token";
    let chat = |stage: &Stage, user: &str, body: &str| {
        let authorization = format!("Authorization: Bearer {}", text(&stage.run(&token, user).stdout).trim());
        let json = "Content-Type: application/json";
        service.ask(&["-H", &authorization, "-H", json, "--data", body], "/api/chat").status
    };
    let using = |model: &str| serde_json::json!({ "model": model }).to_string();
    for (user, model, status) in [
        (PRO, PRO_MODEL, 200),
        (FREE, PRO_MODEL, 403),
        (FREE, FREE_MODEL, 200),
        (UNKNOWN, FREE_MODEL, 403),
        (PRO, "openai/gpt-5:online", 403),
        (PRO, "' OR true --", 403),
    ] {
        assert_eq!(chat(&stage, user, &using(model)), status, "{user} {model}");
    }
    assert_eq!(chat(&stage, PRO, "{}"), 422);
    assert_eq!(service.ask(&["--data", &using(PRO_MODEL)], "/api/chat").status, 401);
    serves(&mut stage, &service, &ask());
    stage.ban(PRO_MODEL);
    assert_eq!(chat(&stage, PRO, &using(PRO_MODEL)), 500, "the rights are gone");
}

#[test]
#[ignore = "needs packages of npm and PyPI; make test-all installs them"]
fn nextjs_lists_and_refuses() {
    let mut stage = Stage::set();
    let service =
        Service::start(stage.command(&format!("exec {}", printed("npx next start ")), ""), "nextjs");
    serves(&mut stage, &service, &ask());
}

#[test]
#[ignore = "needs packages of npm and PyPI; make test-all installs them"]
fn scripts_list_and_check() {
    let mut stage = Stage::set();
    for program in
        [".venv/bin/python psycopg/models.py \"$USER_ID\"", "node node-postgres/models.js \"$USER_ID\""]
    {
        let list = printed(program);
        let check = printed(&format!("{program} "));
        for user in [FREE, PRO, UNKNOWN] {
            let output = stage.run(&list, user);
            assert!(output.status.success(), "{}", text(&output.stderr));
            assert_eq!(text(&output.stdout), stage.ids(user), "{list} of {user}");
        }
        for (user, model, code, words) in [
            (PRO, PRO_MODEL, 0, "may use"),
            (FREE, PRO_MODEL, 1, "may not use"),
            (UNKNOWN, FREE_MODEL, 1, "may not use"),
            (PRO, "' OR true --", 1, "may not use"),
            ("' OR true --", PRO_MODEL, 1, "may not use"),
        ] {
            let output = stage.command(&check, user).env("MODEL", model).output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{check}: {}", text(&output.stderr));
            assert_eq!(text(&output.stdout), format!("{user} {words} {model}\n"));
        }
    }

    stage.ban(FREE_MODEL);
    for list in [printed(".venv/bin/python psycopg/"), printed("node node-postgres/")] {
        let listed = text(&stage.run(&list, PRO).stdout);
        assert!(listed.contains(PRO_MODEL) && !listed.contains(FREE_MODEL), "{listed}");
        let without_rights = stage.command(&list, PRO).env("PGUSER", "authenticator").output().unwrap();
        assert!(!without_rights.status.success() && without_rights.stdout.is_empty());
    }
    stage.cluster.ctl(&["stop", "-m", "fast"]);
    for list in [printed(".venv/bin/python psycopg/"), printed("node node-postgres/")] {
        let down = stage.run(&list, PRO);
        assert!(!down.status.success() && down.stdout.is_empty() && !down.stderr.is_empty());
    }
    stage.cluster.ctl(&["start"]);
}

#[test]
#[ignore = "needs packages of npm and PyPI; make test-all installs them"]
fn supabase_js_lists_for_the_user_of_the_token() {
    let mut stage = Stage::set();
    let mut gateway = stage.command("exec .venv/bin/python \"$GATEWAY\"", "");
    gateway.env("GATEWAY", repository().join("tests/postgrest.py")).env("PGUSER", "authenticator");
    let gateway = Service::start(gateway, "postgrest");
    let make = r#".venv/bin/python -c 'import jwt, os, sys, time
print(jwt.encode({"sub": os.environ["USER_ID"], "role": sys.argv[1], "aud": "authenticated", "exp": time.time() + 600}, os.environ["JWT_SECRET"]))' "#;
    let run = |stage: &Stage, token: &str| {
        let mut command = stage.command(&printed("node supabase-js/models.js"), "");
        command.env("SUPABASE_URL", format!("http://127.0.0.1:{}", gateway.port));
        command.env("SUPABASE_PUBLISHABLE_KEY", "a public key").env("ACCESS_TOKEN", token);
        command.output().unwrap()
    };
    let token = |stage: &Stage, user: &str, role: &str| {
        text(&stage.run(&(make.to_owned() + role), user).stdout).trim().to_owned()
    };
    for user in [FREE, PRO, UNKNOWN] {
        let output = run(&stage, &token(&stage, user, "authenticated"));
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), stage.ids(user), "{user}");
    }
    stage.ban(FREE_MODEL);
    let pro = token(&stage, PRO, "authenticated");
    assert!(!text(&run(&stage, &pro).stdout).contains(FREE_MODEL));

    let refused = |output: &Output| !output.status.success() && output.stdout.is_empty();
    assert!(refused(&run(&stage, "x")));
    assert!(refused(&run(&stage, &format!("{pro}x"))));
    assert!(refused(&run(&stage, &token(&stage, PRO, "authenticator"))), "a role without the rights");
    stage.cluster.ctl(&["stop", "-m", "fast"]);
    assert!(refused(&run(&stage, &pro)));
    stage.cluster.ctl(&["start"]);
}
