//! The statement of a list through the pool of the service, without HTTP: the reference in `bench/service.py`.
//!
//! `cargo bench -p api -- --database … --user NAME --clients 64 --seconds 5` prints the median and the 99th
//! percentile in microseconds, and the statements per second.

#![allow(clippy::unwrap_used, clippy::panic)] // a benchmark may end there

use api::config;
use api::database::Database;
use api::list::Form;
use api::metrics::Metrics;
use clap::Parser;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

#[derive(Parser)]
struct Arguments {
    /// User whose list is requested
    #[arg(long)]
    user: String,
    /// Number of concurrent requests
    #[arg(long, default_value_t = 64)]
    clients: u32,
    /// Seconds to run
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// An option that cargo bench adds
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    // the defaults of the service; the database comes from the PG* variables
    let options = config::Arguments::parse_from(["model-access-api"]).options;
    let database =
        Database::new(&watch::channel(options.settings().unwrap()).1, &Arc::new(Metrics::new().unwrap()))
            .unwrap();
    let database = Arc::new(database);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut took = runtime.block_on(async {
        let end = Instant::now() + Duration::from_secs(arguments.seconds);
        let ask = |user: String, database: Arc<Database>| async move {
            let mut took = Vec::new();
            while Instant::now() < end {
                let start = Instant::now();
                assert!(database.list(Form::Plain, &user).await.is_ok_and(|list| list.known));
                took.push(start.elapsed().as_micros());
            }
            took
        };
        let clients: Vec<_> = (0..arguments.clients)
            .map(|_| tokio::spawn(ask(arguments.user.clone(), Arc::clone(&database))))
            .collect();
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.await.unwrap());
        }
        all
    });
    took.sort_unstable();
    let at = |percent: usize| took.get(took.len() * percent / 100).unwrap();
    println!("{} {} {}", at(50), at(99), took.len() as u64 / arguments.seconds);
}
