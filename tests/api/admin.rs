//! The admin's page over HTTP: who is let in, what a decision does, and what happens when something is in its way.

use crate::service::{
    AUDIENCE, BOUND, ISSUER, Reply, SECRET, claims, database, program, scratch, sign, wait_for,
};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use tests::Cluster;

/// A served page, and what a browser would send with each request. It ends with the test.
pub struct Page {
    child: Child,
    address: SocketAddr,
    /// Where the program writes: `out`, `log`.
    pub folder: PathBuf,
    /// Headers that identify the person.
    pub identity: String,
}

impl Page {
    fn command(cluster: &Cluster, login: &str, arguments: &[&str]) -> Command {
        let mut command = program();
        let listen: &[&str] =
            if arguments.contains(&"--listen") { &[] } else { &["--listen", "127.0.0.1:0"] };
        command.arg("admin").args(listen).args(arguments);
        command.env("PGHOST", cluster.socket()).env("PGUSER", login).env("PGDATABASE", "postgres");
        command.env("MODEL_ACCESS_API_HS256_SECRET", SECRET);
        command
    }

    pub fn start(cluster: &Cluster, login: &str, arguments: &[&str]) -> Self {
        Self::spawn(Self::command(cluster, login, arguments))
    }

    /// Starts this command, which listens on a free port.
    pub fn spawn(mut command: Command) -> Self {
        let folder = scratch();
        let (url, file) =
            (folder.join("url"), |name: &str| std::fs::File::create(folder.join(name)).unwrap());
        command.arg("--url-file").arg(&url).stdout(file("out")).stderr(file("log"));
        let child = command.spawn().expect("make build builds it");
        let mut page = Self { child, address: ([127, 0, 0, 1], 0).into(), folder, identity: String::new() };
        wait_for("a page that is served", || {
            let text = std::fs::read_to_string(&url).unwrap_or_default();
            let address = text.strip_prefix("http://").and_then(|text| text.strip_suffix('/'));
            page.address = address.and_then(|text| text.parse().ok()).unwrap_or(page.address);
            assert!(page.child.try_wait().unwrap().is_none(), "{}", page.text("log"));
            page.address.port() > 0
        });
        page
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.join(file)).unwrap()
    }

    /// The code that the program printed last.
    fn code(&self) -> String {
        self.text("out").trim().rsplit(' ').next().unwrap().to_owned()
    }

    pub fn log_in(&mut self) {
        let reply = self.send("POST", "/login", "", &format!("code={}", self.code()));
        let cookie = reply.header("set-cookie").unwrap_or_else(|| panic!("{reply:?}"));
        self.identity = format!("Cookie: other=x; {}\r\n", cookie.split(';').next().unwrap());
    }

    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        let host =
            if headers.contains("Host:") { String::new() } else { format!("Host: {}\r\n", self.address) };
        let (identity, length) = (&self.identity, body.len());
        let head = format!("{method} {path} HTTP/1.1\r\n{host}{identity}{headers}Connection: close\r\n");
        stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Reply::read(&bytes)
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "", "")
    }

    /// A page that must be there.
    fn page(&self, path: &str) -> String {
        let reply = self.get(path);
        assert_eq!(reply.status, 200, "{path}: {reply:?}");
        reply.body
    }

    /// What forms of this person must contain: a form without it is offered once more, with it.
    fn csrf(&self) -> String {
        hidden(&self.send("POST", "/", "", "").body, "csrf").pop().unwrap()
    }

    /// Sends a form as the page would.
    fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let csrf = self.csrf();
        let pairs = fields.iter().copied().chain([("csrf", csrf.as_str())]);
        let body: Vec<_> = pairs.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        self.send("POST", path, "Sec-Fetch-Site: same-origin\r\n", &body.join("&"))
    }

    /// Tries a decision, and then makes it as the page of the trial offers it.
    fn decide(&self, path: &str, fields: &[(&str, &str)]) -> (Reply, Reply) {
        let tried = self.post(path, fields);
        let rows = hidden(&tried.body, "row");
        let rows = rows.iter().map(|row| ("row", row.as_str()));
        let kept = fields.iter().copied().filter(|(name, _)| *name != "which" && *name != "row");
        let fields: Vec<_> = kept.chain(rows).chain([("step", "do")]).collect();
        let done = self.post(path, &fields);
        (tried, done)
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The values of the fields of a name in a page.
fn hidden(page: &str, name: &str) -> Vec<String> {
    let field = format!("name=\"{name}\" value=\"");
    let values = page.split(&field).skip(1);
    values.map(|rest| unescaped(rest.split('"').next().unwrap())).collect()
}

fn unescaped(text: &str) -> String {
    let named = [("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&#38;", "&")];
    named.iter().fold(text.to_owned(), |text, (escaped, letter)| text.replace(escaped, letter))
}

/// Roles for people: `decides` and `looks`, and the login `page` that can become both and may do nothing by itself.
pub fn with_roles(cluster: &Cluster) {
    cluster
        .connect()
        .batch_execute(
            "CREATE ROLE decides; CREATE ROLE looks; CREATE ROLE page LOGIN NOINHERIT IN ROLE decides, looks;
             SELECT model_access_grant('decides', 'admin'), model_access_grant('looks', 'viewer')",
        )
        .unwrap();
}

pub const PEOPLE: [&str; 12] = [
    "--admin-token-header",
    "X-Assertion",
    "--admin-role",
    "decides",
    "--viewer-role",
    "looks",
    "--audience",
    AUDIENCE,
    "--issuer",
    ISSUER,
    "--person-claim",
    "email",
];

/// The header with the token of a person.
pub fn assertion(person: &str, groups: serde_json::Value) -> String {
    let mut claims = claims(person);
    claims["email"] = json!(format!("{person}@id.example"));
    claims["groups"] = groups;
    // as Keycloak names an ID token, which is what proxies pass on
    claims["typ"] = json!("ID");
    let token = sign(&claims, Algorithm::HS256, None, &EncodingKey::from_secret(SECRET.as_bytes()));
    format!("X-Assertion: {token}\r\n")
}

fn count(cluster: &Cluster, query: &str) -> i64 {
    cluster.connect().query_one(&format!("SELECT count(*) FROM {query}"), &[]).unwrap().get(0)
}

#[test]
fn one_admin_of_this_machine_is_let_in_by_a_code_that_works_once() {
    let cluster = database(&[]);
    let mut page = Page::start(&cluster, "postgres", &[]);
    for host in ["Host: evil.example\r\n", "Host: 127.0.0.1.evil.example\r\n"] {
        assert_eq!(page.send("GET", "/login", host, "").status, 421, "{host}");
    }
    assert_eq!(page.send("GET", "/login", "Host: localhost:9000\r\n", "").status, 200, "through a tunnel");
    let reply = page.get("/history?before=2026-01-01");
    assert_eq!(
        (reply.status, reply.header("location")),
        (303, Some("/login?next=%2Fhistory%3Fbefore%3D2026%2D01%2D01"))
    );
    let reply = page.get("/login");
    let policy = reply.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; style-src 'self'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("referrer-policy"), Some("same-origin"));

    // five wrong codes, and the right one is void
    let code = page.code();
    for _ in 0..5 {
        assert_eq!(page.send("POST", "/login", "", "code=AAAA-AAAA-AAAA").status, 401);
    }
    assert_eq!(page.send("POST", "/login", "", &format!("code={code}")).status, 401);
    assert_eq!(page.send("POST", "/login", "", "do=print").status, 200);
    let code = page.code();
    let elsewhere = "Origin: http://evil.example\r\n";
    assert_eq!(page.send("POST", "/login", elsewhere, &format!("code={code}")).status, 403);
    // a link cannot send the admin to another site
    for (next, location) in
        [("//evil.example", "/"), ("/\\evil.example", "/"), ("/\t/evil.example", "/"), ("/health", "/health")]
    {
        let body = format!("code={}&next={}", page.code().to_lowercase().replace('-', " "), encoded(next));
        let reply = page.send("POST", "/login", "", &body);
        assert_eq!((reply.status, reply.header("location")), (303, Some(location)));
        let cookie = reply.header("set-cookie").unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        assert_eq!(page.send("POST", "/login", "", &body).status, 401, "a code works once");
        assert_eq!(page.send("POST", "/login", "", "do=print").status, 200);
    }
    page.log_in();
    assert!(page.page("/health").contains("last_success"));
    assert_eq!(page.get("/nothing").status, 404);
    assert!(!page.text("log").contains(&page.code()), "the code is only printed");

    // a form needs its token, and must come from here
    let csrf = page.csrf();
    for (headers, token, status) in [
        ("", "x", 403),
        ("", "", 403),
        ("Sec-Fetch-Site: cross-site\r\n", csrf.as_str(), 403),
        ("Sec-Fetch-Site: same-site\r\n", &csrf, 403),
        ("Origin: null\r\n", &csrf, 403),
        ("Origin: http://127.0.0.1:1\r\n", &csrf, 403),
        ("", &csrf, 303),
    ] {
        let reply = page.send("POST", "/logout", headers, &format!("csrf={token}"));
        let ended = page.get("/health").status == 303;
        assert_eq!((reply.status == 303 && ended, ended), (status == 303, status == 303), "{headers}{token}");
    }
}

