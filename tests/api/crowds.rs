//! Many clients, few open files, and a service that ends without failing a request.

use crate::service::{BOUND, PASSWORD, SECRET, Service, database, program, token, wait_for};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tests::{Cluster, repository};

/// Sockets that connect and say nothing, in a process with descriptors of its own. They end with the test.
struct Silent(Child);

impl Silent {
    fn connect(service: &Service, number: u32) -> Self {
        let port = service.connect().unwrap().peer_addr().unwrap().port();
        let script = "ulimit -n $(($2 + 100)); for i in $(seq $2); do exec {n}<>/dev/tcp/127.0.0.1/$1; done; echo; cat";
        let mut child = Command::new("bash")
            .args(["-ec", script, "silent", &port.to_string(), &number.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "\n", "the sockets are connected");
        Self(child)
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The service with a soft and a hard limit of open files.
fn limited(cluster: &Cluster, files: &str, arguments: &[&str]) -> Command {
    let own = Service::command(arguments);
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={files}")).arg(program().get_program()).args(own.get_args());
    command.env("PGUSER", "api").env("PGDATABASE", "postgres").env("PGPASSWORD", PASSWORD);
    command.env("PGHOST", cluster.socket()).env("MODEL_ACCESS_API_HS256_SECRET", SECRET);
    command
}

#[test]
fn silent_sockets_keep_no_client_out() {
    let cluster = database(&[]);
    // with so long a timeout, only a new client ends a silent connection
    let service = Service::start(&cluster, &["--client-timeout", "300", "--admin-listen", "127.0.0.1:0"]);
    // a client that spoke is closed after those that did not
    let request =
        format!("GET /api/models HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {}\r\n\r\n", token("bob"));
    let mut kept = service.connect().unwrap();
    kept.write_all(request.as_bytes()).unwrap();
    assert!(kept.read(&mut [0; 64]).unwrap() > 0);
    let _silent = Silent::connect(&service, 2000);
    for _ in 0..10 {
        assert_eq!(service.probe("/readyz").status, 200);
        assert!(!service.ids("bob").is_empty());
    }
    assert!((1000..=1024).contains(&service.metric("connections ")));
    assert!(service.metric("idle_connections_closed_total") > 900);
    kept.write_all(request.replace("1.1", "1.0").as_bytes()).unwrap();
    let mut rest = Vec::new();
    kept.read_to_end(&mut rest).unwrap();
    assert_eq!(String::from_utf8(rest).unwrap().matches("HTTP/1.").count(), 1, "the second answer");
}

#[test]
fn the_limit_of_open_files_limits_the_connections() {
    let cluster = database(&[]);
    let service = Service::spawn(limited(&cluster, "256:256", &["--client-timeout", "300"]));
    assert!(service.log().contains("fewer connections than --connections"), "{}", service.log());
    let _silent = Silent::connect(&service, 600);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| (0..20).for_each(|_| assert!(!service.ids("bob").is_empty())));
        }
    });
    assert!(service.metric("connections ") > 150);
    assert!(!service.log().contains("could not accept"), "{}", service.log());
    drop(service);
    // the soft limit is raised to the hard one
    let service = Service::spawn(limited(&cluster, "64:4096", &[]));
    assert!(service.log().contains("\"files\":4096"), "{}", service.log());
    let output = limited(&cluster, "48:48", &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the limit of open files, 48, is too low"));
}

#[test]
fn probes_have_a_port_of_their_own() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &["--connections", "1", "--admin-listen", "127.0.0.1:0"]);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(service.probe(path).status, 200, "{path}");
        service.send(&format!("GET {path} HTTP/1.1\r\n")).assert_code(404, "path_not_found", path);
    }
    service.probe("/api/models").assert_code(404, "path_not_found", "clients have another port");
    assert_eq!(service.get_as("bob", "/api/models").status, 200);
}

#[test]
fn a_request_names_its_host_once() {
    let cluster = database(&[]);
    let service = Service::start(&cluster, &[]);
    for (version, fields, status) in [
        ("1.1", "", 400),
        ("1.1", "Host: a\r\nHost: a\r\n", 400),
        ("1.1", "Host: a b\r\n", 400),
        ("1.1", "Host: user@a\r\n", 400),
        ("1.1", "Host: a/b\r\n", 400),
        ("1.0", "Host: a\r\nHost: b\r\n", 400),
        ("1.1", "Host: \r\n", 200),
        ("1.1", "Host: api.example:8080\r\n", 200),
        ("1.1", "Host: [::1]:8080\r\n", 200),
        ("1.0", "", 200),
    ] {
        let head = format!("GET /healthz HTTP/{version}\r\n{fields}Connection: close\r\n\r\n");
        let reply = service.exchange(head.as_bytes());
        assert_eq!(reply.status, status, "{head:?}: {reply:?}");
        if status == 400 {
            reply.assert_code(400, "host_invalid", &head);
        }
    }
}

