//! The command line, and what it leaves out from the environment.

use super::{database, secret, tls};
use crate::auth::Policy;
use crate::database::Settings;
use crate::keys::Source;
use crate::server::Limits;
use clap::{Parser, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio_postgres_rustls::MakeRustlsConnect;

/// Serve GET /api/models: which models the bearer of a token may use
///
/// Tokens are JWTs, signed with a shared secret (HS256) or with keys of a JWKS (RS256, ES256); their claim sub is the
/// user. At least one of --jwks and --hs256-secret-file (or MODEL_ACCESS_API_HS256_SECRET) is needed.
#[derive(Parser)]
#[command(name = "model-access-api", version)]
#[command(
    after_help = "The database: PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, PGOPTIONS, PGAPPNAME, \
PGCONNECT_TIMEOUT, PGSSLMODE and PGSSLROOTCERT\nstand for what --database leaves out; ~/.pgpass and service files are \
not read. A host that begins with / is the folder of a socket.\nThe role needs: SELECT model_access_grant('role', \
'reader'). It must not connect through a pooler that shares sessions\n(transaction mode): such a pooler swallows the \
notifications that the cache depends on.\n\nTLS to the database: sslmode=disable never uses it; prefer (the default) \
uses it where the server offers it; require insists.\nA certificate is always verified, with its host name, whatever \
libpq would do: by the system's store, or --database-ca.\n\nExit codes: 0 ended by SIGTERM or SIGINT, 1 could not \
start or had to cut requests off, 2 usage."
)]
pub struct Options {
    /// Database name, URL (postgresql://…) or conninfo
    #[arg(long, env = "MODEL_ACCESS_API_DATABASE", hide_env_values = true, default_value = "")]
    pub database: String,
    /// Certificates (PEM) that the database's is verified by, in place of the system's
    #[arg(long, env = "PGSSLROOTCERT", value_name = "FILE")]
    pub database_ca: Option<PathBuf>,
    /// The schema of the extension
    #[arg(long, default_value = "public")]
    pub schema: String,
    /// Most connections to the database, beside the one that listens
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub database_connections: u16,
    /// Seconds after which an answer of the database is given up, with 503
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=300))]
    pub timeout: u16,

    /// Where to listen; port 0 picks a free one
    #[arg(long, env = "MODEL_ACCESS_API_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// A file that receives the base URL once the service listens
    #[arg(long, value_name = "FILE")]
    pub url_file: Option<PathBuf>,
    /// Most connections of clients at once
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub connections: u32,
    /// Seconds that a client may take to send the head of a request, or leave an answer unread
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=300))]
    pub patience: u16,
    /// Seconds that requests in flight have after SIGTERM
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=300))]
    pub grace: u16,

    /// JWKS with the public keys: an https URL, http on this machine, or a file
    #[arg(long, env = "MODEL_ACCESS_API_JWKS", hide_env_values = true, value_name = "URL|FILE", value_parser = source)]
    pub jwks: Option<Source>,
    /// Seconds between two loads of the JWKS
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub jwks_refresh: u32,
    /// Fewest seconds between two loads, when tokens name keys that it does not hold
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub jwks_pause: u32,
    /// File with the HS256 secret, at least 32 bytes; a newline at its end does not belong to it
    #[arg(long, value_name = "FILE")]
    pub hs256_secret_file: Option<PathBuf>,
    /// Claim aud must name this; may be repeated. Without it a token that names an audience is refused
    #[arg(long, env = "MODEL_ACCESS_API_AUDIENCE", value_name = "NAME")]
    pub audience: Vec<String>,
    /// Claim iss must be this; may be repeated
    #[arg(long, env = "MODEL_ACCESS_API_ISSUER", value_name = "NAME")]
    pub issuer: Vec<String>,
    /// Seconds by which the clocks of issuer and service may differ
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=300))]
    pub leeway: u32,

    /// Longest that a list is cached, in seconds; 0 switches the cache off
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub cache_ttl: u32,
    /// Most users whose list is cached
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub cache_users: u32,
    /// Most megabytes of cached lists; users with the same list share it
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub cache_megabytes: u16,

    /// How log lines are written, to standard error
    #[arg(long, value_enum, default_value = "json")]
    pub log_format: LogFormat,
    /// The least that is logged; requests are info
    #[arg(long, value_enum, default_value = "info")]
    pub log_level: LogLevel,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// An object a line.
    Json,
    /// For people.
    Text,
}

/// What is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
}

impl Options {
    /// What bounds the connections of clients.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            connections: self.connections as usize,
            patience: Duration::from_secs(self.patience.into()),
            grace: Duration::from_secs(self.grace.into()),
        }
    }

    /// What tokens must say.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy { audiences: self.audience.clone(), issuers: self.issuer.clone(), leeway: self.leeway }
    }

    /// The HS256 secret.
    ///
    /// # Errors
    /// Fails if the secret cannot be read or is unsuitable, or if there is neither a secret nor a JWKS.
    pub fn secret(&self) -> Result<Option<Vec<u8>>, String> {
        let secret = secret::read(self.hs256_secret_file.as_deref())?;
        if secret.is_none() && self.jwks.is_none() {
            return Err("no key to verify tokens with; use --jwks or --hs256-secret-file".into());
        }
        Ok(secret)
    }

    /// How to reach the database.
    ///
    /// # Errors
    /// What cannot be meant, or certificates that cannot be read.
    pub fn settings(&self) -> Result<Settings, String> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let timeout = Duration::from_secs(self.timeout.into());
        let mut config = database::connection(&self.database, variable)?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(timeout);
        }
        Ok(Settings {
            config,
            tls: MakeRustlsConnect::new(tls::client(self.database_ca.as_deref())?),
            schema: self.schema.clone(),
            connections: self.database_connections.into(),
            timeout,
        })
    }
}

fn source(text: &str) -> Result<Source, String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if !text.contains("://") {
        return Ok(Source::File(text.into()));
    }
    // the same rules as for the catalogue
    catalog::fetch::check_url(text).map_err(|problem| problem.detail.unwrap_or(problem.message))?;
    Ok(Source::Url(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jwks_is_a_file_an_https_url_or_http_on_this_machine() {
        assert!(source("http://id.example/jwks").is_err());
        assert!(source("ftp://id.example/jwks").is_err());
        assert!(source("").is_err());
        assert_eq!(source("https://id.example/jwks"), Ok(Source::Url("https://id.example/jwks".into())));
        assert_eq!(source("http://127.0.0.1/jwks"), Ok(Source::Url("http://127.0.0.1/jwks".into())));
        assert_eq!(source("keys/jwks.json"), Ok(Source::File("keys/jwks.json".into())));
    }
}