#[test]
fn a_decision_is_tried_then_made_and_what_has_changed_is_left_out() {
    let cluster = database(&[]);
    let mut page = Page::start(&cluster, "postgres", &[]);
    page.log_in();
    let queue = page.page("/");
    let waiting = count(&cluster, "model_access_review");
    assert_eq!(hidden(&queue, "row").len() as i64, waiting);
    let all = page.page("/?show=all");
    assert_eq!(hidden(&all, "row").len() as i64, count(&cluster, "model_access"));
    assert!(all.len() < 300_000, "{} bytes", all.len());
    for (filter, condition) in [
        ("reason=new", "r.reason = 'new'"),
        ("provider=openai&free=no", "m.provider = 'openai' AND NOT m.is_free_of_charge"),
        ("min=0.5&max=2", "m.highest_usd_per_million BETWEEN 0.5 AND 2"),
        ("modality=audio", "'audio' = ANY (m.input_modalities || m.output_modalities)"),
        ("q=GPT-4&age=0", "m.model_id || m.name ILIKE '%gpt-4%'"),
        ("proposed=yes", "false"),
    ] {
        let expected = count(
            &cluster,
            &format!("model_access_review r JOIN model_access m USING (model_id) WHERE {condition}"),
        );
        assert_eq!(hidden(&page.page(&format!("/?{filter}")), "row").len() as i64, expected, "{filter}");
    }

    // a trial says what would change, and changes nothing
    let fields = [
        ("do", "set"),
        ("status", "active"),
        ("tier", "pro"),
        ("note", "the first morning"),
        ("which", "all"),
    ];
    let before = count(&cluster, "model_access_history");
    let tried = page.post("/?provider=openai", &fields);
    let models = count(&cluster, "model_access WHERE provider = 'openai' AND status = 'new'");
    assert!(tried.body.contains(&format!("Decide {models} models?")), "{}", tried.body);
    assert!(tried.body.contains(&format!("+{models}")), "{}", tried.body);
    assert_eq!(count(&cluster, "model_access_history"), before);

    // meanwhile somebody else decides about one, and upstream changes another
    let mut other = cluster.connect();
    other
        .batch_execute("UPDATE model_access SET status = 'disabled' WHERE model_id = 'openai/gpt-4o'")
        .unwrap();
    other
        .batch_execute("UPDATE model_access SET name = name || '!' WHERE model_id = 'openai/gpt-4o-mini'")
        .unwrap();
    let rows = hidden(&tried.body, "row");
    let kept = fields[..4].iter().copied().chain(rows.iter().map(|row| ("row", row.as_str())));
    let again: Vec<_> = kept.chain([("step", "do")]).collect();
    let done = page.post("/?provider=openai", &again);
    assert!(done.body.contains(&format!("Decided: {} models", models - 2)), "{}", done.body);
    assert!(done.body.contains("Left out: 2."), "{}", done.body);
    for left in [
        "openai/gpt-4o</a>: it was changed by postgres",
        "openai/gpt-4o-mini</a>: it was changed by postgres",
    ] {
        assert!(done.body.contains(left), "{}", done.body);
    }
    let decided =
        "model_access WHERE note = 'the first morning' AND status = 'active' AND is_pro AND NOT is_free";
    assert_eq!(count(&cluster, decided), models - 2);
    // the same form again: nothing is as it was seen
    let done = page.post("/?provider=openai", &again);
    assert!(done.body.contains("Decided: 0 models") && done.body.contains(&format!("Left out: {models}.")));

    // what is kept, and what is set to what it is already, is reviewed
    let price_up = "UPDATE model_access SET reviewed_highest_prices = '{\"prompt\": 0.001}' WHERE model_id = ANY ('{openai/o3,openai/o1}')";
    other.batch_execute(price_up).unwrap();
    assert!(page.page("/?reason=price_up").contains("openai/o3"));
    for (id, what) in [("openai/o3", "keep"), ("openai/o1", "set")] {
        let row = hidden(&page.page(&format!("/?reason=price_up&q={id}")), "row").pop().unwrap();
        page.decide("/", &[("do", what), ("status", "active"), ("row", &row), ("which", "ticked")]);
    }
    assert_eq!(count(&cluster, "model_access_review WHERE reason = 'price_up'"), 0);

    // proposals of rules
    other
        .batch_execute(
            "INSERT INTO model_access_rule (position, provider, is_enterprise) VALUES (1, 'x-ai', true)",
        )
        .unwrap();
    let proposed = count(&cluster, "model_access_review WHERE proposed IS NOT NULL");
    assert!(proposed > 0);
    let (_, done) = page.decide("/?proposed=yes", &[("do", "accept"), ("which", "all")]);
    assert!(done.body.contains(&format!("Decided: {proposed} models")), "{}", done.body);
    let (tried, _) = page.decide("/?provider=qwen", &[("do", "accept"), ("which", "all")]);
    assert!(tried.body.contains("no rule proposes anything for it"));

    // the rest, and an empty queue says so
    page.decide("/", &[("do", "set"), ("status", "inactive"), ("which", "all")]);
    page.decide("/", &[("do", "keep"), ("which", "all")]);
    for _ in 0..2 {
        page.decide("/", &[("do", "set"), ("status", "inactive"), ("which", "all")]);
    }
    assert!(page.page("/").contains("Nothing waits."), "{}", page.page("/"));

    // what makes no sense is refused, with what to do
    for (fields, words) in [
        (&[("do", "set"), ("status", "active"), ("which", "ticked")][..], "Tick at least one model"),
        (&[("do", "set"), ("row", "1::x")], "Choose a status, tiers or a note"),
        (&[("do", "sudo"), ("row", &hidden(&page.page("/?show=all"), "row")[0])], "Choose one of the three"),
        (&[("do", "set"), ("status", "gone"), ("row", &hidden(&page.page("/?show=all"), "row")[0])], "23514"),
    ] {
        let reply = page.post("/", fields);
        assert_eq!(reply.status, 422, "{reply:?}");
        assert!(reply.body.contains(words), "{words}: {}", reply.body);
    }
    assert_eq!(page.get("/?max=much").status, 422);
    assert_eq!(page.get("/?q=%00").status, 400);
}

