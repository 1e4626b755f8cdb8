//! The command line arguments.

use catalog::entry::{Limits, MAX_ENTRY_BYTES, MAX_VALUES};
use clap::{Args, Parser, Subcommand};
use fetch::{Request, check_proxy, check_url};
use std::path::PathBuf;
use std::time::Duration;

/// Installs, upgrades and syncs model_access in a PostgreSQL without its library
#[derive(Parser)]
#[command(name = "model-access", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    Push(Push),
    Install(Install),
    Upgrade(Upgrade),
    Version(Version),
    Uninstall(Uninstall),
    Decisions(crate::decisions::Decisions),
    /// Write the manual pages into a directory
    #[command(hide = true)]
    Man {
        /// The directory
        directory: PathBuf,
    },
}

/// Create everything in a schema that exists; the role that connects will own it, and needs no other privilege than CREATE
///
/// For an older install, run upgrade. Exit codes: 0 installed, also before; 1 failed, and nothing was changed; 2 usage.
#[derive(Args)]
pub struct Install {
    /// Database name, URL (postgresql://…) or conninfo; the PG* variables supply the rest
    #[arg(default_value = "", hide_default_value = true)]
    pub database: String,
    /// The schema; by default public
    #[arg(long)]
    pub schema: Option<String>,
}

/// Upgrade an older install to the version of this program, in one transaction
///
/// Exit codes: 0 upgraded, or nothing to upgrade; 1 failed, and nothing was changed; 2 usage.
#[derive(Args)]
pub struct Upgrade {
    /// Database name, URL (postgresql://…) or conninfo; the PG* variables supply the rest
    #[arg(default_value = "", hide_default_value = true)]
    pub database: String,
    /// The schema; by default the only schema with model_access
    #[arg(long)]
    pub schema: Option<String>,
}

/// Print the version of this program, and of each model_access in the database
#[derive(Args)]
pub struct Version {
    /// Database name, URL (postgresql://…) or conninfo; the PG* variables supply the rest
    #[arg(default_value = "", hide_default_value = true)]
    pub database: String,
}

/// Say what would be removed: objects, decisions, and what depends on them; with --yes, remove it
#[derive(Args)]
pub struct Uninstall {
    /// Database name, URL (postgresql://…) or conninfo; the PG* variables supply the rest
    #[arg(default_value = "", hide_default_value = true)]
    pub database: String,
    /// The schema; by default the only schema with model_access
    #[arg(long)]
    pub schema: Option<String>,
    /// Remove it
    #[arg(long)]
    pub yes: bool,
    /// Also remove the foreign keys, triggers, views and functions of the application that depend on it
    #[arg(long)]
    pub cascade: bool,
    /// Before that, write the decisions to this new file, as model_access_export_decisions gives them
    #[arg(long, value_name = "FILE")]
    pub keep_decisions: Option<PathBuf>,
}

/// Do what model_access_sync() does: fetch the catalogue, plan the changes, and write them in one transaction
///
/// Connects like psql: it uses PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, PGSSLMODE and the other PG* variables,
/// ~/.pgpass, and connection services. The role must be the owner of the tables or a member of the owner.
#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 applied or unchanged; 1 failed, or no connection to the database; 2 usage;\n\
                        3 held (removals were withheld); 4 skipped (another sync was running)."
)]
pub struct Push {
    /// Database name, URL (postgresql://…) or conninfo; the PG* variables supply the rest
    #[arg(default_value = "", hide_default_value = true)]
    pub database: String,
    /// The schema of the tables; by default the only schema with tables of model_access that the role owns
    #[arg(long)]
    pub schema: Option<String>,
    /// Read the catalogue from this file instead of fetching it; - is standard input
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// Print the changes without writing them
    #[arg(long)]
    pub dry_run: bool,
    /// Allow removals and withdrawals that the guard would withhold, if together they are at most this many
    #[arg(long, value_parser = clap::value_parser!(u32).range(..=i64::from(i32::MAX)))]
    pub max_removals: Option<u32>,
    /// The URL of the catalogue
    #[arg(long, env = "MODEL_ACCESS_URL", hide_env_values = true, value_parser = url, default_value = "https://openrouter.ai/api/v1/models")]
    pub url: String,
    /// Maximum duration of the fetch, with name lookup, TLS and further attempts, in seconds
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub timeout: u64,
    /// Maximum size of the catalogue after decompression, in megabytes
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub max_body: u8,
    /// Maximum size of an entry without its ignored_keys, in kilobytes; a larger one is unusable
    #[arg(long, default_value_t = MAX_ENTRY_BYTES as u32 / 1024, value_parser = clap::value_parser!(u32).range(1..=16_384))]
    pub max_entry: u32,
    /// Maximum number of JSON values in an entry without its ignored_keys; an entry with more is unusable
    #[arg(long, default_value_t = MAX_VALUES as u32, value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    pub max_entry_values: u32,
    /// Proxy: a URL, none, or empty to use HTTPS_PROXY
    #[arg(long, default_value = "", hide_default_value = true, value_parser = proxy)]
    pub proxy: String,
}

impl Push {
    /// The maximum size of the catalogue, in bytes.
    pub fn max_body(&self) -> usize {
        usize::from(self.max_body) << 20
    }

    /// The limits of an entry.
    pub fn limits(&self) -> Limits {
        Limits { max_bytes: (self.max_entry as usize) << 10, max_values: self.max_entry_values as usize }
    }

    /// The request that the options describe.
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
