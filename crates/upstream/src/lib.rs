//! A stand-in for OpenRouter on loopback. What it answers is in the query of the URL, so that one
//! server stands for every upstream, good or bad; see [`Scenario`].

mod answer;
mod scenario;

pub use scenario::Scenario;

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest time that a stalled answer keeps its connection.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest request that is read.
const MAX_REQUEST: u64 = 64 * 1024;

/// A running stand-in. It ends with the process.
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What the connections share with whoever started the server.
struct Shared {
    catalogues: PathBuf,
    gate: Mutex<Gate>,
    moved: Condvar,
}

#[derive(Default)]
struct Gate {
    requests: u64,
    released: u64,
    by_query: HashMap<String, u64>,
}

impl Upstream {
    /// Serves the catalogues (`NAME.json.gz`, `NAME.json`) of a folder at `address`.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn start(address: &str, catalogues: impl Into<PathBuf>) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { catalogues: catalogues.into(), gate: Mutex::default(), moved: Condvar::new() });
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
        format!("http://{}/api/v1/models?{scenario}", self.address)
    }

    /// How many requests have arrived.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.gate().requests
    }

    /// Waits until `count` requests have arrived; false after a minute.
    #[must_use]
    pub fn wait_for_requests(&self, count: u64) -> bool {
        let gate = self.shared.gate();
        let waiting = |gate: &mut Gate| gate.requests < count;
        let waited = self.shared.moved.wait_timeout_while(gate, PATIENCE, waiting);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Lets the requests that have arrived and asked for `gate` have their answer.
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

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut lines = BufReader::new(Read::take(&stream, MAX_REQUEST)).lines();
        let target = lines.next().transpose()?.unwrap_or_default();
        let mut accepts_gzip = false;
        for line in lines {
            let line = line?.to_ascii_lowercase();
            accepts_gzip |= line.starts_with("accept-encoding:") && line.contains("gzip");
            if line.is_empty() {
                break;
            }
        }
        let path = target.split_whitespace().nth(1).unwrap_or_default();
        let query = path.split_once('?').map_or("", |(_, query)| query);
        let (number, repeat) = self.arrived(query);
        let scenario = Scenario::read(query, repeat);
        if scenario.gate {
            self.wait_for_release(number);
        }
        answer::write(&stream, &scenario, &self.catalogues, accepts_gzip)
    }

    /// The number of this request, and how often its query has been asked before.
    fn arrived(&self, query: &str) -> (u64, u64) {
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
        drop(self.moved.wait_timeout_while(self.gate(), PATIENCE, waiting));
    }
}