#[test]
fn of_two_admins_at_the_same_moment_the_second_is_told() {
    let cluster = database(&[]);
    let mut page = Page::start(&cluster, "postgres", &["--timeout", "300"]);
    page.log_in();
    let row = hidden(&page.page("/?q=openai/gpt-4o-mini"), "row").remove(0);
    let mut other = cluster.connect();
    let mut first = other.transaction().unwrap();
    first
        .batch_execute("UPDATE model_access SET status = 'disabled' WHERE model_id = 'openai/gpt-4o-mini'")
        .unwrap();
    let done = std::thread::scope(|scope| {
        let second = scope.spawn(|| {
            page.post(
                "/",
                &[("do", "set"), ("status", "active"), ("tier", "free"), ("row", &row), ("step", "do")],
            )
        });
        let waits = "pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%FOR NO KEY UPDATE%'";
        wait_for("the second, who waits for the first", || count(&cluster, waits) == 1);
        first.commit().unwrap();
        second.join().unwrap()
    });
    assert!(done.body.contains("Decided: 0 models") && done.body.contains("Left out: 1."), "{}", done.body);
    assert!(done.body.contains("now disabled"), "{}", done.body);
    assert_eq!(
        count(
            &cluster,
            "model_access WHERE model_id = 'openai/gpt-4o-mini' AND status = 'disabled' AND NOT is_free"
        ),
        1
    );
}

