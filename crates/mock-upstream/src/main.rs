//! The mock as a program, for the demo and for debugging tests.

use clap::{Parser, Subcommand};
use mock_upstream::MockUpstream;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

/// A mock of OpenRouter on loopback: serves recorded catalogues, and the faults that a URL asks for.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the catalogues of a folder until the process ends
    Serve {
        /// Where to listen; port 0 picks a free one
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: String,
        /// Write the base URL to this file when the server listens
        #[arg(long)]
        url_file: Option<PathBuf>,
        /// The folder of the catalogues, NAME.json or NAME.json.gz
        catalogues: PathBuf,
    },
    /// Fetch a catalogue from a real upstream and save it
    Record {
        /// The URL of the catalogue
        url: String,
        /// The file to write
        file: PathBuf,
        /// Maximum duration of the fetch, in seconds
        #[arg(long, default_value_t = 10)]
        timeout: u64,
    },
}

fn main() -> io::Result<()> {
    match Arguments::parse().command {
        Command::Serve { listen, url_file, catalogues } => {
            let upstream = MockUpstream::start(&listen, catalogues)?;
            let url = upstream.url("");
            match url_file {
                Some(file) => std::fs::write(file, url)?,
                None => writeln!(io::stdout(), "{url}")?,
            }
            loop {
                std::thread::park();
            }
        }
        Command::Record { url, file, timeout } => record(url, &file, Duration::from_secs(timeout)),
    }
}

fn record(url: String, file: &std::path::Path, timeout: Duration) -> io::Result<()> {
    let user_agent = concat!("model_access/", env!("CARGO_PKG_VERSION"));
    let request = fetch::Request { url, user_agent, timeout, max_body: 16 << 20, proxy: String::new() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let body = runtime.block_on(fetch::get(&request)).map_err(io::Error::other)?;
    let options = catalog::entry::ReadOptions::default();
    catalog::document::parse(&body, &options, &|| ()).map_err(|problem| io::Error::other(problem.message))?;
    std::fs::write(file, body)
}
