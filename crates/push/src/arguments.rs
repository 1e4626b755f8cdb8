//! The command line.

use catalog::entry::{Limits, MAX_ENTRY_BYTES, MAX_VALUES};
use clap::{Parser, Subcommand};
use fetch::{Request, check_proxy, check_url};
use std::path::PathBuf;
use std::time::Duration;

/// The OpenRouter model catalogue into a PostgreSQL that has no model_access library.
#[derive(Parser)]
#[command(version)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    Push(Push),
}

/// Fetch the catalogue, plan, and write it in one transaction: what model_access_sync() does, from outside
///
/// Connects like psql: PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, PGSSLMODE and the others, ~/.pgpass, services.
/// The role must be the owner of the tables, or a member of it.
#[derive(Parser)]
#[command(
    after_help = "Exit codes: 0 applied or unchanged; 1 failed, or the database was not reached; 2 usage;\n\
                        3 held (removals were withheld); 4 skipped (another sync was running)."
)]
pub struct Push {
    /// Database name, URL (postgresql://…) or conninfo; what it leaves out comes from the PG* variables
    #[arg(default_value = "")]
    pub database: String,
    /// The schema of the tables; without it the search_path finds them
    #[arg(long)]
    pub schema: Option<String>,
    /// Read the catalogue from this file and fetch nothing; - is standard input
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// Print what would be written, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Let removals and withdrawals through, whatever the guard says, if together they are at most this many
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=i64::from(i32::MAX)))]
    pub max_removals: Option<u32>,
    /// Where the catalogue is
    #[arg(long, env = "MODEL_ACCESS_URL", hide_env_values = true, value_parser = url, default_value = "https://openrouter.ai/api/v1/models")]
    pub url: String,
    /// Seconds that the fetch may take, with everything that belongs to it
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
    /// Largest catalogue, in megabytes after decompression
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub max_body: u8,
    /// Largest entry, in kilobytes of JSON without its ignored_keys; a larger one is left alone
    #[arg(long, default_value_t = MAX_ENTRY_BYTES as u32 / 1024, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    pub max_entry: u32,
    /// Most JSON values within an entry
    #[arg(long, default_value_t = MAX_VALUES as u32, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub max_entry_values: u32,
    /// Proxy URL, none, or empty for what HTTPS_PROXY says
    #[arg(long, default_value = "", value_parser = proxy)]
    pub proxy: String,
}

impl Push {
    /// The largest catalogue, in bytes.
    pub fn max_body(&self) -> usize {
        usize::from(self.max_body) << 20
    }

    /// What an entry may hold.
    pub fn limits(&self) -> Limits {
        Limits { max_bytes: (self.max_entry as usize) << 10, max_values: self.max_entry_values as usize }
    }

    /// The fetch that the options ask for.
    pub fn fetch_request(&self) -> Request {
        Request {
            url: self.url.clone(),
            user_agent: concat!("model_access/", env!("CARGO_PKG_VERSION")),
            timeout: Duration::from_secs(self.timeout),
            max_body: self.max_body(),
            proxy: self.proxy.clone(),
        }
    }
}

fn url(text: &str) -> Result<String, String> {
    check_url(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

fn proxy(text: &str) -> Result<String, String> {
    check_proxy(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}