#[test]
fn an_undo_does_what_was_shown_and_does_it_once() {
    let cluster = database(&[]);
    let mut page = Page::start(&cluster, "postgres", &[]);
    page.log_in();
    page.decide(
        "/?provider=openai",
        &[("do", "set"), ("status", "active"), ("tier", "pro"), ("which", "all")],
    );
    let history = page.page("/history");
    let change = history.split("href=\"").find(|link| link.starts_with("/history?at=")).unwrap();
    let change = unescaped(change.split('"').next().unwrap());
    let shown = page.page(&change);
    let plan = hidden(&shown, "plan").pop().unwrap();
    // one of the models is decided anew: the undo would leave it, so it is not what was shown
    let mut other = cluster.connect();
    other
        .batch_execute("UPDATE model_access SET status = 'disabled' WHERE model_id = 'openai/gpt-4o'")
        .unwrap();
    let reply = page.post(&change, &[("plan", &plan)]);
    assert!(reply.body.contains("Nothing was done."), "{}", reply.body);
    let active = "model_access WHERE provider = 'openai' AND status = 'active'";
    assert!(count(&cluster, active) > 0);
    let plan = hidden(&reply.body, "plan").pop().unwrap();
    assert!(page.post(&change, &[("plan", &plan)]).body.contains("Taken back."));
    assert_eq!(count(&cluster, active), 0);
    assert_eq!(count(&cluster, "model_access WHERE model_id = 'openai/gpt-4o' AND status = 'disabled'"), 1);
    // pressed twice
    let rows = count(&cluster, "model_access_history");
    let reply = page.post(&change, &[("plan", &plan)]);
    assert!(
        reply.body.contains("Nothing was done.") && reply.body.contains("undone before"),
        "{}",
        reply.body
    );
    assert!(reply.body.contains("changed since by postgres") && hidden(&reply.body, "plan").is_empty());
    assert_eq!(count(&cluster, "model_access_history"), rows);
    assert!(page.page("/history").contains("undo: status: active"));
    assert_eq!(page.get("/history?at=2020-01-01").status, 404);
}