#[test]
fn it_drains_then_ends() {
    let cluster = database(&[]);
    let mut service = Service::start(&cluster, &["--drain", "600", "--admin-listen", "127.0.0.1:0"]);
    assert_eq!(service.probe("/readyz").status, 200);
    service.signal("TERM");
    wait_for("not ready", || service.probe("/readyz").status == 503);
    service.probe("/readyz").assert_code(503, "stopping", "it drains");
    assert_eq!(service.probe("/healthz").status, 200);
    let mut stream = service.connect().unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        assert_eq!(answer(&mut stream).unwrap(), Some(false), "it serves, and keeps connections");
    }
    service.signal("TERM");
    assert_eq!(service.child.wait().unwrap().code(), Some(0), "{}", service.log());
}

/// Requests on one connection until the service ends it: whether the last request was answered.
fn request_until_the_end(service: &Service) -> std::io::Result<bool> {
    let request =
        format!("GET /api/models HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {}\r\n\r\n", token("bob"));
    let mut stream = service.connect()?;
    stream.set_read_timeout(Some(BOUND))?;
    loop {
        // most connections are idle when the service ends
        std::thread::sleep(Duration::from_millis(5));
        stream.write_all(request.as_bytes())?;
        match answer(&mut stream)? {
            Some(false) => {}
            last => return Ok(last.is_some()),
        }
    }
}

/// Reads an answer: whether it is the last. None if there is none.
fn answer(stream: &mut TcpStream) -> std::io::Result<Option<bool>> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut is_last, mut line) = (0, false, String::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let field = line.trim_end().to_ascii_lowercase();
        if let Some(text) = field.strip_prefix("content-length: ") {
            length = text.parse().unwrap();
        }
        is_last |= field == "connection: close";
        if field.is_empty() {
            reader.read_exact(&mut vec![0; length])?;
            return Ok(Some(is_last));
        }
    }
}

#[test]
fn no_client_is_cut_off_at_the_end() {
    let cluster = database(&[]);
    let mut answered = 0;
    for _ in 0..3 {
        let mut service = Service::start(&cluster, &["--database-connections", "2"]);
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..8).map(|_| scope.spawn(|| request_until_the_end(&service))).collect();
            wait_for("requests", || service.metric("requests_total{route=\"/api/models\"") > 200);
            service.signal("TERM");
            for client in clients {
                answered += u32::from(client.join().unwrap().expect("no connection is reset"));
            }
        });
        assert_eq!(service.child.wait().unwrap().code(), Some(0), "{}", service.log());
    }
    // on a slow machine, a client may be idle for half a second
    assert!(answered > 16, "{answered} of 24 clients had an answer to their last request");
}

#[test]
fn who_waits_to_be_accepted_is_answered_at_the_end() {
    let cluster = database(&[]);
    let mut service = Service::start(&cluster, &[]);
    service.signal("STOP");
    let request =
        format!("GET /api/models HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {}\r\n\r\n", token("bob"));
    let mut streams: Vec<_> = (0..20).map(|_| service.connect().unwrap()).collect();
    let (early, late) = streams.split_at_mut(10);
    for stream in early {
        stream.write_all(request.as_bytes()).unwrap();
    }
    service.signal("TERM");
    service.signal("CONT");
    let resumed = Instant::now();
    wait_for("no new connection", || service.connect().is_err());
    for stream in late {
        drop(stream.write_all(request.as_bytes()));
    }
    // the service waits half a second for a late request; on a busy machine, this test may be slower
    let is_late = resumed.elapsed() > Duration::from_millis(500);
    for (number, stream) in streams.iter_mut().enumerate() {
        stream.set_read_timeout(Some(BOUND)).unwrap();
        let answer = answer(stream);
        // a client that sends a request later finds that the connection has ended, or, much later, was reset
        let may_end = number >= 10 && (is_late || matches!(answer, Ok(None)));
        assert!(matches!(answer, Ok(Some(true))) || may_end, "{number}: {answer:?}");
    }
    assert_eq!(service.child.wait().unwrap().code(), Some(0), "{}", service.log());
}

#[test]
fn the_unit_for_systemd_is_hardened() {
    let unit = repository().join("contrib/systemd/model-access-api.service");
    let text = std::fs::read_to_string(&unit).unwrap();
    assert!(std::fs::read_to_string(repository().join("docs/api.md")).unwrap().contains(&text));
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("not checked: systemd is not installed");
        return;
    }
    let folder = crate::service::scratch();
    let copy = folder.join("model-access-api.service");
    std::fs::write(
        &copy,
        text.replace("/usr/local/bin/model-access-api", program().get_program().to_str().unwrap()),
    )
    .unwrap();
    for arguments in [&["verify", "--man=no"][..], &["security", "--offline=true", "--threshold=30"]] {
        let output = Command::new("systemd-analyze").args(arguments).arg(&copy).output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && !said.contains("Unknown key"), "{arguments:?}: {said}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}
