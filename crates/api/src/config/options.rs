//! The options of the program: on the command line, or from environment variables.

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

/// Serve GET /api/models: the models that the user of a token may use
///
/// Tokens are JWTs, signed with a shared secret (HS256) or with the keys of a JWKS (RS256, ES256). The claim sub is the
/// user. The service needs --jwks, --hs256-secret-file or MODEL_ACCESS_API_HS256_SECRET.
#[derive(Parser)]
#[command(name = "model-access-api", version)]
#[command(
    after_help = "The database: PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, PGOPTIONS, PGAPPNAME, \
PGCONNECT_TIMEOUT, PGSSLMODE and PGSSLROOTCERT\napply where --database does not say otherwise. ~/.pgpass and service \
files are not read. A host that begins with / is the directory of a socket.\nThe role needs: SELECT \
model_access_grant('role', 'reader'). Through a pooler that shares sessions (transaction mode), nothing\nis cached, \
because such a pooler delivers no notifications.\n\nTLS to the database: sslmode=disable never \
uses TLS; prefer (the default) uses it if the server offers it; require insists on it.\nThe certificate and its host \
name are always verified, also where libpq would not verify them: with the certificates of the\nsystem, or with \
--database-ca.\n\nExit codes: 0 ended by SIGTERM or SIGINT; 1 could not start, or could not finish all requests; 2 usage."
)]
pub struct Options {
    /// Database name, URL (postgresql://…) or conninfo
    #[arg(long, env = "MODEL_ACCESS_API_DATABASE", hide_env_values = true, default_value = "")]
    pub database: String,
    /// Certificates (PEM) that verify the database's certificate, in place of the system's
    #[arg(long, env = "PGSSLROOTCERT", value_name = "FILE")]
    pub database_ca: Option<PathBuf>,
    /// The schema of the extension
    #[arg(long, default_value = "public")]
    pub schema: String,
    /// Most connections to the database; the connection that listens is not counted
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub database_connections: u16,
    /// Seconds to wait for an answer of the database; then the service answers 503
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=300))]
    pub timeout: u16,

    /// Address and port to listen on; port 0 picks a free port
    #[arg(long, env = "MODEL_ACCESS_API_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// A file to write the base URL to, once the service listens
    #[arg(long, value_name = "FILE")]
    pub url_file: Option<PathBuf>,
    /// Most connections of clients at once
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub connections: u32,
    /// Seconds to wait for a client to send the head of a request, or to read more of an answer
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=300))]
    pub client_timeout: u16,
    /// Seconds that unfinished requests have after SIGTERM
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=300))]
    pub shutdown_timeout: u16,

    /// JWKS with the public keys: an https URL, an http URL on this machine, or a file
    #[arg(long, env = "MODEL_ACCESS_API_JWKS", hide_env_values = true, value_name = "URL|FILE", value_parser = source)]
    pub jwks: Option<Source>,
    /// Seconds between two loads of the JWKS
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub jwks_refresh: u32,
    /// Fewest seconds between two loads of the JWKS when tokens name keys that it does not contain
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub jwks_pause: u32,
    /// File with the HS256 secret, at least 32 bytes; a newline at the end is ignored
    #[arg(long, value_name = "FILE")]
    pub hs256_secret_file: Option<PathBuf>,
    /// Audience that the claim aud must name; may be repeated. Without it, a token that names an audience is refused
    #[arg(long, env = "MODEL_ACCESS_API_AUDIENCE", value_name = "NAME")]
    pub audience: Vec<String>,
    /// Issuer that the claim iss must name; may be repeated. Without it, every issuer is accepted
    #[arg(long, env = "MODEL_ACCESS_API_ISSUER", value_name = "NAME")]
    pub issuer: Vec<String>,
    /// Seconds by which the clocks of issuer and service may differ
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=300))]
    pub leeway: u32,

    /// Most seconds that a list stays in the cache; 0 switches the cache off
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub cache_ttl: u32,
    /// Most users whose list is cached
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    pub cache_users: u32,
    /// Most megabytes of cached lists; users with the same list share it
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub cache_megabytes: u16,

    /// Format of the log, which goes to standard error
    #[arg(long, value_enum, default_value = "json")]
    pub log_format: LogFormat,
    /// Lowest level that is logged; requests are logged at info
    #[arg(long, value_enum, default_value = "info")]
    pub log_level: LogLevel,
}

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Text for people.
    Text,
}

/// The lowest level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
}

impl Options {
    /// The limits on connections of clients.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            connections: self.connections as usize,
            client_timeout: Duration::from_secs(self.client_timeout.into()),
            shutdown_timeout: Duration::from_secs(self.shutdown_timeout.into()),
        }
    }

    /// What the claims of a token must say.
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
    /// Fails if an option or a variable has an invalid value, or if the certificates cannot be read.
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
        return Err("the value is empty".into());
    }
    if !text.contains("://") {
        return Ok(Source::File(text.into()));
    }
    // the same rules as for the URL of the catalogue
    fetch::check_url(text).map_err(|error| error.detail.unwrap_or(error.message))?;
    Ok(Source::Url(text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_document_lists_every_option_and_no_other() {
        let text = include_str!("../../../../docs/api.md");
        let command = Options::command();
        let mut table = String::from("| option | default | meaning |\n| --- | --- | --- |\n");
        for option in command.get_arguments() {
            let name = option.get_long().unwrap();
            let variable = option.get_env().map(|name| format!(", `{}`", name.display())).unwrap_or_default();
            let default = option.get_default_values().iter().filter(|value| !value.is_empty());
            let default: String = default.map(|value| format!("`{}`", value.display())).collect();
            let row = format!("| `--{name}`{variable} | {default} | {} |\n", option.get_help().unwrap());
            assert!(text.contains(&row), "the table of options in docs/api.md needs this row:\n{row}");
            table += &row;
        }
        assert!(
            text.contains(&format!("{table}\n")),
            "docs/api.md needs this table, in this order:\n{table}"
        );
    }

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