#[test]
fn people_have_the_role_that_their_token_says_and_no_other() {
    let cluster = database(&[]);
    with_roles(&cluster);
    let mut page = Page::start(&cluster, "page", &PEOPLE);
    for (identity, status) in [
        (String::new(), 401),
        ("X-Assertion: admin\r\n".into(), 401),
        ("X-Forwarded-User: admin\r\nX-Remote-User: admin\r\n".into(), 401),
        (assertion("eve", json!(["staff"])), 403),
        (assertion("eve", json!({ "model-access-admin": true })), 403),
        (assertion("eve", json!("model-access-admins")), 403),
        (assertion("vera", json!("model-access-viewer")), 200),
        (assertion("anna", json!(["staff", "model-access-admin", "model-access-viewer"])), 200),
    ] {
        page.identity.clone_from(&identity);
        assert_eq!(page.get("/").status, status, "{identity}");
    }
    let twice = assertion("anna", json!("model-access-admin")).repeat(2);
    page.identity = twice;
    assert_eq!(page.get("/").status, 401);

    // who only looks sees no button, and PostgreSQL refuses a form that is made by hand
    page.identity = assertion("vera", json!(["model-access-viewer"]));
    for path in ["/", "/?show=all", "/history", "/health"] {
        assert!(!page.page(path).contains("<button>"), "{path}");
    }
    let row = "1::openai/gpt-4o";
    let reply = page.post("/", &[("do", "set"), ("status", "active"), ("row", row), ("step", "do")]);
    assert_eq!(reply.status, 403, "{reply:?}");
    assert!(reply.body.contains("permission denied") && reply.body.contains("42501"), "{}", reply.body);
    let of_vera = page.csrf();

    // who decides is named in the history, as a claim of the login
    page.identity = assertion("anna", json!(["model-access-admin"]));
    let csrf = format!("csrf={of_vera}");
    assert_eq!(page.send("POST", "/", "", &csrf).status, 403, "the token of a form belongs to a person");
    let (_, done) =
        page.decide("/?provider=openai", &[("do", "set"), ("status", "disabled"), ("which", "all")]);
    assert!(done.body.contains("Decided: "), "{}", done.body);
    let by = "model_access_history WHERE new ->> 'status' = 'disabled' AND actor = 'page' AND actor_role = 'decides' \
              AND on_behalf_of = 'anna@id.example'";
    assert_eq!(count(&cluster, by), count(&cluster, "model_access WHERE provider = 'openai'"));
    assert!(page.page("/history").contains("anna@id.example"));
}

