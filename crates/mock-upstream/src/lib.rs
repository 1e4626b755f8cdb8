//! A mock of OpenRouter on loopback. The query of the URL chooses the response, so one server can play every upstream,
//! good or bad; see [`Scenario`].

mod response;
mod scenario;

pub use scenario::Scenario;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest time that a stalled response, or a wait, lasts.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// The longest request that is read, in bytes.
const MAX_REQUEST: u64 = 64 * 1024;

/// A running mock. It ends with the process.
pub struct MockUpstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// State that the connections share with [`MockUpstream`].
struct Shared {
    catalogues: PathBuf,
    tls: Option<Arc<ServerConfig>>,
    gate: Mutex<Gate>,
    moved: Condvar,
}

#[derive(Default)]
struct Gate {
    requests: u64,
    released: u64,
    by_query: HashMap<String, u64>,
}

impl MockUpstream {
    /// Serves the catalogues (`NAME.json.gz`, `NAME.json`) of a folder at `address`.
    ///
    /// # Errors
    /// Fails if it cannot listen at the address.
    pub fn start(address: &str, catalogues: impl Into<PathBuf>) -> io::Result<Self> {
        Self::listen(address, catalogues.into(), None)
    }

    /// Serves the catalogues over TLS. The server is also a proxy to itself: a `CONNECT` to any host reaches it.
    ///
    /// # Errors
    /// Fails if it cannot listen at the address.
    pub fn start_tls(
        address: &str,
        catalogues: impl Into<PathBuf>,
        tls: Arc<ServerConfig>,
    ) -> io::Result<Self> {
        Self::listen(address, catalogues.into(), Some(tls))
    }

    fn listen(address: &str, catalogues: PathBuf, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { catalogues, tls, gate: Mutex::default(), moved: Condvar::new() });
        let server = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                std::thread::spawn(move || drop(server.serve(stream)));
            }
        });
        Ok(Self { address, shared })
    }

    /// The URL of a scenario, such as `catalogue=2026-08-22&take=210`.
    #[must_use]
    pub fn url(&self, scenario: &str) -> String {
        let scheme = if self.shared.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/api/v1/models?{scenario}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of requests so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.gate().requests
    }

    /// Waits until `count` requests have arrived; false after a minute.
    #[must_use]
    pub fn wait_for_requests(&self, count: u64) -> bool {
        let gate = self.shared.gate();
        let waiting = |gate: &mut Gate| gate.requests < count;
        let waited = self.shared.moved.wait_timeout_while(gate, MAX_WAIT, waiting);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Lets the waiting requests (`gate=1`) continue.
    pub fn release(&self) {
        let mut gate = self.shared.gate();
        gate.released = gate.requests;
        self.shared.moved.notify_all();
    }
}

impl Shared {
    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(MAX_WAIT))?;
        let Some(tls) = &self.tls else { return self.respond(&mut stream) };
        let mut first = [0];
        stream.peek(&mut first)?;
        if &first == b"C" {
            read_request(&mut stream)?;
            stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
        }
        let connection = ServerConnection::new(Arc::clone(tls)).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        self.respond(&mut stream)?;
        stream.conn.send_close_notify();
        stream.flush()
    }

    fn respond<S: Read + Write>(&self, stream: &mut S) -> io::Result<()> {
        let lines = read_request(stream)?;
        let accepts_gzip = lines.iter().any(|line| {
            let line = line.to_ascii_lowercase();
            line.starts_with("accept-encoding:") && line.contains("gzip")
        });
        let target = lines.first().map(String::as_str).unwrap_or_default();
        let path = target.split_whitespace().nth(1).unwrap_or_default();
        let query = path.split_once('?').map_or("", |(_, query)| query);
        let (number, repeat) = self.count(query);
        let scenario = Scenario::parse(query, repeat);
        if scenario.gate {
            self.wait_for_release(number);
        }
        response::write(stream, &scenario, &self.catalogues, accepts_gzip)
    }

    /// Counts a request; returns its number, and how many requests before it had the same query.
    fn count(&self, query: &str) -> (u64, u64) {
        let mut gate = self.gate();
        gate.requests += 1;
        let asked = gate.by_query.entry(query.to_owned()).or_default();
        *asked += 1;
        let repeat = *asked - 1;
        self.moved.notify_all();
        (gate.requests, repeat)
    }

    fn wait_for_release(&self, number: u64) {
        let waiting = |gate: &mut Gate| gate.released < number;
        drop(self.moved.wait_timeout_while(self.gate(), MAX_WAIT, waiting));
    }
}

/// The lines of a request up to the empty one. A GET or a CONNECT has no body.
fn read_request<S: Read>(stream: &mut S) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    // byte by byte, because a TLS handshake may follow
    let mut reader = BufReader::with_capacity(1, stream.take(MAX_REQUEST));
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim_end().is_empty() {
            return Ok(lines);
        }
        lines.push(line.trim_end().to_owned());
    }
}