#[test]
fn a_login_or_a_role_with_too_many_rights_is_refused() {
    let cluster = database(&[]);
    with_roles(&cluster);
    cluster
        .connect()
        .batch_execute(
            "CREATE ROLE inherits LOGIN IN ROLE decides, looks; CREATE ROLE stranger LOGIN;
             CREATE ROLE super NOLOGIN SUPERUSER; CREATE ROLE can_be_super LOGIN NOINHERIT IN ROLE decides, looks, super;
             CREATE ROLE makes LOGIN NOINHERIT CREATEROLE IN ROLE decides, looks;
             CREATE ROLE keeps LOGIN NOINHERIT IN ROLE decides, looks; GRANT model_access_owner TO keeps",
        )
        .unwrap();
    let refused = |login: &str, arguments: &[&str]| {
        let Output { status, stderr, .. } =
            Page::command(&cluster, login, arguments).stdout(Stdio::null()).output().unwrap();
        assert_eq!(status.code(), Some(1), "{login}");
        String::from_utf8(stderr).unwrap()
    };
    for (login, words) in [
        ("postgres", "is a superuser, or can become one"),
        ("can_be_super", "is a superuser, or can become one"),
        ("inherits", "may decide without taking a role; make it NOINHERIT"),
        ("stranger", "is not a member of the role decides"),
        ("makes", "may create roles"),
        ("keeps", "can become the owner of model_access"),
    ] {
        let error = refused(login, &PEOPLE);
        assert!(error.contains(words), "{login}: {error}");
    }
    for (admin, viewer, words) in [
        ("decides", "decides", "the role decides may decide, although it is for people who only look"),
        ("absent", "looks", "the role absent does not exist"),
        ("super", "looks", "the role super is a superuser"),
    ] {
        let people = PEOPLE.map(|text| match text {
            "decides" => admin,
            "looks" => viewer,
            other => other,
        });
        let error = refused("page", &people);
        assert!(error.contains(words), "{admin} {viewer}: {error}");
    }
    let error = refused("postgres", &["--listen", "0.0.0.0:0"]);
    assert!(error.contains("only an address of this machine"), "{error}");
}

#[test]
fn texts_of_the_upstream_are_only_texts() {
    let cluster = database(&[]);
    let hostile = [
        "evil/\"><script>alert(1)</script>",
        "evil/' onfocus=alert(1) autofocus='",
        "evil/../../logout?x=1&y=%2F#z",
        "~evil/latest:free",
        "evil/{{7*7}}",
        "evil/\u{202e}txt",
    ];
    let mut client = cluster.connect();
    for id in hostile {
        let insert =
            "INSERT INTO model_access (model_id, name, description, provider) VALUES ($1, $1, $1, $1)";
        client.execute(insert, &[&id]).unwrap();
    }
    let mut page = Page::start(&cluster, "postgres", &[]);
    page.log_in();
    let queue = page.page("/");
    for id in hostile {
        let model = page.page(&format!("/model?id={}", encoded(id)));
        for body in [&queue, &model] {
            assert!(!body.contains("<script") && !body.contains("' onfocus"), "{id}");
            let links = body.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
            for link in links.filter(|link| !link.starts_with('#')) {
                assert!(link.starts_with('/') && !link.starts_with("//") && !link.contains("/../"), "{link}");
            }
        }
        let filtered = page.page(&format!("/?q={}&provider={}", encoded(id), encoded(id)));
        let rows = hidden(&filtered, "row");
        assert_eq!(rows.len(), 1, "{id}");
        assert!(!filtered.contains("<script") && !filtered.contains("\"' onfocus"), "{id}");
        let (tried, done) =
            page.decide("/", &[("do", "set"), ("status", "disabled"), ("row", &rows[0]), ("note", id)]);
        for reply in [tried, done] {
            assert!(
                reply.body.contains("1 model") && !reply.body.contains("<script"),
                "{id}: {}",
                reply.body
            );
        }
    }
    assert_eq!(
        count(&cluster, "model_access WHERE provider = model_id AND status = 'disabled' AND note = model_id"),
        6
    );
    assert!(!page.page("/history").contains("<script"));
}

#[test]
fn a_form_whose_database_went_away_keeps_what_was_typed() {
    let cluster = database(&[]);
    let mut page = Page::start(&cluster, "postgres", &["--timeout", "2"]);
    page.log_in();
    let csrf = page.csrf();
    let row = hidden(&page.page("/?q=openai/gpt-4o-mini"), "row").remove(0);
    cluster.ctl(&["stop", "-m", "fast"]);
    let body = format!(
        "csrf={csrf}&do=set&status=disabled&note={}&row={}&step=do",
        encoded("a \"long\" thought"),
        encoded(&row)
    );
    let reply = page.send("POST", "/?q=mini", "", &body);
    assert_eq!(reply.status, 503, "{reply:?}");
    assert!(reply.header("retry-after").is_some());
    assert_eq!(hidden(&reply.body, "note"), ["a \"long\" thought"]);
    assert_eq!(hidden(&reply.body, "row"), [row]);
    assert!(reply.body.contains("action=\"/?q=mini\""), "{}", reply.body);
    let shown = page.get("/?q=mini");
    assert_eq!(shown.status, 503);
    assert!(shown.body.contains("href=\"/?q=mini\""), "{}", shown.body);
    cluster.ctl(&["start"]);
    let reply = page.send("POST", "/?q=mini", "", &body);
    assert!(reply.body.contains("Decided: 1 model"), "{reply:?}");
    assert_eq!(count(&cluster, "model_access WHERE note = 'a \"long\" thought' AND status = 'disabled'"), 1);
}

/// Lets the database fetch a scenario of the upstream.
fn serve(cluster: &Cluster, scenario: &str) {
    let set = format!("ALTER SYSTEM SET model_access.url = '{}'", cluster.upstream.url(scenario));
    let mut client = cluster.connect();
    client.batch_execute(&set).unwrap();
    client.batch_execute("SELECT pg_reload_conf()").unwrap();
}

#[test]
fn the_next_sync_is_shown_then_run_and_what_differs_is_named() {
    let cluster = database(&[]);
    serve(&cluster, "take=420");
    let mut page = Page::start(&cluster, "postgres", &[]);
    page.log_in();
    wait_for("the list without one model", || page.page("/sync").contains("missing: 1<"));
    let shown = page.page("/sync");
    assert_eq!(count(&cluster, "model_access_sync_log"), 1, "a preview writes nothing");
    let seen = hidden(&shown, "seen");
    assert!(seen.len() == 1 && seen[0].starts_with("missing "), "{seen:?}");
    // meanwhile another one leaves the list
    serve(&cluster, "take=419");
    wait_for("the list without two models", || page.page("/sync").contains("missing: 2<"));
    let run = page.post("/sync", &[("seen", &seen[0])]);
    assert!(run.body.contains("Run 2: applied.") && run.body.contains("2 left the list"), "{}", run.body);
    assert!(run.body.contains("Written, and not shown before: 1"), "{}", run.body);
    assert!(run.body.contains("Shown before, and not written: 0"), "{}", run.body);
    assert!(page.page("/sync").contains("Nothing has changed"), "{}", page.page("/sync"));

    // many are withheld, and max_removals names how many may go
    serve(&cluster, "take=100");
    wait_for("withheld removals", || page.page("/sync").contains("<h2>withhold: "));
    let freed = page.page("/sync?max_removals=421");
    assert!(freed.contains("<h2>missing: 319<") && !freed.contains("<h2>withhold"), "{freed}");
    let seen = hidden(&freed, "seen");
    let fields: Vec<_> =
        seen.iter().map(|seen| ("seen", seen.as_str())).chain([("max_removals", "421")]).collect();
    let run = page.post("/sync", &fields);
    assert!(
        run.body.contains("Run 3: applied.") && run.body.contains("The run did what the preview showed."),
        "{}",
        run.body
    );
    assert_eq!(count(&cluster, "model_access WHERE missing_since IS NOT NULL"), 321);
    assert_eq!(page.get("/sync?max_removals=-1").status, 422);
    serve(&cluster, "status=503");
    wait_for("a failed fetch", || page.page("/sync").contains("<strong>failed: "));
    assert!(!page.page("/sync").contains("Run the sync now"));
    assert!(page.page("/health").contains("<title id=\"runs-title\">"));
}

#[test]
fn an_install_without_the_library_names_the_program_that_syncs() {
    let cluster = Cluster::start_without_library();
    let mut page = Page::start(&cluster, "keeper", &[]);
    page.log_in();
    let shown = page.page("/sync");
    assert!(shown.contains("model-access push --dry-run") && !shown.contains("Run the sync now"), "{shown}");
    for path in ["/", "/history", "/user?id=ada", "/rules", "/health"] {
        assert!(page.page(path).contains("class=\"empty\""), "{path} says what to do next");
    }
}

#[test]
fn users_get_overrides_and_rules_are_tried_before_they_are_saved() {
    let cluster = database(&[]);
    with_roles(&cluster);
    let mut page = Page::start(&cluster, "page", &PEOPLE);
    page.identity = assertion("anna", json!("model-access-admin"));
    let model = "google/gemini-2.5-pro";
    let path = format!("/user?id=ada&model={model}");
    assert!(page.page(&path).contains("not allowed</strong>, not in tier free"), "{}", page.page(&path));
    let made = page.post(
        &path,
        &[("model_id", model), ("allowed", "true"), ("until", "2999-12-31"), ("note", "a trial")],
    );
    assert_eq!((made.status, made.header("location")), (303, Some(path.as_str())), "{made:?}");
    let shown = page.page(&path);
    assert!(shown.contains("allowed</strong>, allowed to this user until 3000-01-01"), "{shown}");
    assert!(page.page(&format!("/model?id={model}")).contains("a trial"));
    let by = "model_access_history WHERE user_id = 'ada' AND on_behalf_of = 'anna@id.example'";
    assert_eq!(count(&cluster, by), 1);
    let reply = page.post(&path, &[("model_id", "openai/none"), ("allowed", "true")]);
    assert!(reply.status == 422 && reply.body.contains("does not exist"), "{reply:?}");
    let id = hidden(&shown, "remove").pop().unwrap();
    assert_eq!(page.post("/user?id=ada", &[("remove", &id)]).status, 303);
    assert_eq!(count(&cluster, "model_access_override"), 0);
    assert!(page.page("/user?id=nobody").contains("no such user"));

    assert!(page.page("/rules").contains("There is no rule yet."));
    let rule = [
        ("position", "7"),
        ("pattern", "openai/%"),
        ("max", "1"),
        ("proposes", "pro"),
        ("proposes", "enterprise"),
    ];
    let tried = page.post("/rules", &[&rule[..], &[("step", "try")]].concat());
    assert_eq!(count(&cluster, "model_access_rule"), 0, "a trial saves nothing");
    page.post("/rules", &[&rule[..], &[("step", "save")]].concat());
    let proposed = count(&cluster, "model_access_review WHERE proposed = 'pro,enterprise'");
    assert!(proposed > 0 && tried.body.contains(&format!("for {proposed} models")), "{}", tried.body);
    assert_eq!(
        count(&cluster, "model_access WHERE status = 'active' AND provider = 'openai'"),
        0,
        "nor does it accept"
    );
    let shown = page.page("/rules?position=7");
    let seen = hidden(&shown, "seen").pop().unwrap();
    let changed = [("position", "7"), ("pattern", "none/%"), ("proposes", "free"), ("seen", &seen)];
    let tried = page.post("/rules", &[&changed[..], &[("step", "try")]].concat());
    assert!(tried.body.contains("would propose nothing now"), "{}", tried.body);
    page.post("/rules", &[&changed[..], &[("step", "save")]].concat());
    // somebody who saw the rule before cannot overwrite or remove what it is now
    for step in ["save", "remove"] {
        let reply = page.post("/rules", &[&changed[..], &[("step", step)]].concat());
        assert_eq!(reply.status, 409, "{reply:?}");
    }
    let reply = page.post("/rules", &[&rule[..], &[("step", "save")]].concat());
    assert!(reply.status == 422 && reply.body.contains("23505"), "a new rule replaces none: {reply:?}");
    let seen = hidden(&page.page("/rules?position=7"), "seen").pop().unwrap();
    page.post("/rules", &[("position", "7"), ("seen", &seen), ("step", "remove")]);
    assert_eq!(count(&cluster, "model_access_rule"), 0);

    // who only looks can read all of it, and change none
    page.identity = assertion("vera", json!("model-access-viewer"));
    for path in ["/user?id=ada", "/rules", "/sync", "/model?id=openai/gpt-4o"] {
        let shown = page.page(path);
        assert!(!shown.contains("method=\"post\""), "{path}: {shown}");
    }
    for (path, fields) in [
        ("/user?id=ada", &[("model_id", model), ("allowed", "true")][..]),
        ("/user?id=ada", &[("remove", "1")]),
        ("/rules", &rule),
        ("/rules", &[("position", "7"), ("seen", "x"), ("step", "remove")]),
        ("/sync", &[]),
    ] {
        let reply = page.post(path, fields);
        assert!(reply.status == 403 && reply.body.contains("42501"), "{path} {fields:?}: {reply:?}");
    }
}
